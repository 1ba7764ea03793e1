"""The machine: interpreter, memory, disk, limits and the processor's instructions. Knows no package's version and no card."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nearfield.core.config import format_size
from nearfield.doctor.finding import Finding, error, ok, warn
from nearfield.doctor.libraries import Libraries
from nearfield.doctor.outside import Outside

LOW_SPACE = 1 << 30
FEWEST_FILES, FEW_FILES = 256, 1024
"""Open files below which opening fails soon, and below which a server with many connections or segments runs out."""
FEW_MAPS = 65_530
"""Mappings that Linux allows a process unless told otherwise; each segment takes a few, and PyTorch some hundreds."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder's disk: what it is for, and its free bytes."""

    purpose: str
    folder: str
    free: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What was read of the machine.

    Attributes:
        system: "Linux", "Darwin" or another.
        arch: such as "x86_64".
        python: the interpreter's version.
        wide: the interpreter is of 64 bits.
        processors: how many there are.
        flags: the processor's features, in lower case, as Linux names them; empty where they are not told.
        available: bytes of memory that can be had now, within the limit of a container.
        total: bytes of memory, or that limit.
        disks: of temporary files and of the current folder.
        files: open files that this process may have now, and to what it may raise that; None is no limit.
        maps: mappings that a process may have; None where the system tells no such limit.
        addresses: bytes of address space that this process may have; None is no limit.
    """

    system: str
    arch: str
    python: tuple[int, int, int]
    wide: bool
    processors: int
    flags: frozenset[str]
    available: int
    total: int
    disks: tuple[Disk, ...]
    files: tuple[int | None, int | None]
    maps: int | None
    addresses: int | None


def read(outside: Outside) -> Machine:
    """Reads this machine."""
    import psutil

    system, arch = platform.system(), platform.machine()
    memory = psutil.virtual_memory()
    limit, used = _container(outside)
    total = int(memory.total) if limit is None else min(int(memory.total), limit)
    available = int(memory.available) if limit is None else min(int(memory.available), max(0, limit - used))
    soft, hard = (_limited(n) for n in resource.getrlimit(resource.RLIMIT_NOFILE))
    return Machine(
        system,
        arch,
        sys.version_info[:3],
        sys.maxsize > 2**32,
        os.cpu_count() or 1,
        _flags(outside, system, arch),
        available,
        total,
        tuple(_disks({"temporary files": tempfile.gettempdir(), "the current folder": str(Path.cwd())})),
        (soft, hard),
        outside.number("proc/sys/vm/max_map_count"),
        _limited(resource.getrlimit(resource.RLIMIT_AS)[0]),
    )


def _limited(n: int) -> int | None:
    return None if n == resource.RLIM_INFINITY else n


def _container(outside: Outside) -> tuple[int | None, int]:
    """The memory limit of this control group (version 2), and what of it is used and cannot be given back."""
    limit = outside.number("sys/fs/cgroup/memory.max")
    used = outside.number("sys/fs/cgroup/memory.current") or 0
    stat = dict(pair.split(" ", 1) for pair in outside.text("sys/fs/cgroup/memory.stat").splitlines() if " " in pair)
    return limit, max(0, used - int(stat.get("inactive_file", 0)))


def _flags(outside: Outside, system: str, arch: str) -> frozenset[str]:
    """The processor's features."""
    for row in outside.text("proc/cpuinfo").splitlines():
        name, _, value = row.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.lower().split())
    if system == "Darwin" and arch == "x86_64":
        names = ["machdep.cpu.features", "machdep.cpu.leaf7_features"]
        return frozenset(outside.run(["sysctl", "-n", *names], 10, outside.environ).out.lower().split())
    return frozenset()


def _disks(folders: Mapping[str, str]) -> Iterator[Disk]:
    """The disks of some folders, each disk once."""
    seen: set[int] = set()
    for purpose, folder in folders.items():
        device = os.stat(folder).st_dev
        if device not in seen:
            seen.add(device)
            yield Disk(purpose, folder, shutil.disk_usage(folder).free)


def python(machine: Machine) -> Iterator[Finding]:
    """The interpreter is new enough, and of 64 bits; the system is one that is supported."""
    version = ".".join(map(str, machine.python))
    said = f"Python {version} on {machine.system} {machine.arch}, {machine.processors} processors"
    if machine.python < (3, 11) or not machine.wide:
        yield error(said, "use a 64-bit Python 3.11 or later")
    elif machine.system not in ("Linux", "Darwin"):
        yield error(said, "use Linux or macOS: the one-writer lock needs them")
    else:
        yield ok(said)


