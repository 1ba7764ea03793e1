"""Interpreter, memory, disks, limits and instructions, read from faked files and judged from faked values."""

import platform
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from nearfield.doctor import machine
from nearfield.doctor.libraries import Faiss, Libraries, Torch
from nearfield.doctor.machine import Disk, Machine
from tests.doctor.conftest import World, levels, only

GB = 1 << 30
FLAGS = frozenset({"avx", "avx2", "fma"})
SOUND = Machine(
    "Linux", "x86_64", (3, 12, 1), True, 8, FLAGS, 8 * GB, 16 * GB, (Disk("temporary files", "/tmp", 50 * GB),),
    (4096, 1 << 20), 65_530, None,
)  # fmt: skip
WIDE = Libraries(Torch("2.13.0", capability="AVX512"), Faiss("1.15.1", level="AVX2"), ("X86_V2", "X86_V3"))


def test_a_sound_machine_is_found_sound() -> None:
    checks = (machine.python, machine.memory, machine.disk, machine.files, machine.maps)
    assert [only(check(SOUND)).level for check in checks] == ["ok"] * len(checks)
    assert "AVX512" in only(machine.instructions(SOUND, WIDE, {}, {})).what


@pytest.mark.parametrize(
    "other", [{"python": (3, 10, 9)}, {"wide": False}, {"system": "Windows"}], ids=["old", "32 bits", "system"]
)
def test_an_interpreter_or_system_that_will_not_do_is_an_error(other: dict[str, object]) -> None:
    assert only(machine.python(replace(SOUND, **other))).level == "error"


def test_little_memory_and_a_full_disk_are_said() -> None:
    assert only(machine.memory(replace(SOUND, available=GB // 2))).level == "warn"
    found = only(machine.disk(replace(SOUND, disks=(Disk("temporary files", "/tmp", GB // 2),))))
    assert found.level == "warn"
    assert "TMPDIR" in found.fix


@pytest.mark.parametrize(
    ("files", "level", "fix"),
    [
        ((None, None), "ok", ""),
        ((1024, 4096), "ok", ""),
        ((512, 1 << 20), "warn", "ulimit -n 65536"),
        ((512, 512), "warn", "LimitNOFILE"),
        ((128, None), "error", "ulimit -n 65536"),
    ],
)
def test_a_low_limit_on_open_files_is_said(files: tuple[int | None, int | None], level: str, fix: str) -> None:
    found = only(machine.files(replace(SOUND, files=files)))
    assert found.level == level
    assert fix in found.fix


def test_few_memory_maps_and_little_address_space_are_said() -> None:
    assert "sysctl" in only(machine.maps(replace(SOUND, maps=4096))).fix
    assert "ulimit -v" in only(machine.maps(replace(SOUND, addresses=4 * GB))).fix
    assert levels(machine.maps(replace(SOUND, maps=4096, addresses=4 * GB))) == ["warn", "warn"]
    assert only(machine.maps(replace(SOUND, maps=None))).level == "ok"


@pytest.mark.parametrize(
    ("slow", "name", "variable"),
    [
        (replace(WIDE, faiss=Faiss("1.15.1", level="NONE")), "faiss", "FAISS_SIMD_LEVEL"),
        (replace(WIDE, torch=Torch("2.13.0", capability="DEFAULT")), "torch", "ATEN_CPU_CAPABILITY"),
        (replace(WIDE, numpy=("SSE", "SSE42")), "numpy", "NPY_DISABLE_CPU_FEATURES"),
    ],
    ids=["faiss", "torch", "numpy"],
)
def test_a_build_that_leaves_avx2_unused_is_slow(slow: Libraries, name: str, variable: str) -> None:
    found = only(machine.instructions(SOUND, slow, {}, {"faiss": "faiss-gpu"}))
    assert found.level == "warn"
    assert found.fix == f"pip install --force-reinstall --no-cache-dir {'faiss-gpu' if name == 'faiss' else name}"
    held = only(machine.instructions(SOUND, slow, {variable: "NONE"}, {}))
    assert held.fix == f"unset {variable}"


def test_a_processor_without_avx2_is_said_once_and_its_builds_are_not_blamed() -> None:
    old = replace(SOUND, flags=frozenset({"sse4_2"}))
    slow = replace(WIDE, faiss=Faiss("1.15.1", level="NONE"))
    assert "no AVX2" in only(machine.instructions(old, slow, {}, {})).what
    arm = replace(SOUND, arch="aarch64", flags=frozenset({"asimd"}))
    assert only(machine.instructions(arm, replace(WIDE, faiss=Faiss("1.15.1", level="ARM_NEON")), {}, {})).level == "ok"
    assert list(machine.instructions(SOUND, Libraries(), {}, {})) == []


def test_the_files_of_the_system_are_read(world: World) -> None:
    world.file("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu AVX2 sse\nprocessor\t: 1\nflags\t\t: none\n")
    world.file("proc/sys/vm/max_map_count", "1234\n")
    found = machine.read(world.outside)
    assert found.flags == {"fpu", "avx2", "sse"}
    assert found.maps == 1234
    assert found.python[:2] >= (3, 11)
    assert found.disks


def test_the_memory_of_a_container_is_its_limit(world: World) -> None:
    total = psutil.virtual_memory().total
    assert machine.read(world.outside).total == total
    world.file("sys/fs/cgroup/memory.max", "1000000\n")
    world.file("sys/fs/cgroup/memory.current", "900000\n")
    world.file("sys/fs/cgroup/memory.stat", "anon 300000\ninactive_file 600000\n")
    found = machine.read(world.outside)
    assert (found.total, found.available) == (1_000_000, 700_000)
    world.file("sys/fs/cgroup/memory.max", "max\n")
    assert machine.read(world.outside).total == total


def test_two_folders_of_one_disk_are_one_disk(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert [d.purpose for d in machine.read(world.outside).disks] == ["temporary files"]


@pytest.mark.skipif(platform.system() != "Linux", reason="the file is Linux's")
def test_a_machine_without_such_files_is_read_too(world: World) -> None:
    found = machine.read(world.outside)
    assert found.flags == frozenset()
    assert found.maps is None
