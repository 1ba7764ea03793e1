"""What the doctor tries in processes of their own, so that a crash or a hang there harms nothing here. Judges nothing.

Started by trials.py and by nobody else: `main` takes the name of a trial and its arguments from the command line, says each
step before it begins, then what it found, then ends. An exception is told by its name and message.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nearfield.doctor.libraries import Card, Faiss, Libraries, Torch

MARK = "nearfield-doctor "
"""What begins each line that the parent reads; libraries may write others."""
ROWS, DIM, NEAREST, ASKED = 4096, 32, 10, 100
"""Of the small collections on which recall is measured: vectors, numbers in each, neighbours asked for, queries."""
PROMISED = 0.95
COARSE = 0.1
"""By how much scores, here up to about 30, may be off on a card: more than half precision costs, less than a wrong product."""
TEXTS = ("Why the sea rises and falls: moons and tides", "Growing apples in small gardens", "How to mend a bicycle")
QUESTION = "what moves the water on the coast?"


def main() -> None:
    """Tries what the command line names."""
    faulthandler.enable()
    name, *arguments = sys.argv[1:]
    try:
        say("result", TRIALS[name](*arguments))
    except Exception as error:
        say("error", f"{type(error).__name__}: {error}")
        raise SystemExit(1) from error


def say(key: str, value: Any) -> None:
    """Tells the parent one thing."""
    print(MARK + json.dumps({key: value}), flush=True)  # noqa: T201 - the parent reads it


def libraries(*order: str) -> dict[str, Any]:
    """Imports "faiss" and "torch" in this order, computes with each and compares with numpy; tells what they are."""
    import numpy as np

    x = np.random.default_rng(0).standard_normal((256, DIM), dtype="float32")
    products = x @ x.T
    found: dict[str, Any] = {}
    for name in order:
        say("step", f"import {name}")
        found[name] = importlib.import_module(name)
    for name, module in found.items():
        say("step", f"compute with {name}")
        _agree(name, _with_faiss(module, x) if name == "faiss" else _with_torch(module, x), products)
    say("step", "ask them what they are")
    told = Libraries(
        torch=_torch(found["torch"]) if "torch" in found else None,
        faiss=_faiss(found["faiss"]) if "faiss" in found else None,
        numpy=_numpy(),
        openmp=tuple(sorted(set(_openmp()))),
    )
    return asdict(told)


def _with_faiss(faiss: Any, x: Any) -> Any:
    """The products of all pairs, row by row in the order of x."""
    import numpy as np

    index = faiss.IndexFlatIP(DIM)
    index.add(x)
    scores, ids = index.search(x, len(x))
    out = np.empty_like(scores)
    np.put_along_axis(out, ids, scores, 1)
    return out


def _with_torch(torch: Any, x: Any) -> Any:
    return (torch.from_numpy(x) @ torch.from_numpy(x).T).numpy()


def _agree(name: str, found: Any, expected: Any, most: float = 1e-3) -> None:
    """Raises ArithmeticError if scores are off by more than `most`, or are none."""
    import numpy as np

    if not np.allclose(found, expected, rtol=0, atol=most):
        raise ArithmeticError(f"{name} computes other products than numpy: off by up to {np.abs(found - expected).max():.3g}")


def _torch(torch: Any) -> Torch:
    """What torch says of itself; its warnings about cards are told as the reason."""
    cards: tuple[Card, ...] = ()
    problem = ""
    if torch.version.cuda is not None:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                torch.cuda.init()
                cards = tuple(_card(torch, number) for number in range(torch.cuda.device_count()))
            except Exception as error:  # whatever keeps it from a card is the answer
                problem = str(error)
        problem = "" if cards else problem or " ".join(str(w.message) for w in warned)
    level = torch.backends.cpu.get_cpu_capability()
    return Torch(
        str(torch.__version__), torch.version.cuda, torch.version.hip, tuple(torch.cuda.get_arch_list()), cards, level, problem
    )


def _card(torch: Any, number: int) -> Card:
    about = torch.cuda.get_device_properties(number)
    return Card(str(about.name), (int(about.major), int(about.minor)), int(about.total_memory))


def _faiss(faiss: Any) -> Faiss:
    """What FAISS says of itself; builds without a choice at run time tell how they were compiled."""
    config: Any = getattr(faiss, "SIMDConfig", None)
    level = str(config.get_level_name()) if hasattr(config, "get_level_name") else ""
    if not level:
        options = faiss.get_compile_options().split()
        level = next((o for o in ("AVX512", "AVX2", "NEON", "SVE", "GENERIC") if o in options), "")
    return Faiss(str(faiss.__version__), int(faiss.get_num_gpus()), level)


def _numpy() -> tuple[str, ...] | None:
    """The instruction sets that numpy found and uses; None where this numpy does not tell."""
    import numpy as np

    try:
        told = np.show_config("dicts")["SIMD Extensions"]
    except (KeyError, TypeError):
        return None
    return (*told.get("baseline", ()), *told.get("found", ()))


def _openmp() -> Iterator[str]:
    """The paths of the OpenMP runtimes in this process."""
    for path in _mapped():
        name = Path(path).name.lower()
        if name.startswith(("libgomp", "libomp", "libiomp")):
            yield path


def _mapped() -> Iterator[str]:
    """The paths of the libraries in this process."""
    if platform.system() == "Linux":
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
            yield from (row.split(maxsplit=5)[5].strip() for row in file if row.count("/"))
    elif platform.system() == "Darwin":
        import ctypes

        dyld = ctypes.CDLL(None)
        dyld._dyld_get_image_name.restype = ctypes.c_char_p
        yield from (dyld._dyld_get_image_name(i).decode(errors="replace") for i in range(dyld._dyld_image_count()))


def card(device: str) -> dict[str, Any]:
    """A matrix product, a selection and nearfield's own scan on one device, compared with numpy; "cpu" is one too."""
    import numpy as np

    from nearfield.core.metric import Metric
    from nearfield.device import _torch, cards
    from nearfield.device.scan import Scan

    torch = _torch.torch()
    rng = np.random.default_rng(0)
    x, asked = rng.standard_normal((4096, 64), dtype="float32"), rng.standard_normal((16, 64), dtype="float32")
    expected = -np.sort(-(asked @ x.T), axis=1)[:, :NEAREST]
    for kind in (torch.float32, torch.float16):
        say("step", f"multiply and select in {kind} on {device}")
        there, questions = (torch.from_numpy(each).to(device, kind) for each in (x, asked))
        _agree(device, (questions @ there.T).float().topk(NEAREST).values.cpu().numpy(), expected, COARSE)
    for dtype in ("float16", "int8"):
        say("step", f"scan {dtype} codes on {device}")
        scan = Scan.put(x, Metric.IP, device, dtype)
        _agree(device, scan.search(asked, NEAREST)[0], expected)
        scan.close()
    return {"free": cards.free_bytes(device)}