def memory(machine: Machine) -> Iterator[Finding]:
    """There is memory for a model and an index."""
    said = f"{format_size(machine.available)} of {format_size(machine.total)} memory available"
    if machine.available < LOW_SPACE:
        yield warn(said, "close other programs, or raise the container's limit: a model and an index need about 1 GB")
    else:
        yield ok(said)


def disk(machine: Machine) -> Iterator[Finding]:
    """There is room for temporary files, and where one is."""
    for found in machine.disks:
        said = f"{format_size(found.free)} free for {found.purpose} ({found.folder})"
        if found.free < LOW_SPACE:
            yield warn(said, f"free space on the disk of {found.folder}, or set TMPDIR to a folder on another")
        else:
            yield ok(said)


def files(machine: Machine) -> Iterator[Finding]:
    """A process may open enough files: connections and segments take some each."""
    soft, hard = machine.files
    said = "no limit on open files" if soft is None else f"{soft:,} open files allowed"
    if soft is None or soft >= FEW_FILES:
        yield ok(said)
        return
    fix = "ulimit -n 65536"
    if hard is not None and hard < FEW_FILES:
        said += f", and not to be raised above {hard:,}"
        fix = "raise it as root: LimitNOFILE=65536 in the service's unit, or --ulimit nofile=65536 for a container"
    yield (error if soft < FEWEST_FILES else warn)(said, fix)


def maps(machine: Machine) -> Iterator[Finding]:
    """A process may map enough files: segments and indexes are read through memory maps."""
    few = machine.maps is not None and machine.maps < FEW_MAPS
    if few:
        yield warn(f"{machine.maps:,} memory maps allowed (vm.max_map_count)", "sudo sysctl -w vm.max_map_count=262144")
    if machine.addresses is not None:
        said = f"the address space is limited to {format_size(machine.addresses)}: larger files cannot be mapped"
        yield warn(said, "ulimit -v unlimited")
    elif not few:
        yield ok("no limit on memory maps" if machine.maps is None else f"{machine.maps:,} memory maps allowed")


def instructions(
    machine: Machine, libraries: Libraries, environ: Mapping[str, str], packages: Mapping[str, str]
) -> Iterator[Finding]:
    """FAISS, torch and numpy use the processor's wide instructions. `packages`: the distribution of a library, by its name."""
    levels = []
    slow = False
    wide = "avx2" in machine.flags
    if machine.arch in ("x86_64", "AMD64") and machine.flags and not wide:
        slow = True
        yield warn(
            "this processor shows no AVX2: searches take several times as long",
            "in a virtual machine, pass the host's processor on (such as -cpu host); else use a processor made after 2013",
        )
    for name, level, plain, variable in _levels(libraries):
        levels.append(f"{name} {level}")
        if not (wide and plain):
            continue
        slow = True
        said = f"{name} computes without AVX2 ({level}), which this processor has: several times slower"
        if environ.get(variable):
            yield warn(f"{said}; {variable}={environ[variable]} is set", f"unset {variable}")
        else:
            yield warn(said, f"pip install --force-reinstall --no-cache-dir {packages.get(name, name)}")
    if levels and not slow:
        yield ok("instructions in use: " + ", ".join(levels))


def _levels(libraries: Libraries) -> Iterator[tuple[str, str, bool, str]]:
    """Of each library: its name, the instructions it uses, whether these are the plainest, what variable can hold it back."""
    if libraries.faiss is not None and libraries.faiss.level:
        plain = libraries.faiss.level.upper() in ("NONE", "GENERIC")
        yield "faiss", libraries.faiss.level, plain, "FAISS_SIMD_LEVEL"
    if libraries.torch is not None and libraries.torch.capability:
        plain = libraries.torch.capability.upper() in ("DEFAULT", "NO AVX")
        yield "torch", libraries.torch.capability, plain, "ATEN_CPU_CAPABILITY"
    if libraries.numpy is not None:
        plain = not {"AVX2", "X86_V3"} & set(libraries.numpy)
        yield "numpy", libraries.numpy[-1] if libraries.numpy else "none", plain, "NPY_DISABLE_CPU_FEATURES"


__all__ = ["Disk", "Machine", "disk", "files", "instructions", "maps", "memory", "python", "read"]
