"""The process that the kill test kills: writes at random, says each operation before and after."""

import json
import random
import sys
from pathlib import Path

import nearfield as nf
from tests.durability import operations


def main(directory: str, seed: int, first: int, indexes: bool) -> None:
    operations.make_small()
    if indexes:
        from nearfield.maintain import policy

        policy.SMALLEST_TIER = 60
    random_ = random.Random(seed)
    with nf.open(Path(directory)) as db:
        options = {"embedder": None, "dim": operations.DIM, "metric": "l2"}
        if indexes:
            options["index"] = nf.Hnsw(links=4, build_effort=8)
        collection = db.get_or_create("books", **options)
        for number in range(first, first + 100_000):
            op = operations.choose(random_, number)
            print(json.dumps(op), flush=True)
            operations.run(collection, op)
            print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "indexes")
