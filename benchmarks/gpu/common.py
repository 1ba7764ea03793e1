"""What the benchmarks of cards share: arguments, the device and its roof, times, results as a table and JSON.

Imports PyTorch and NumPy alone, and of nearfield what needs no more: a machine with a card often has nothing else.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import nearfield
from benchmarks.common import RESULTS, SEED, Skipped
from benchmarks.gpu.made import Recipe
from benchmarks.gpu.rooflines import Roof, roof
from nearfield.device import _torch, cards
from nearfield.device.scan import DeviceFull

FULL = 200_000
"""Rows from which data has all its clusters."""
MARGIN = 2 << 30
"""Bytes of a card that are left to PyTorch, FAISS and the driver."""


@dataclass(frozen=True, slots=True)
class Here:
    """Where a benchmark runs.

    Attributes:
        device: as PyTorch names it.
        model: the card's name, or the processor's.
        measured: what was measured in this run.
        roof: what is asked of: the higher of that and what is known of the card.
        seed: of everything random.
        scale: a share of the rows.
        until: `time.monotonic()` from which no new part begins.
    """

    device: str
    model: str
    measured: Roof
    roof: Roof
    seed: int
    scale: float
    until: float

    @property
    def cuda(self) -> bool:
        """Whether it is a card."""
        return self.device.startswith("cuda")

    def rows(self, n: int) -> int:
        """The number of rows at this scale, at least 2,048."""
        return max(2048, int(n * self.scale))

    def left(self) -> float:
        """Seconds until no new part begins."""
        return self.until - time.monotonic()

    def room(self) -> int:
        """Bytes free on the device, less what others need."""
        if self.cuda:
            torch.cuda.empty_cache()
        return cards.free_bytes(self.device) - (MARGIN if self.cuda else 0)


def arguments(about: str | None) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="as PyTorch names it; auto: the card with the most memory free")
    parser.add_argument("--scale", type=float, default=1.0, help="a share of the rows, for a quick look")
    parser.add_argument("--seconds", type=float, default=480.0, help="no new part begins after so many")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for gpu-NAME.json")
    return parser


def here(asked: argparse.Namespace) -> Here:
    """The device chosen, with its bandwidth and products measured; TF32 is off from here on."""
    start = time.monotonic()
    device, _ = cards.choose(asked.device)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    model = platform.processor() or platform.machine()
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
        model = torch.cuda.get_device_properties(device).name
    small = not device.startswith("cuda")
    measured = Roof(bandwidth(device, 32 << 20 if small else 4 << 30), products(device, 256 if small else 8192))
    if not small:
        torch.cuda.empty_cache()
    return Here(device, model, measured, roof(model, measured), asked.seed, asked.scale, start + asked.seconds)


def recipe(dim: int, n: int, unit: bool = True) -> Recipe:
    """How rows are made; few have fewer clusters, so that a quick look is quick."""
    return Recipe(dim, unit=unit) if n >= FULL else Recipe(dim, clusters=1024, families=32, unit=unit)


# -- times


def synchronize(device: str) -> None:
    """Waits for the device."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def seconds(call: Callable[[], Any], device: str) -> float:
    """What a call takes until the device is done: what its caller waits."""
    synchronize(device)
    start = time.perf_counter()
    call()
    synchronize(device)
    return time.perf_counter() - start


def repeated(call: Callable[[], Any], device: str, times: int, warm: int = 2) -> float:
    """Median seconds of a call; those that compile and warm up do not count."""
    for _ in range(warm):
        call()
    return float(np.median([seconds(call, device) for _ in range(times)]))


def interleaved(calls: Mapping[str, Callable[[], Any]], device: str, most: int, budget: float) -> dict[str, float]:
    """Median seconds of each call, taken in turns, so that what changes on the machine changes all of them.

    Args:
        calls: by name; each is called twice first.
        device: where they run.
        most: rounds at most.
        budget: seconds after which no new round begins; three rounds are made in any case.
    """
    for call in calls.values():
        call()
        call()
    found: dict[str, list[float]] = {name: [] for name in calls}
    names, until = list(calls), time.monotonic() + budget
    for number in range(most):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            found[name].append(seconds(calls[name], device))
        if number >= 2 and time.monotonic() > until:
            break
    return {name: float(np.median(values)) for name, values in found.items()}


