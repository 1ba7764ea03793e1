"""LanceDB or Chroma under filters: arguments are the peer, a folder of arrays and questions, and the metric."""

import json
import sys
import tempfile
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

K, PATIENCE = 10, 4.0
name, folder, metric = sys.argv[1:4]
x, queries = np.load(f"{folder}/x.npy"), np.load(f"{folder}/queries.npy")
columns = pq.read_table(f"{folder}/columns.parquet")
with open(f"{folder}/asked.json") as file:
    asked = json.load(file)
n = len(x)


def sql(condition):
    """A filter as LanceDB writes it."""
    parts = []
    for key, value in condition.items():
        if key == "$or":
            parts.append("(" + " OR ".join(f"({sql(part)})" for part in value) + ")")
            continue
        for op, operand in (value if isinstance(value, dict) else {"$eq": value}).items():
            sign = {"$eq": "=", "$gte": ">=", "$lt": "<", "$in": "IN", "$nin": "NOT IN"}[op]
            shown = f"({', '.join(map(repr, operand))})" if isinstance(operand, list) else repr(operand)
            parts.append(f"{key} {sign} {shown}")
    return " AND ".join(parts)


def where(condition):
    """A filter as Chroma writes it: one operator for each key."""
    parts = []
    for key, value in condition.items():
        if key == "$or":
            parts.append({"$or": [where(part) for part in value]})
        else:
            parts += [{key: {op: v}} for op, v in (value if isinstance(value, dict) else {"$eq": value}).items()]
    return parts[0] if len(parts) == 1 else {"$and": parts}


def lancedb_(directory):
    import lancedb

    vectors = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])
    table = columns.append_column("id", pa.array(range(n))).append_column("vector", vectors)
    t = lancedb.connect(directory).create_table("t", table)
    t.create_index(metric=metric, index_type="IVF_HNSW_SQ", vector_column_name="vector", num_partitions=1)
    for column in columns.column_names:
        few = column in ("cluster", "lexname", "pos")
        t.create_scalar_index(column, index_type="BITMAP" if few else "BTREE")

    def ask(q, condition=None, ef=100):
        found = t.search(q).distance_type(metric).nprobes(1).ef(ef).refine_factor(2).limit(K).select(["id"])
        if condition is not None:
            found = found.where(sql(condition), prefilter=True)
        return [r["id"] for r in found.to_list()]

    return ask


def chroma(directory):
    import chromadb

    c = chromadb.PersistentClient(directory).create_collection(
        "documents", configuration={"hnsw": {"space": metric, "ef_search": 100}}
    )
    rows = columns.to_pylist()
    for at in range(0, n, 5000):
        stop = min(n, at + 5000)
        c.add(ids=[str(i) for i in range(at, stop)], embeddings=x[at:stop], metadatas=rows[at:stop])

    def ask(q, condition=None):
        found = c.query(query_embeddings=q[None], n_results=K, include=[], where=where(condition) if condition else None)
        return [int(i) for i in found["ids"][0]]

    return ask


with tempfile.TemporaryDirectory() as directory:
    ask = {"lancedb": lancedb_, "chroma": chroma}[name](directory)
    took = []
    for q in queries[:50]:
        start = time.perf_counter()
        ask(q)
        took.append(time.perf_counter() - start)
    out = {"unfiltered ms": round(1000 * float(np.median(took)), 3), "cases": []}
    for case in asked:
        took, recalls, began = [], [], time.perf_counter()
        for (i, condition), truth, k in zip(case["asked"], case["truth"], case["k"], strict=True):
            start = time.perf_counter()
            try:
                found = ask(queries[i], condition)
            except Exception as error:
                out.setdefault("errors", {})[case["case"]] = str(error)[:120]
                found = []
            took.append(time.perf_counter() - start)
            recalls.append(min(1.0, len(set(found) & set(truth)) / k) if k else 1.0)
            if time.perf_counter() - began > PATIENCE:
                break
        out["cases"].append(
            [case["case"], case["use"], round(1000 * float(np.median(took)), 3), round(float(np.mean(recalls)), 3)]
        )
    print(json.dumps(out))
