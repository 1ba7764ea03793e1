"""Checks of the machine, the installation and a database directory: small functions, each with findings and their remedy.

Changes nothing and takes no lock, so that it can be run beside a process that writes. What can crash or hang is tried in
processes of their own. docs/DOCTOR.md lists the checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from nearfield.doctor import directory as folder
from nearfield.doctor import gpu, machine, packages, selftest
from nearfield.doctor.facts import Facts
from nearfield.doctor.finding import Check, Finding, error
from nearfield.doctor.outside import Outside

S = TypeVar("S")


def _instructions(facts: Facts) -> Iterator[Finding]:
    names = {"faiss": facts.installed.faiss_package}
    return machine.instructions(facts.machine, facts.libraries, facts.environ, names)


def _card(facts: Facts) -> Iterator[Finding]:
    torch = facts.libraries.torch
    if torch is None or not torch.cards:
        yield from selftest.no_card(bool(facts.driver.cards) or facts.driver.present > 0)
        return
    for number, card in enumerate(torch.cards):
        yield from selftest.card(number, card, facts.trials.ended("card", f"cuda:{number}"))


def _faiss_gpu(facts: Facts) -> Iterator[Finding]:
    faiss = facts.libraries.faiss
    for number in range(faiss.cards if faiss is not None else 0):
        found = facts.trials.ended("faiss-gpu", str(number))
        yield from selftest.faiss_gpu(number, found, facts.installed.faiss_package)


def _recall(facts: Facts) -> Iterator[Finding]:
    if facts.installed.has("faiss"):
        yield from selftest.recall(facts.trials.ended("recall"), facts.installed.faiss_package)


def _embedding(facts: Facts) -> Iterator[Finding]:
    if facts.installed.has("faiss") and facts.can_embed:
        yield from selftest.embedding(facts.trials.ended("embedding"))


QUICK: tuple[Check[Facts], ...] = (
    Check("python", lambda facts: machine.python(facts.machine)),
    Check("memory", lambda facts: machine.memory(facts.machine)),
    Check("disk", lambda facts: machine.disk(facts.machine)),
    Check("files", lambda facts: machine.files(facts.machine)),
    Check("maps", lambda facts: machine.maps(facts.machine)),
    Check("sqlite", lambda facts: packages.sqlite(facts.installed)),
    Check("versions", lambda facts: packages.versions(facts.installed)),
    Check("faiss", lambda facts: packages.faiss(facts.installed, bool(facts.driver.cards))),
    Check("model", lambda facts: packages.model(facts.installed)),
)
"""What reading alone tells."""
TRIED: tuple[Check[Facts], ...] = (
    Check("imports", lambda facts: selftest.imports(facts.pairs, facts.alone, facts.installed.faiss_package)),
    Check("openmp", lambda facts: selftest.openmp(facts.machine.system, facts.libraries, facts.environ)),
    Check("instructions", _instructions),
    Check("driver", lambda facts: gpu.driver(facts.driver, facts.libraries.torch, facts.installed, facts.environ)),
    Check("torch-kernels", lambda facts: gpu.torch_kernels(facts.cards, facts.libraries.torch)),
    Check("faiss-kernels", lambda facts: gpu.faiss_kernels(facts.cards, facts.installed)),
    Check("cuda-versions", lambda facts: gpu.cuda_versions(facts.installed, facts.libraries.torch)),
    Check("card", _card),
    Check("faiss-gpu", _faiss_gpu),
    Check("recall", _recall),
    Check("embedding", _embedding),
)
"""What processes of their own tell."""
DIRECTORY: tuple[Check[Path], ...] = (
    Check("database", folder.database),
    Check("file-system", folder.file_system),
    Check("space", folder.space),
    Check("writer", folder.writer),
    Check("collections", folder.collections),
)
"""What a database directory tells; after an error the next ones are left out."""


def examine(directory: Path | None = None, *, quick: bool = False, outside: Outside | None = None) -> Iterator[Finding]:
    """All findings, each as soon as it is known: of the machine, of the installation, of a database directory.

    Args:
        directory: a database's directory; without one, nothing is looked at there.
        quick: leave out what needs processes of their own, some ten seconds on two cores.
        outside: the world to look at; this one by default.
    """
    facts = Facts(outside or Outside())
    try:
        for check in QUICK if quick else (*QUICK, *TRIED):
            yield from guarded(check, facts)
    finally:
        facts.close()
    if directory is not None:
        yield from _directory(directory)


def _directory(directory: Path) -> Iterator[Finding]:
    """The findings of a directory, up to the first check with an error."""
    for check in DIRECTORY:
        found = list(guarded(check, directory))
        yield from found
        if any(finding.level == "error" for finding in found):
            return


def guarded(check: Check[S], subject: S) -> Iterator[Finding]:
    """The findings of a check, with its name; one that raises is an error itself, and ends no other."""
    try:
        for found in check.look(subject):
            yield Finding(found.level, found.what, found.fix, check.name)
    except Exception as problem:
        missing = isinstance(problem, ImportError)
        fix = "mend what the check versions says" if missing else "report this line; the other checks are not touched by it"
        failed = error(f"the check itself failed: {type(problem).__name__}: {problem}", fix)
        yield Finding(failed.level, failed.what, failed.fix, check.name)


__all__ = ["DIRECTORY", "QUICK", "TRIED", "Check", "Facts", "Finding", "Outside", "examine", "guarded"]