def bandwidth(device: str, nbytes: int) -> float:
    """Bytes a second of a copy on the device, read and written: the best of some."""
    source = torch.zeros(nbytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    best = min(seconds(lambda: target.copy_(source), device) for _ in range(8))
    return 2 * nbytes / best


def products(device: str, size: int) -> float:
    """Operations a second of a square matrix product: of float16 on a card, of float32 elsewhere; the best of some."""
    kind = torch.float16 if device.startswith("cuda") else torch.float32
    a = torch.randn((size, size), device=device).to(kind)
    b = torch.randn((size, size), device=device).to(kind)
    best = min(seconds(lambda: a @ b, device) for _ in range(8))
    return 2.0 * size**3 / best


def launches(call: Callable[[], Any], device: str) -> dict[str, Any] | None:
    """What one call starts on a card: kernels and copies, and the seconds they take together; None elsewhere."""
    if not device.startswith("cuda"):
        return None
    call()
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    try:
        with torch.profiler.profile(activities=kinds) as seen:
            call()
            synchronize(device)
    except RuntimeError as error:
        return {"left out": f"PyTorch's profiler does not run here: {str(error)[:120]}"}
    ran = [event for event in seen.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    return {"kernels and copies": len(ran), "seconds on the card": round(sum(e.time_range.elapsed_us() for e in ran) / 1e6, 6)}


# -- optional libraries


def faiss_on(device: str) -> Any:
    """FAISS with PyTorch's tensors in its calls; raises Skipped where it cannot work on the device."""
    try:
        import faiss
    except ImportError as error:
        raise Skipped(f"FAISS is not installed ({error}): what is compared with it is left out") from error
    if device.startswith("cuda"):
        if not hasattr(faiss, "StandardGpuResources") or not faiss.get_num_gpus():
            raise Skipped("this FAISS sees no card: what is compared with it is left out")
        import faiss.contrib.torch_utils  # it changes FAISS's own classes, for the whole process
    return faiss


# -- results


def about(at: Here) -> dict[str, Any]:
    """Card, driver, versions, seed; and what the device was measured to do."""
    return {
        "card": at.model,
        "device": at.device,
        "driver": _driver() if at.cuda else None,
        "cuda": torch.version.cuda,
        "bandwidth": f"{at.measured.bandwidth / 1e12:.3f} TB/s measured, {at.roof.bandwidth / 1e12:.3f} asked of",
        "products": f"{at.measured.products / 1e12:.1f} TFLOP/s measured, {at.roof.products / 1e12:.1f} asked of",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "nearfield": nearfield.__version__,
        **{name: _version(name) for name in ("torch", "triton", "numpy")},
        "faiss": next(
            (f"{name} {v}" for name in FAISS if (v := _version(name))), getattr(_loaded("faiss"), "__version__", None)
        ),
        "scale": at.scale,
        "seed": at.seed,
    }


FAISS = ("faiss-gpu", "faiss-gpu-cuvs", "faiss-cuda", "faiss-cpu")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return getattr(_loaded(name), "__version__", None)


def _loaded(name: str) -> Any:
    return sys.modules.get(name)


def _driver() -> str | None:
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return told[0] if told else None


def line(
    name: str, value: float, target: float, unit: str, bound: float | None = None, *, least: bool = True
) -> dict[str, Any]:
    """One line of a result: what is asked, what was measured, and the bound that nothing passes, in the same unit."""
    met = bool(value >= target) if least else bool(value <= target)
    return {
        "name": name, "asked": _short(target), "measured": _short(value),
        "bound": None if bound is None else _short(bound), "unit": unit, "least": least, "met": met,
    }  # fmt: skip


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def report(
    name: str,
    part: str,
    at: Here,
    out: Path,
    lines: Sequence[dict[str, Any]],
    facts: Mapping[str, Any],
    judged: bool | None = None,
) -> Path:
    """Prints a table and writes this part into gpu-NAME.json, beside the parts that other calls measured.

    Parts that lie in benchmarks/results are kept, so that one file grows over several calls, wherever `out` is. What is asked
    is asked of a card and of all rows: elsewhere no line says whether it was met, unless `judged` says so.
    """
    print(f"{name}, {part}: {at.model}", flush=True)
    print(f"  {'':<78} {'asked':>14} {'measured':>12} {'bound':>12}")
    for one in lines:
        if not (at.cuda and at.scale == 1 if judged is None else judged):
            one["met"] = None
        asked = f"{'>=' if one['least'] else '<='} {one['asked']:g}"
        bound = "-" if one["bound"] is None else f"{one['bound']:g}"
        verdict = {True: "met", False: "FELL SHORT", None: "not judged: not a card, or not all rows"}[one["met"]]
        print(f"  {one['name']:<78} {asked:>14} {one['measured']:>12g} {bound:>12} {one['unit']:<7} {verdict}", flush=True)
    for key, value in facts.items():
        print(f"    {key}: {value}", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"gpu-{name}.json"
    kept = next((json.loads(p.read_text()) for p in (path, RESULTS / path.name) if p.exists()), {"parts": {}})
    kept["parts"][part] = {"lines": list(lines), "facts": dict(facts), "about": about(at)}
    path.write_text(json.dumps(kept, indent=1) + "\n")
    return path


@contextmanager
def left_out(facts: dict[str, Any], what: str) -> Iterator[None]:
    """What cannot run here is left out, with a line that says why; so is what does not fit on the card."""
    try:
        yield
    except Skipped as reason:
        facts[what] = f"left out: {reason}"
    except (RuntimeError, DeviceFull) as error:
        if not isinstance(error, DeviceFull) and not _torch.out_of_memory(error):
            raise
        facts[what] = f"left out: no room on the card ({str(error).splitlines()[0][:120]})"
        torch.cuda.empty_cache()


def script(main: Callable[[], object]) -> None:
    """Runs a benchmark as a program: without gradients; what cannot run here says so in a line."""
    torch.set_grad_enabled(False)
    try:
        main()
    except Skipped as reason:
        sys.exit(f"skipped: {reason}")
