"""What the tests of tiers share: vectors, collections in segments, and answers compared with an exact search of the file."""

from typing import Any

import numpy as np

import nearfield as nf
from nearfield.core.metric import prepare
from nearfield.index import exact
from nearfield.maintain import tasks

DIM = 24
GPU = {"gpu_memory": "400MB", "device": "cpu"}


def fill(db: nf.Database, x: np.ndarray, name: str = "c", parts: int = 1, **options: Any) -> nf.Collection:
    c = db.create(name, embedder=None, dim=DIM, **options)
    for number, rows in enumerate(np.array_split(np.arange(len(x)), parts)):
        ids = [f"{number}-{i}" for i in rows]
        c.load(ids=ids, vectors=x[rows], metadata=[{"odd": int(i % 2), "group": int(i % 7)} for i in rows])
        tasks.seal(c._engine)
    return c


def same(c: nf.Collection, x: np.ndarray, k: int = 10, **options: Any) -> nf.Hits:
    """The hits, which must be those of an exact search of the file."""
    query = x[17] + 0.1
    hits = c.search(vector=query, k=k, recall=1.0, **options)
    unit = c._engine.metric
    wanted = exact.search(prepare(query[None], unit)[0], prepare(x, unit)[0], len(x), unit)[1][0]
    if options.get("filter"):
        wanted = np.array([i for i in wanted if i % 2 == options["filter"]["odd"]])
    assert [int(i.split("-")[1]) for i in hits.ids] == wanted[:k].tolist()
    return hits
