"""NVIDIA's driver and its cards, read from whatever tells: nvidia-ml-py, nvidia-smi, /proc, the PCI bus. Judges nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nearfield.doctor.libraries import Card
from nearfield.doctor.outside import Outside

SMI_SECONDS = 20
_NVIDIA, _DISPLAY = "0x10de", "0x03"
"""The maker's number on the PCI bus, and how the class of a graphics card begins."""
_FIELDS = "driver_version,name,memory.total"
_VERSION = re.compile(r"(?<![\w.])(\d{3,}\.\d+(?:\.\d+)?)(?![\w.])")


@dataclass(frozen=True, slots=True)
class Driver:
    """NVIDIA's driver.

    Attributes:
        version: such as "580.65.06"; empty where there is none.
        cards: those it serves.
        source: who told.
        problem: why it does not answer, in its own words; empty where it does, or is not there.
        present: how many cards the PCI bus shows, driver or none.
    """

    version: str = ""
    cards: tuple[Card, ...] = ()
    source: str = ""
    problem: str = ""
    present: int = 0

    @property
    def major(self) -> int:
        """The version's first number; 0 where there is none."""
        return int(self.version.split(".")[0]) if self.version else 0


def read(outside: Outside) -> Driver:
    """Asks each source until one answers."""
    present = sum(1 for _ in _on_bus(outside))
    problem = ""
    for ask in (_by_library, _by_program):
        version, cards, trouble = ask(outside)
        if version:
            return Driver(version, cards, "NVML" if ask is _by_library else "nvidia-smi", present=present)
        problem = problem or trouble
    match = _VERSION.search(outside.text("proc/driver/nvidia/version"))
    version = match[1] if match else ""
    if problem and not version and not present:
        problem = ""  # what is installed for a card that is not here
    return Driver(version, tuple(_in_proc(outside)), "/proc" if version else "", problem, present)


Answer = tuple[str, tuple[Card, ...], str]
"""The driver's version, its cards, and what went wrong."""


def _by_library(outside: Outside) -> Answer:
    """Asks NVML."""
    nvml = outside.nvml()
    if nvml is None:
        return "", (), ""
    try:
        nvml.nvmlInit()
        try:
            handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
            return _text(nvml.nvmlSystemGetDriverVersion()), tuple(_card(nvml, handle) for handle in handles), ""
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError as error:
        missing = "LibraryNotFound" in type(error).__name__ or "not found" in str(error).lower()
        return "", (), "" if missing else f"NVML: {error}"


def _card(nvml: Any, handle: Any) -> Card:
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    name = _text(nvml.nvmlDeviceGetName(handle))
    return Card(name, (int(major), int(minor)), int(nvml.nvmlDeviceGetMemoryInfo(handle).total))


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _by_program(outside: Outside) -> Answer:
    """Asks nvidia-smi; one too old to know the compute capability is asked without."""
    trouble = ""
    for fields in (f"{_FIELDS},compute_cap", _FIELDS):
        command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
        ran = outside.run(command, SMI_SECONDS, outside.environ)
        rows = [[part.strip() for part in row.split(",")] for row in ran.out.splitlines() if row.strip()]
        if ran.code == 0 and rows and _VERSION.fullmatch(rows[0][0]):
            return rows[0][0], tuple(_told(row) for row in rows), ""
        if ran.hung:
            return "", (), f"nvidia-smi: no answer in {SMI_SECONDS} s"
        if ran.code is None:
            return "", (), ""
        trouble = next(iter((ran.out or ran.err).strip().splitlines()), f"ended with {ran.code}")
    return "", (), "" if "no devices" in trouble.lower() else f"nvidia-smi: {trouble}"


def _told(row: list[str]) -> Card:
    """A card from one row: driver, name, MiB, and perhaps the capability."""
    capability = re.fullmatch(r"(\d+)\.(\d+)", row[3]) if len(row) > 3 else None
    memory = int(row[2]) << 20 if len(row) > 2 and row[2].isdigit() else 0
    return Card(row[1], (int(capability[1]), int(capability[2])) if capability else None, memory)


def _in_proc(outside: Outside) -> Iterator[Card]:
    """The cards that the driver's folder in /proc names."""
    for path in sorted(outside.root.glob("proc/driver/nvidia/gpus/*/information")):
        match = re.search(r"^Model:\s*(.+?)\s*$", outside.text(str(path.relative_to(outside.root))), re.M)
        yield Card(match[1] if match else "NVIDIA card")


def _on_bus(outside: Outside) -> Iterator[str]:
    """The places on the PCI bus that hold a card of NVIDIA's."""
    for path in sorted(outside.root.glob("sys/bus/pci/devices/*")):
        where = path.relative_to(outside.root)
        maker, kind = outside.text(f"{where}/vendor").strip(), outside.text(f"{where}/class").strip()
        if maker == _NVIDIA and kind.startswith(_DISPLAY):
            yield path.name


__all__ = ["Driver", "read"]
