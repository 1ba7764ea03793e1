"""hnswlib or ScaNN in one long-lived process: orders as lines of JSON on standard input, an answer to each on standard output.

Arguments: a recipe as JSON, a folder with x.npy, half0.npy and half1.npy, a place for the built index, and "l2" or "cosine"
(then all vectors are unit vectors). Orders: {"do": "answer" | "seconds", "setting": {...}, "half": 0 | 1, "batch": bool}.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

K, WARM, BATCH = 10, 20, 1000


class Hnswlib:
    """hnswlib; its efSearch is set on the index."""

    def __init__(self, recipe, x, place, metric):
        import hnswlib

        self.index = hnswlib.Index("l2" if metric == "l2" else "ip", x.shape[1])
        if place.exists():
            self.index.load_index(str(place))
            return
        self.index.init_index(len(x), ef_construction=recipe["build_effort"], M=recipe["links"])
        self.index.set_num_threads(1)
        self.index.add_items(x)
        self.index.save_index(str(place))

    def prepare(self, setting, threads):
        self.index.set_ef(setting["efSearch"])
        self.index.set_num_threads(threads)

    def one(self, query, setting):
        return self.index.knn_query(query, K)[0][0]

    def many(self, queries, setting):
        return self.index.knn_query(queries, K)[0]


class Scann:
    """ScaNN: tree, asymmetric hashing of two dimensions a block, exact reordering."""

    def __init__(self, recipe, x, place, metric):
        from scann.scann_ops.py import scann_ops_pybind as ops

        if not place.exists():
            kind = "squared_l2" if metric == "l2" else "dot_product"
            builder = ops.builder(x, K, kind).set_n_training_threads(1)
            extra = {"soar_lambda": recipe["soar"], "overretrieve_factor": 2.0} if recipe.get("soar") else {}
            builder = builder.tree(
                min(recipe["leaves"], len(x) // 20),
                100,
                training_sample_size=len(x),
                spherical=metric != "l2",
                quantize_centroids=True,
                **extra,
            )
            threshold = recipe["threshold"] if recipe["threshold"] is not None else float("nan")
            made = builder.score_ah(2, anisotropic_quantization_threshold=threshold).reorder(100).build()
            place.mkdir()
            made.serialize(str(place))
        self.index = ops.load_searcher(str(place))

    def prepare(self, setting, threads):
        self.index.set_num_threads(threads)

    def one(self, query, setting):
        return self.index.search(query, K, setting["reorder"], setting["leaves"])[0]

    def many(self, queries, setting):
        return self.index.search_batched_parallel(queries, K, setting["reorder"], setting["leaves"])[0]


def answer(peer, queries, setting, half):
    """Positions: all at once for the half that settings are chosen with, one by one for the one that is reported."""
    peer.prepare(setting, 1 if half else 2)
    answers = [peer.one(q, setting) for q in queries] if half else peer.many(queries, setting)
    found = [np.asarray(row, np.int64)[:K] for row in answers]
    return [[*map(int, row), *[-1] * (K - len(row))] for row in found]


def seconds(peer, queries, setting, batch):
    peer.prepare(setting, 2 if batch else 1)
    for q in queries[:WARM]:
        peer.one(q, setting)
    if batch:
        queries = np.ascontiguousarray(np.resize(queries, (BATCH, queries.shape[1])))
        start = time.perf_counter()
        peer.many(queries, setting)
        return time.perf_counter() - start
    singles = list(queries)
    start = time.perf_counter()
    for q in singles:
        peer.one(q, setting)
    return time.perf_counter() - start


def main():
    recipe, folder, place, metric = json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print goes to standard error
    halves = [np.load(folder / f"half{i}.npy") for i in (0, 1)]
    peer = {"hnswlib": Hnswlib, "scann": Scann}[recipe["peer"]](recipe, np.load(folder / "x.npy"), place, metric)
    print(json.dumps({"ready": True}), file=replies, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        queries, setting = halves[order["half"]], order["setting"]
        if order["do"] == "answer":
            reply = answer(peer, queries, setting, order["half"])
        else:
            reply = seconds(peer, queries, setting, order["batch"])
        print(json.dumps(reply), file=replies, flush=True)


main()
