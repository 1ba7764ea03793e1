"""The driver, from each of the places that can tell of it, each of them faked."""

from types import SimpleNamespace
from typing import Any

import pytest

from nearfield.doctor import driver
from nearfield.doctor.driver import Driver
from nearfield.doctor.libraries import Card
from nearfield.doctor.outside import Ran
from tests.doctor.conftest import World

GIB = 1 << 30
PROC = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023\nGCC version:  gcc 12.2\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n"


class NVMLError(Exception):
    pass


class NVMLError_LibraryNotFound(NVMLError):
    pass


def library(fails: Exception | None = None, version: Any = "580.65.06") -> Any:
    """A pynvml of one H200, or one that does not start."""

    def init() -> None:
        if fails is not None:
            raise fails

    return SimpleNamespace(
        NVMLError=NVMLError, nvmlInit=init, nvmlShutdown=lambda: None, nvmlSystemGetDriverVersion=lambda: version,
        nvmlDeviceGetCount=lambda: 1, nvmlDeviceGetHandleByIndex=lambda i: i, nvmlDeviceGetName=lambda h: b"NVIDIA H200",
        nvmlDeviceGetCudaComputeCapability=lambda h: (9, 0),
        nvmlDeviceGetMemoryInfo=lambda h: SimpleNamespace(total=141 * GIB),
    )  # fmt: skip


def test_a_machine_without_driver_and_card_has_neither(world: World) -> None:
    assert driver.read(world.outside) == Driver()


@pytest.mark.parametrize("version", ["580.65.06", b"580.65.06"])
def test_the_library_is_asked_first(world: World, version: Any) -> None:
    world.nvml = library(version=version)
    found = driver.read(world.outside)
    assert found == Driver("580.65.06", (Card("NVIDIA H200", (9, 0), 141 * GIB),), "NVML")
    assert found.major == 580
    assert world.asked == []


def test_the_program_is_asked_where_the_library_is_missing(world: World) -> None:
    world.nvml = library(NVMLError_LibraryNotFound("NVML Shared Library Not Found"))
    world.answers[("nvidia-smi",)] = Ran(0, "535.129.03, Tesla T4, 15360, 7.5\n535.129.03, NVIDIA A100, 40960, 8.0\n")
    cards = (Card("Tesla T4", (7, 5), 15 * GIB), Card("NVIDIA A100", (8, 0), 40 * GIB))
    assert driver.read(world.outside) == Driver("535.129.03", cards, "nvidia-smi")


def test_a_program_too_old_to_tell_the_capability_is_asked_without(world: World) -> None:
    class Old(World):
        def run(self, command: Any, seconds: float, environ: Any) -> Ran:
            if "compute_cap" in command[1]:
                return Ran(2, 'Field "compute_cap" is not a valid field to query.\n')
            return Ran(0, "470.57.02, Tesla T4, [N/A]\n")

    assert driver.read(Old(world.folder).outside) == Driver("470.57.02", (Card("Tesla T4"),), "nvidia-smi")


@pytest.mark.parametrize(("text", "version"), [(PROC, "535.129.03"), (OPEN, "580.65.06")])
def test_the_system_tells_where_nothing_else_does(world: World, text: str, version: str) -> None:
    world.file("proc/driver/nvidia/version", text)
    world.file("proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: \t\t NVIDIA L4\nIRQ:   \t\t 98\n")
    assert driver.read(world.outside) == Driver(version, (Card("NVIDIA L4"),), "/proc")


def test_a_card_without_a_driver_is_seen_on_the_bus(world: World) -> None:
    world.card()
    world.file("sys/bus/pci/devices/0000:00:02.0/vendor", "0x8086\n")
    world.file("sys/bus/pci/devices/0000:00:02.0/class", "0x030000\n")
    world.file("sys/bus/pci/devices/0000:01:00.1/vendor", "0x10de\n")
    world.file("sys/bus/pci/devices/0000:01:00.1/class", "0x040300\n")
    assert driver.read(world.outside) == Driver(present=1)


def test_a_library_that_does_not_fit_its_driver_is_a_problem(world: World) -> None:
    world.card()
    world.nvml = library(NVMLError("Driver/library version mismatch"))
    world.answers[("nvidia-smi",)] = Ran(18, "Failed to initialize NVML: Driver/library version mismatch\n")
    world.file("proc/driver/nvidia/version", PROC)
    found = driver.read(world.outside)
    assert found.problem == "NVML: Driver/library version mismatch"
    assert found.version == "535.129.03"
    world.nvml = None
    assert "version mismatch" in driver.read(world.outside).problem


def test_a_program_that_hangs_is_a_problem_only_where_a_card_is(world: World) -> None:
    world.answers[("nvidia-smi",)] = Ran(None, hung=True)
    assert driver.read(world.outside).problem == ""
    world.card()
    assert "no answer" in driver.read(world.outside).problem


def test_a_driver_without_cards_has_none_and_no_problem(world: World) -> None:
    world.answers[("nvidia-smi",)] = Ran(6, "No devices were found\n")
    world.file("proc/driver/nvidia/version", OPEN)
    assert driver.read(world.outside) == Driver("580.65.06", (), "/proc")
