"""Random operations on a collection, each told by a line of JSON before it begins: shared by the kill and power tests.

A document's text and vector follow from its id and the number of the operation that wrote it, so that a reader can tell
whose they are.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

import nearfield as nf

DIM = 8
IDS = [f"d{i}" for i in range(120)]
State = dict[str, int]
"""id -> number of the operation that wrote it."""


def text_of(document_id: str, number: int) -> str:
    return f"{document_id} written by {number}"


def vector_of(document_id: str, number: int) -> np.ndarray:
    seed = [number, *document_id.encode()]
    return np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)


def make_small(put: Callable[[Any, str, Any], None] = setattr) -> None:
    """Thresholds so low that a few operations seal, merge and load segments. `put`: a monkeypatch's, in a test's process."""
    from nearfield import intake
    from nearfield.maintain import policy, worker

    for module, names in (
        (policy, {"SEAL_ROWS": 40, "FAN": 3, "SMALLEST_TIER": 100_000}),
        (intake, {"BULK": 20, "CHUNK_ROWS": 25, "_chunk_rows": lambda dim: 25}),
        (worker, {"_QUIET": 0.0}),
    ):
        for name, value in names.items():
            put(module, name, value)


def choose(random_: random.Random, number: int) -> dict[str, Any]:
    """The next operation, as JSON values."""
    kind = random_.choices(["upsert", "load", "delete", "delete_where", "update"], [6, 2, 2, 1, 1])[0]
    many = {"upsert": random_.randint(1, 12), "load": 60, "delete": random_.randint(1, 8)}.get(kind, 1)
    return {"op": kind, "number": number, "ids": random_.sample(IDS, many), "group": random_.randint(0, 9)}


def run(collection: nf.Collection, op: dict[str, Any]) -> None:
    """Does an operation; when it returns it is acknowledged."""
    number, ids = op["number"], op["ids"]
    if op["op"] == "upsert":
        documents = [nf.Document(i, text_of(i, number), {"group": number % 10}) for i in ids]
        collection.upsert(documents, vectors=np.stack([vector_of(i, number) for i in ids]))
    elif op["op"] == "load":
        collection.load(
            ids=ids,
            vectors=np.stack([vector_of(i, number) for i in ids]),
            texts=[text_of(i, number) for i in ids],
            metadata={"group": [number % 10] * len(ids)},
        )
    elif op["op"] == "delete":
        collection.delete(ids)
    elif op["op"] == "delete_where":
        collection.delete(filter={"group": op["group"]})
    elif ids[0] in collection:
        collection.update(ids[0], metadata={"touched": number})


def applied(state: State, op: dict[str, Any], chunks: int | None = None) -> State:
    """The state after an operation, or after the first `chunks` chunks of a load."""
    out, number = dict(state), op["number"]
    if op["op"] in ("upsert", "load"):
        ids = op["ids"] if chunks is None else op["ids"][: 25 * chunks]
        out.update(dict.fromkeys(ids, number))
    elif op["op"] == "delete":
        for document_id in op["ids"]:
            out.pop(document_id, None)
    elif op["op"] == "delete_where":
        out = {i: n for i, n in out.items() if n % 10 != op["group"]}
    return out


def possible(state: State, op: dict[str, Any] | None) -> list[State]:
    """Every state that may be found after a crash during `op` (None: between operations)."""
    if op is None:
        return [state]
    if op["op"] == "load":
        return [applied(state, op, chunks) for chunks in range(4)]
    return [state, applied(state, op)]


def read(collection: nf.Collection) -> State:
    """The state of a collection, after checking that every document is its own."""
    state: State = {}
    for document in collection.scan(vectors=True):
        number = int((document.text or "").rsplit(" ", 1)[1])
        assert document.text == text_of(document.id, number)
        assert document.metadata["group"] == number % 10
        assert np.allclose(document.vector, vector_of(document.id, number), rtol=1e-5, atol=1e-6), document.id
        state[document.id] = number
    assert len(state) == len(collection)
    return state


def check_searches(collection: nf.Collection, state: State, random_: random.Random) -> None:
    """Each of some documents is found first by its own vector, with its own text; nothing else comes back."""
    for document_id in random_.sample(sorted(state), min(8, len(state))):
        hits = collection.search(vector=vector_of(document_id, state[document_id]), k=3)
        assert hits[0].id == document_id
        assert hits[0].text == text_of(document_id, state[document_id])
        assert set(hits.ids) <= state.keys()
