"""The process that the kill test kills: writes one document after the other while it embeds anew, and dies at a step."""

import os
import signal
import sys
import threading
from pathlib import Path

import nearfield as nf
from nearfield.reembedding import copying, switching
from tests.reembedding.worlds import NEW


def main(directory: str, what: str, at: str, first: int) -> None:
    copying.BATCH = 40
    with nf.open(Path(directory)) as db:
        shelf = db["shelf"]
        puts = [0]
        put = copying.Copy.put

        def die() -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        def counted(self: copying.Copy, some: list[nf.Document]) -> None:
            put(self, some)
            puts[0] += 1
            if at == "copying" and puts[0] == 2:
                die()

        def observed(step: str) -> None:
            if step == at:
                die()

        copying.Copy.put = counted  # type: ignore[method-assign]
        switching.observer = observed

        def write() -> None:
            number = first
            while True:
                print(f"begin {number}", flush=True)
                shelf.upsert(nf.Document(f"w{number % 30}", f"written by {number}"))
                print(f"done {number}", flush=True)
                number += 1

        print("ready", flush=True)
        threading.Thread(target=write, daemon=True).start()
        if what == "undo":
            db.undo_reembed("shelf")
        else:
            db.reembed("shelf", NEW)
    raise AssertionError("it was to die")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
