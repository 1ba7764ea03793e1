"""The process that the kill test kills: writes documents in parts at random, says each operation before and after."""

import json
import random
import sys
from pathlib import Path
from typing import Any

import nearfield as nf

WORDS = ["sun", "moon", "tide", "river", "stone", "cloud", "bird", "tree", "wind", "rain", "fire", "snow", "leaf", "sand"]
Operation = dict[str, Any]
State = dict[str, tuple[str, int]]


def choose(rng: random.Random) -> Operation:
    kind = rng.choice(["upsert"] * 5 + ["delete", "filter", "update", "optimize"])
    ids = [f"d{rng.randrange(12)}" for _ in range(3)]
    texts = [" ".join(rng.choice(WORDS) + rng.choice([".", "", ""]) for _ in range(rng.randint(1, 60))) for _ in ids]
    return {
        "kind": kind,
        "documents": {i: [t, rng.randrange(4)] for i, t in zip(ids, texts, strict=True)},
        "n": rng.randrange(4),
    }


def run(collection: nf.Collection, op: Operation) -> None:
    if op["kind"] == "upsert":
        collection.upsert([nf.Document(i, text, {"n": n}) for i, (text, n) in op["documents"].items()])
    elif op["kind"] == "delete":
        collection.delete(list(op["documents"]))
    elif op["kind"] == "filter":
        collection.delete(filter={"n": op["n"]})
    elif op["kind"] == "update":
        name = next(iter(op["documents"]))
        if name in collection:
            collection.update(name, metadata={"n": op["n"]})
    else:
        collection.optimize()


def applied(state: State, op: Operation) -> State:
    out = dict(state)
    if op["kind"] == "upsert":
        out.update({i: (text, n) for i, (text, n) in op["documents"].items()})
    elif op["kind"] == "delete":
        for name in op["documents"]:
            out.pop(name, None)
    elif op["kind"] == "filter":
        out = {i: value for i, value in out.items() if value[1] != op["n"]}
    elif op["kind"] == "update":
        name = next(iter(op["documents"]))
        if name in out:
            out[name] = (out[name][0], op["n"])
    return out


def main(directory: str, seed: int) -> None:
    rng = random.Random(seed)
    with nf.open(Path(directory)) as db:
        collection = db.get_or_create("c", embedder="hash:8", passages=nf.Passages(8, 2))
        while True:
            op = choose(rng)
            print(json.dumps(op), flush=True)
            run(collection, op)
            print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
