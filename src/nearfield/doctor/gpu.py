"""Whether driver, cards, torch and FAISS fit together, by what each says of itself. Runs nothing: the trials do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nearfield.core.config import format_size
from nearfield.doctor import wheels
from nearfield.doctor.driver import Driver
from nearfield.doctor.finding import Finding, error, ok, warn
from nearfield.doctor.libraries import Card, Torch
from nearfield.doctor.packages import Installed, Wheel

NEWEST_CUDA = max(wheels.LEAST_DRIVER)
FOR_CUDA_12 = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu126"
OFFICIAL = "faiss-gpu"


def driver(found: Driver, torch: Torch | None, installed: Installed, environ: Mapping[str, str]) -> Iterator[Finding]:
    """The driver answers, is new enough for the CUDA that torch and FAISS were built for, and torch reaches the cards."""
    if found.problem:
        fix = "restart the machine; if that does not help, install the driver anew"
        if found.version:
            fix = "restart the machine, or in a container start it with --gpus all"
        yield error(f"the NVIDIA driver does not answer ({found.problem})", fix)
        return
    if not found.version:
        yield from _without(found)
        return
    named = f"NVIDIA driver {found.version}, {_named(found.cards) or 'no card visible'}"
    good = True
    for finding in [*_torch(found, torch, installed, environ, named), *_faiss(found, installed)]:
        good = good and finding.level == "ok"
        yield finding
    if good and torch is not None:
        yield ok(f"{named}: fits torch {torch.version} (CUDA {torch.cuda})")


def _without(found: Driver) -> Iterator[Finding]:
    """What to say where no driver is."""
    if found.present:
        least = wheels.LEAST_DRIVER[NEWEST_CUDA]
        said = f"{found.present} NVIDIA cards on the bus without a driver: searches run on the processor"
        yield warn(said, f"install NVIDIA's driver {least} or later, and restart")
    else:
        yield ok("no graphics card of NVIDIA's, and no driver: searches run on the processor")


def _named(cards: tuple[Card, ...]) -> str:
    return ", ".join(f"{c.name} ({format_size(c.memory)})" if c.memory else c.name for c in cards)


def _torch(
    found: Driver, torch: Torch | None, installed: Installed, environ: Mapping[str, str], named: str
) -> Iterator[Finding]:
    """What is wrong between driver and torch."""
    if torch is None and "torch" in installed.versions:
        yield warn(
            f"{named}; torch could not be asked: it does not start", "mend what the check imports says, and run this again"
        )
    elif torch is None:
        yield warn(f"{named}; the cards are used through torch, which is not installed", "pip install 'nearfield[models]'")
    elif torch.hip:
        yield warn(f"{named}; this torch is one for AMD cards (ROCm {torch.hip})", "pip install --force-reinstall torch")
    elif torch.cuda is None:
        said = f"{named}; this torch ({torch.version}) is one for processors alone: the cards are not used"
        yield warn(said, _build_for(found))
    else:
        yield from _cuda(found, torch, environ, named)


def _cuda(found: Driver, torch: Torch, environ: Mapping[str, str], named: str) -> Iterator[Finding]:
    """What is wrong between driver and a torch that was built for CUDA."""
    least = wheels.LEAST_DRIVER.get(torch.cuda_major or 0, 0)
    hidden = environ.get("CUDA_VISIBLE_DEVICES")
    if found.major < least:
        said = f"{named}; torch {torch.version} was built for CUDA {torch.cuda}, which needs driver {least} or later"
        older = found.major >= wheels.LEAST_DRIVER[12]
        yield error(said, f"update the driver to {least} or later" + (f", or: {FOR_CUDA_12}" if older else ""))
    elif torch.cards:
        return
    elif hidden is not None:
        said = f"{named}; torch sees no card: CUDA_VISIBLE_DEVICES is {hidden!r}"
        yield warn(said, "unset CUDA_VISIBLE_DEVICES")
    elif not found.cards:
        yield warn(named, "in a container, start it with --gpus all; else look for the card in: dmesg | grep -i nvrm")
    else:
        yield error(
            f"{named}; torch {torch.version} cannot use it ({torch.problem or 'no reason told'})",
            "see that this user may read and write /dev/nvidia*, in a container that it was started with --gpus all",
        )


def _build_for(found: Driver) -> str:
    """The command that installs a torch which this driver carries."""
    if found.major >= wheels.LEAST_DRIVER[NEWEST_CUDA]:
        return "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu130"
    if found.major >= wheels.LEAST_DRIVER[12]:
        return FOR_CUDA_12
    return f"update the driver to {wheels.LEAST_DRIVER[NEWEST_CUDA]} or later, then: pip install --force-reinstall torch"


def _faiss(found: Driver, installed: Installed) -> Iterator[Finding]:
    """What is wrong between driver and FAISS."""
    for wheel in installed.faiss:
        major = wheels.cuda_major(wheel) if wheels.on_cards(wheel) else None
        least = wheels.LEAST_DRIVER.get(major or 0, 0)
        if found.major < least:
            said = (
                f"{wheel.name} {wheel.version} is built for CUDA {major}, which needs driver {least}; this is {found.version}"
            )
            fix = f"update the driver to {least} or later"
            if major == NEWEST_CUDA and found.major >= wheels.LEAST_DRIVER[12]:
                fix += f", or: {_instead(wheel)}"
            yield error(said, fix)


def _instead(wheel: Wheel) -> str:
    """The command that puts the official wheel in the place of another."""
    return f"pip uninstall -y {wheel.name} && pip install {OFFICIAL}"


def torch_kernels(cards: tuple[Card, ...], torch: Torch | None) -> Iterator[Finding]:
    """This torch has kernels for each card."""
    if torch is None or not torch.archs:
        return
    for card in cards:
        if card.capability is None:
            continue
        how = wheels.runs(card.capability, torch.archs)
        shown = f"{card.name} (sm_{card.capability[0]}{card.capability[1]})"
        if how == "code":
            yield ok(f"torch {torch.version} has kernels for {shown}")
        elif how == "ptx":
            said = f"torch {torch.version} is older than {shown}: the driver compiles its kernels on first use, for minutes"
            yield warn(said, "pip install --upgrade torch")
        else:
            older = card.capability < (7, 5)
            fix = FOR_CUDA_12 if older else "pip install --upgrade torch"
            yield error(f"torch {torch.version} has no kernels for {shown}, only for {' '.join(torch.archs)}", fix)


def faiss_kernels(cards: tuple[Card, ...], installed: Installed) -> Iterator[Finding]:
    """The FAISS wheel has kernels for each card, where it is one for cards."""
    known = [(card.name, card.capability) for card in cards if card.capability is not None]
    for wheel in installed.faiss if known else ():
        compiled = wheels.archs(wheel)
        if not wheels.on_cards(wheel):
            yield ok(f"{wheel.name} runs on the processor; cards are used through torch")
        elif not compiled:
            yield ok(f"which cards {wheel.name} {wheel.version} was compiled for is not known here; the trial tells")
        else:
            for name, capability in known:
                yield _kernels(wheel, compiled, name, capability)


def _kernels(wheel: Wheel, compiled: tuple[str, ...], name: str, capability: tuple[int, int]) -> Finding:
    """Whether one wheel runs on one card."""
    how = wheels.runs(capability, compiled)
    shown = f"{name} (sm_{capability[0]}{capability[1]})"
    if how == "code":
        return ok(f"{wheel.name} {wheel.version} has kernels for {shown}")
    if how == "ptx":
        said = f"{wheel.name} {wheel.version} is older than {shown}: the driver compiles its kernels on first use, for minutes"
        return warn(said, f"pip install --upgrade {wheel.name}")
    said = f"{wheel.name} {wheel.version} has no kernels for {shown}, only for {' '.join(compiled)}: 'no kernel image'"
    official = capability >= (7, 0) and wheel.name != OFFICIAL
    fallback = f"pip uninstall -y {wheel.name} && pip install faiss-cpu"
    return error(said, _instead(wheel) if official else fallback)


def cuda_versions(installed: Installed, torch: Torch | None) -> Iterator[Finding]:
    """FAISS and torch were built for the same CUDA: two of them in one process cost memory, and libraries of both."""
    for wheel in installed.faiss:
        own, other = wheels.cuda_major(wheel), torch.cuda_major if torch is not None else None
        if own is None or other is None or torch is None or not wheels.on_cards(wheel):
            continue
        if own == other:
            yield ok(f"{wheel.name} and torch are both built for CUDA {own}")
            continue
        said = f"{wheel.name} {wheel.version} is built for CUDA {own}, torch {torch.version} for CUDA {other}: both are loaded"
        yield warn(said, FOR_CUDA_12 if own == 12 else _instead(wheel))


__all__ = ["cuda_versions", "driver", "faiss_kernels", "torch_kernels"]
