"""Fills a peer's directory for benchmarks/service.py and prints what its server needs: `service.py chroma|milvus FOLDER`."""

import json
import sys

import numpy as np


def chroma(folder: str) -> dict:
    import chromadb

    x, texts, kinds = data(folder)
    client = chromadb.PersistentClient(f"{folder}/chroma")
    c = client.create_collection("docs", configuration={"hnsw": {"space": "cosine"}})
    for start in range(0, len(x), 5000):
        stop = min(start + 5000, len(x))
        c.add(
            ids=[f"d{i}" for i in range(start, stop)],
            embeddings=x[start:stop],
            documents=texts[start:stop],
            metadatas=[{"kind": k} for k in kinds[start:stop]],
        )
    return {"collection": str(c.id)}


def milvus(folder: str) -> dict:
    from pymilvus import Collection, CollectionSchema, DataType, FieldSchema, connections

    x, texts, kinds = data(folder)
    connections.connect(host="127.0.0.1", port=sys.argv[3])
    fields = [
        FieldSchema("id", DataType.VARCHAR, is_primary=True, max_length=64),
        FieldSchema("vector", DataType.FLOAT_VECTOR, dim=x.shape[1]),
        FieldSchema("text", DataType.VARCHAR, max_length=4000),
        FieldSchema("kind", DataType.VARCHAR, max_length=8),
    ]
    c = Collection("c", CollectionSchema(fields))
    for start in range(0, len(x), 5000):
        stop = min(start + 5000, len(x))
        c.insert(
            [
                [f"d{i}" for i in range(start, stop)],
                x[start:stop].tolist(),
                [t[:900] for t in texts[start:stop]],
                kinds[start:stop],
            ]
        )
    c.flush()
    c.create_index("vector", {"index_type": "HNSW", "metric_type": "IP", "params": {"M": 32, "efConstruction": 200}})
    c.load()
    return {"collection": "c"}


def data(folder: str) -> tuple[np.ndarray, list, list]:
    x = np.load(f"{folder}/base.npy")
    with open(f"{folder}/texts.json") as file:
        texts = json.load(file)
    with open(f"{folder}/kinds.json") as file:
        kinds = json.load(file)
    return x, texts, kinds


if __name__ == "__main__":
    print(json.dumps({"chroma": chroma, "milvus": milvus}[sys.argv[1]](sys.argv[2])))
