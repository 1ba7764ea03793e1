"""Lists the calls in which cards are measured, or runs those named: `python -m benchmarks.gpu.run [CALL ...]`.

Each is a process of its own and meant for less than ten minutes, so that a cut-off costs little; durations are estimates by
arithmetic until they have been run. Options after `--` go to every call, such as `-- --out FOLDER`.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

from benchmarks.common import ROOT


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Attributes:
        name: of the call.
        arguments: the module below benchmarks.gpu, and its options.
        minutes: about how long, on an H100 or H200.
        gigabytes: about what it takes of the card.
        needs: beside PyTorch, Triton and NumPy.
    """

    name: str
    arguments: tuple[str, ...]
    minutes: float
    gigabytes: int
    needs: str = ""


CALLS = (
    Call("exact-10m", ("exact", "--case", "10000000x128", "--case", "1000000x128"), 4, 15, "faiss, if there"),
    Call("exact-768", ("exact", "--case", "10000000x768"), 6, 60, "faiss, if there; 31 GB of memory"),
    Call("exact-100m", ("exact", "--case", "100000000x128", "--dtype", "float16"), 6, 90, "faiss, if there; an H200"),
    Call("exact-100m-int8", ("exact", "--case", "100000000x128", "--dtype", "int8"), 6, 72, "faiss, if there"),
    Call("shapes-128", ("shapes", "--dim", "128"), 7, 8),
    Call("shapes-768", ("shapes", "--dim", "768", "--dtype", "float16"), 8, 8),
    Call("ann-pq", ("ann", "--kind", "ivfpq"), 9, 60, "faiss"),
    Call("ann-16", ("ann", "--kind", "ivf16", "--no-exact"), 8, 60, "faiss"),
    Call("ann-32", ("ann", "--kind", "ivf32", "--rows", "50000000", "--no-exact"), 7, 65, "faiss"),
    Call("embed", ("embed",), 3, 10, "sentence-transformers; the model, or one with random weights is made"),
    Call("tiers", ("tiers",), 4, 12, "16 GB of memory, 16 GB of disk"),
    Call("multi", ("multi",), 4, 8, "several cards"),
    Call("serve-build", ("serve", "--step", "build", "--folder", "build/gpu-serve"), 6, 2, "all of nearfield; 36 GB of disk"),
    Call("serve-merge", ("serve", "--step", "merge", "--folder", "build/gpu-serve"), 5, 0, "as above"),
    Call("serve", ("serve", "--step", "serve", "--folder", "build/gpu-serve"), 7, 12, "as above"),
)


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    names, more = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    known = {call.name: call for call in CALLS}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        print(f"{'call':<16} {'minutes':>7} {'GB of card':>10}  what it needs beside PyTorch, Triton, NumPy")
        for call in CALLS:
            print(f"{call.name:<16} {call.minutes:>7g} {call.gigabytes:>10}  {call.needs or '-'}")
            print(f"{'':<16} python -m benchmarks.gpu.{' '.join(call.arguments)}")
        if unknown:
            print(f"no such call: {', '.join(unknown)}", file=sys.stderr)
        return 2 if unknown else 0
    failed = 0
    for name in names:
        module, *options = known[name].arguments
        print(f"== {name}", flush=True)
        failed |= subprocess.run(
            [sys.executable, "-m", f"benchmarks.gpu.{module}", *options, *more], cwd=ROOT, check=False
        ).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
