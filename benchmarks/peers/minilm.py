"""One peer on MiniLM vectors with metadata: add, index, single queries by vector with ten documents returned, reopen."""

import json
import sys
import tempfile
import time

import numpy as np

name, folder, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
x, queries = np.load(f"{folder}/base.npy")[:limit], np.load(f"{folder}/queries.npy")
with open(f"{folder}/texts.json") as file:
    texts = json.load(file)[:limit]
ids = [f"d{i}" for i in range(limit)]
truth = [set(row) for row in np.argpartition(-(queries @ x.T), 10, axis=1)[:, :10].tolist()]
directory = sys.argv[4] if len(sys.argv) > 4 else tempfile.mkdtemp()
out = {}


def lancedb_():
    import lancedb
    import pyarrow as pa

    db = lancedb.connect(directory)
    table = pa.table(
        {
            "id": ids,
            "text": texts,
            "n": list(range(limit)),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 384),
        }
    )
    start = time.perf_counter()
    t = db.create_table("t", table)
    out["add"] = time.perf_counter() - start
    t.create_index(metric="cosine", index_type="IVF_HNSW_SQ", vector_column_name="vector", num_partitions=1)
    out["indexed"] = time.perf_counter() - start
    for nprobes, ef in ((1, 50), (1, 100), (1, 200), (1, 400)):

        def ask(q, ef=ef, nprobes=nprobes):
            return [
                int(r["id"][1:])
                for r in t.search(q).metric("cosine").nprobes(nprobes).ef(ef).refine_factor(2).limit(10).to_list()
            ]

        if recall(ask) >= 0.95:
            break
    return ask


def chroma():
    import chromadb

    c = chromadb.PersistentClient(directory).create_collection(
        "words", configuration={"hnsw": {"space": "cosine", "ef_search": 100}}
    )
    start = time.perf_counter()
    for at in range(0, limit, 5000):
        part = slice(at, at + 5000)
        c.add(ids=ids[part], embeddings=x[part], documents=texts[part], metadatas=[{"n": i} for i in range(limit)[part]])
    out["add"] = out["indexed"] = time.perf_counter() - start
    return lambda q: [int(i[1:]) for i in c.query(query_embeddings=q[None], n_results=10)["ids"][0]]


def txtai_():
    import txtai

    known = {t: i for i, t in enumerate(texts)}
    at = {"q": None}

    def transform(values):
        return np.stack([at["q"] if v == "QUERY" else x[known[v]] for v in values])

    e = txtai.Embeddings(method="external", transform=transform, content=True)
    start = time.perf_counter()
    e.index([(i, t, None) for i, t in zip(ids, texts, strict=True)])
    out["add"] = out["indexed"] = time.perf_counter() - start

    def ask(q):
        at["q"] = q
        return [int(r["id"][1:]) for r in e.search("QUERY", 10)]

    return ask


def recall(ask):
    return float(np.mean([len(truth[i] & set(ask(queries[i]))) / 10 for i in range(200)]))


ask = {"lancedb": lancedb_, "chroma": chroma, "txtai": txtai_}[name]()
out["recall"] = recall(ask)
start = time.perf_counter()
for q in queries[:500]:
    ask(q)
out["qps"] = 500 / (time.perf_counter() - start)
out["rows"] = limit
print(json.dumps(out))
