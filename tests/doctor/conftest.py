"""Worlds to look at: faked files, packages, programs and processes; none of this machine's."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nearfield.doctor.child import MARK
from nearfield.doctor.finding import Finding
from nearfield.doctor.outside import Outside, Ran


def levels(findings: Any) -> list[str]:
    return [finding.level for finding in findings]


def told(result: Any, *steps: str) -> Ran:
    """A trial that came to its end."""
    rows = [{"step": step} for step in steps] + [{"result": result}]
    return Ran(0, "".join(MARK + json.dumps(row) + "\n" for row in rows))


def only(findings: Any) -> Finding:
    """The one finding there is, which has a remedy exactly if something is wrong."""
    (finding,) = list(findings)
    assert bool(finding.fix) == (finding.level != "ok"), finding
    assert "\n" not in finding.what + finding.fix
    return finding


@dataclass
class World:
    """A world below a folder. What `answers` has no answer for is not installed, or ends with an error."""

    folder: Path
    answers: dict[tuple[str, ...], Ran] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    nvml: Any = None
    asked: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def outside(self) -> Outside:
        return Outside(self.folder / "root", self.environ, (str(self.folder / "packages"),), self.run, lambda: self.nvml)

    def run(self, command: Sequence[str], seconds: float, environ: Mapping[str, str]) -> Ran:
        """Answers a trial by its name and arguments, another program by its name."""
        words = tuple(command[4:]) if command[1] == "-c" else (command[0],)
        self.asked.append(words)
        return self.answers.get(words, Ran(None, err=f"no such file: {words[0]}"))

    def file(self, path: str, text: str) -> None:
        """A file of the system."""
        place = self.folder / "root" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def package(self, name: str, version: str, requires: Sequence[str] = (), files: Sequence[str] = ()) -> None:
        """An installed distribution with some files."""
        packages = self.folder / "packages"
        about = packages / f"{name.replace('-', '_')}-{version}.dist-info"
        about.mkdir(parents=True)
        needs = "".join(f"Requires-Dist: {need}\n" for need in requires)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        (about / "RECORD").write_text("".join(f"{file},,\n" for file in files))
        for file in files:
            (packages / file).parent.mkdir(parents=True, exist_ok=True)
            (packages / file).write_text("x")

    def card(self, place: str = "0000:01:00.0") -> None:
        """A card of NVIDIA's on the PCI bus."""
        self.file(f"sys/bus/pci/devices/{place}/vendor", "0x10de\n")
        self.file(f"sys/bus/pci/devices/{place}/class", "0x030200\n")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