def faiss_gpu(number: str) -> dict[str, Any]:
    """A small search by FAISS on one card, compared with numpy."""
    import numpy as np

    faiss = importlib.import_module("faiss")
    x = np.random.default_rng(0).standard_normal((2048, DIM), dtype="float32")
    say("step", f"take memory on card {number}")
    resources = faiss.StandardGpuResources()
    say("step", f"search on card {number}")
    index = faiss.index_cpu_to_gpu(resources, int(number), faiss.IndexFlatIP(DIM))
    index.add(x)
    scores, _ = index.search(x[:16], NEAREST)
    _agree("FAISS on the card", scores, -np.sort(-(x[:16] @ x.T), axis=1)[:, :NEAREST], COARSE)
    return {"version": str(faiss.__version__)}


def recall() -> list[dict[str, Any]]:
    """Small collections under two kinds of index, searched as users search them, compared with numpy."""
    import numpy as np

    import nearfield

    rng = np.random.default_rng(0)
    centers = 2 * rng.standard_normal((64, DIM), dtype="float32")
    x, asked = (centers[rng.integers(0, 64, n)] + rng.standard_normal((n, DIM), dtype="float32") for n in (ROWS, ASKED))
    distances = (asked**2).sum(1)[:, None] - 2 * asked @ x.T + (x**2).sum(1)
    truth = [{str(i) for i in row} for row in distances.argsort(axis=1)[:, :NEAREST]]
    ids = [str(i) for i in range(ROWS)]
    out = []
    with tempfile.TemporaryDirectory(prefix="nearfield-doctor-") as folder, nearfield.open(Path(folder) / "db") as db:
        for name, kind in (("hnsw", nearfield.Hnsw()), ("ivf", nearfield.Ivf())):
            say("step", f"build {name}")
            c = db.create(name, embedder=None, dim=DIM, metric="l2", index=kind, recall=PROMISED)
            c.load(ids=ids, vectors=x)
            c.optimize()
            say("step", f"search {name}")
            found, exact = (_share([c.search(vector=v, k=NEAREST, exact=e).ids for v in asked], truth) for e in (False, True))
            out.append({"kind": name, "recall": found, "exact": exact, "promised": PROMISED, "indexed": c.stats().indexed})
    return out


def _share(found: list[list[str]], truth: list[set[str]]) -> float:
    """How much of the truth was found."""
    return sum(len(set(ids) & near) for ids, near in zip(found, truth, strict=True)) / (len(truth) * NEAREST)


def embedding() -> dict[str, Any]:
    """The default model loads without a network, and ranks three texts as anybody would."""
    import nearfield

    with tempfile.TemporaryDirectory(prefix="nearfield-doctor-") as folder, nearfield.open(Path(folder) / "db") as db:
        say("step", "load the model and embed three texts")
        c = db.create("texts", embedder="minilm")
        c.upsert([nearfield.Document(str(i), text=text) for i, text in enumerate(TEXTS)])
        start = time.perf_counter()
        hits = c.search(QUESTION, k=len(TEXTS))
        return {"first": hits.ids[0], "seconds": time.perf_counter() - start}


TRIALS: dict[str, Callable[..., Any]] = {
    "libraries": libraries,
    "card": card,
    "faiss-gpu": faiss_gpu,
    "recall": recall,
    "embedding": embedding,
}

__all__ = ["MARK", "PROMISED", "TRIALS", "main"]
