"""Driver, cards, torch and FAISS that do not fit together, as values."""

from dataclasses import replace

import pytest

from nearfield.doctor import gpu
from nearfield.doctor.driver import Driver
from nearfield.doctor.libraries import Card, Torch
from nearfield.doctor.packages import Installed, Wheel
from tests.doctor.conftest import levels, only
from tests.doctor.test_wheels import COMMUNITY, CPU, CUVS, OFFICIAL, THIRTEEN

HOPPER = Card("NVIDIA H200", (9, 0), 141 << 30)
TURING = Card("Tesla T4", (7, 5), 15 << 30)
VOLTA = Card("Tesla V100", (7, 0), 16 << 30)
BLACKWELL = Card("NVIDIA GeForce RTX 5090", (12, 0), 32 << 30)
ARCHS = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120")
TORCH_13 = Torch("2.13.0", "13.0", None, ARCHS, (HOPPER,), "AVX512")
TORCH_12 = replace(TORCH_13, version="2.10.0+cu126", cuda="12.6")
TORCH_CPU = Torch("2.13.0+cpu", capability="AVX512")
NEW, MIDDLE, OLD = (Driver(version, (HOPPER,), "NVML", present=1) for version in ("580.65.06", "535.129.03", "470.57.02"))
WITH_CPU = Installed({"torch": "2.13.0"}, (CPU,))
CU126 = "https://download.pytorch.org/whl/cu126"


def test_a_machine_without_a_card_is_well() -> None:
    assert "searches run on the processor" in only(gpu.driver(Driver(), TORCH_CPU, WITH_CPU, {})).what
    assert list(gpu.torch_kernels((), TORCH_CPU)) == []
    assert list(gpu.faiss_kernels((), WITH_CPU)) == []
    assert list(gpu.cuda_versions(WITH_CPU, TORCH_CPU)) == []


@pytest.mark.parametrize(("driver", "torch"), [(NEW, TORCH_13), (NEW, TORCH_12), (MIDDLE, TORCH_12)])
def test_a_driver_new_enough_is_well(driver: Driver, torch: Torch) -> None:
    found = only(gpu.driver(driver, torch, WITH_CPU, {}))
    assert found.level == "ok"
    assert driver.version in found.what
    assert "H200" in found.what


@pytest.mark.parametrize(
    ("driver", "torch", "least", "other"),
    [(MIDDLE, TORCH_13, "580", CU126), (OLD, TORCH_13, "580", ""), (OLD, TORCH_12, "525", ""),
     (Driver("524.99", (HOPPER,)), TORCH_12, "525", ""), (Driver("579.99", (HOPPER,)), TORCH_13, "580", CU126)],
)  # fmt: skip
def test_a_driver_too_old_for_torch_is_an_error(driver: Driver, torch: Torch, least: str, other: str) -> None:
    found = only(gpu.driver(driver, replace(torch, cards=(), problem="driver too old"), WITH_CPU, {}))
    assert found.level == "error"
    assert f"update the driver to {least} or later" in found.fix
    assert (CU126 in found.fix) == bool(other)


@pytest.mark.parametrize(
    ("driver", "fix"),
    [(NEW, "whl/cu130"), (MIDDLE, CU126), (OLD, "update the driver to 580")],
)
def test_a_torch_for_processors_beside_a_card_is_a_warning(driver: Driver, fix: str) -> None:
    found = only(gpu.driver(driver, TORCH_CPU, WITH_CPU, {}))
    assert found.level == "warn"
    assert fix in found.fix


def test_a_torch_that_is_missing_broken_or_for_other_cards_is_a_warning() -> None:
    missing = only(gpu.driver(NEW, None, Installed({}), {}))
    assert (missing.level, missing.fix) == ("warn", "pip install 'nearfield[models]'")
    broken = only(gpu.driver(NEW, None, WITH_CPU, {}))
    assert "imports" in broken.fix
    other = only(gpu.driver(NEW, replace(TORCH_CPU, hip="6.2"), WITH_CPU, {}))
    assert "ROCm" in other.what


def test_a_card_without_a_driver_is_a_warning() -> None:
    found = only(gpu.driver(Driver(present=2), TORCH_CPU, WITH_CPU, {}))
    assert found.level == "warn"
    assert "2 NVIDIA cards" in found.what
    assert "driver 580" in found.fix


def test_a_driver_that_does_not_answer_is_an_error() -> None:
    for version in ("", "535.129.03"):
        found = only(gpu.driver(Driver(version, problem="NVML: Driver/library version mismatch"), TORCH_13, WITH_CPU, {}))
        assert found.level == "error"
        assert "restart" in found.fix


def test_a_torch_that_sees_no_card_says_why() -> None:
    blind = replace(TORCH_13, cards=(), problem="No CUDA GPUs are available")
    hidden = only(gpu.driver(NEW, blind, WITH_CPU, {"CUDA_VISIBLE_DEVICES": ""}))
    assert (hidden.level, hidden.fix) == ("warn", "unset CUDA_VISIBLE_DEVICES")
    refused = only(gpu.driver(NEW, blind, WITH_CPU, {}))
    assert refused.level == "error"
    assert "No CUDA GPUs are available" in refused.what
    outside = only(gpu.driver(replace(NEW, cards=()), blind, WITH_CPU, {}))
    assert outside.level == "warn"
    assert "--gpus all" in outside.fix


def test_a_driver_too_old_for_faiss_is_an_error() -> None:
    (found,) = (f for f in gpu.driver(MIDDLE, TORCH_12, Installed({}, (CUVS,)), {}) if f.level != "ok")
    assert found.level == "error"
    assert "pip uninstall -y faiss-gpu-cuvs && pip install faiss-gpu" in found.fix
    assert levels(gpu.driver(MIDDLE, TORCH_12, Installed({}, (OFFICIAL,)), {})) == ["ok"]
    old = gpu.driver(OLD, replace(TORCH_12, cards=()), Installed({}, (OFFICIAL,)), {})
    assert levels(old) == ["error", "error"]


@pytest.mark.parametrize(
    ("card", "archs", "level", "fix"),
    [
        (HOPPER, ARCHS, "ok", ""),
        (TURING, ARCHS, "ok", ""),
        (VOLTA, ARCHS, "error", CU126),
        (BLACKWELL, ("sm_80", "sm_90", "compute_90"), "warn", "pip install --upgrade torch"),
        (BLACKWELL, ("sm_80", "sm_90"), "error", "pip install --upgrade torch"),
    ],
)
def test_a_card_is_compared_with_the_kernels_of_torch(card: Card, archs: tuple[str, ...], level: str, fix: str) -> None:
    found = only(gpu.torch_kernels((card,), replace(TORCH_13, archs=archs)))
    assert found.level == level
    assert fix in found.fix
    assert card.name in found.what


def test_nothing_is_said_of_kernels_that_nobody_tells() -> None:
    assert list(gpu.torch_kernels((HOPPER,), None)) == []
    assert list(gpu.torch_kernels((HOPPER,), replace(TORCH_13, archs=()))) == []
    assert list(gpu.torch_kernels((Card("unknown"),), TORCH_13)) == []
    assert list(gpu.faiss_kernels((Card("unknown"),), Installed({}, (OFFICIAL,)))) == []


@pytest.mark.parametrize(
    ("wheel", "card", "level", "fix"),
    [
        (OFFICIAL, HOPPER, "ok", ""),
        (OFFICIAL, BLACKWELL, "warn", "pip install --upgrade faiss-gpu"),
        (CUVS, HOPPER, "ok", ""),
        (CUVS, VOLTA, "error", "pip install faiss-gpu"),
        (COMMUNITY, HOPPER, "error", "pip uninstall -y faiss-gpu-cu12 && pip install faiss-gpu"),
        (COMMUNITY, TURING, "ok", ""),
        (THIRTEEN, HOPPER, "ok", ""),
        (THIRTEEN, TURING, "error", "pip uninstall -y faiss-cuda && pip install faiss-gpu"),
        (OFFICIAL, Card("Tesla P100", (6, 0)), "error", "pip uninstall -y faiss-gpu && pip install faiss-cpu"),
        (CPU, HOPPER, "ok", ""),
        (Wheel("faiss-gpu", "1.99"), HOPPER, "ok", ""),
    ],
    ids=lambda value: value.name if isinstance(value, Wheel | Card) else None,
)
def test_a_card_is_compared_with_the_kernels_of_faiss(wheel: Wheel, card: Card, level: str, fix: str) -> None:
    found = only(gpu.faiss_kernels((card,), Installed({}, (wheel,))))
    assert found.level == level
    assert found.fix.endswith(fix)
    assert level != "error" or "no kernel image" in found.what


def test_each_card_is_compared() -> None:
    assert levels(gpu.torch_kernels((HOPPER, VOLTA), TORCH_13)) == ["ok", "error"]
    assert levels(gpu.faiss_kernels((HOPPER, VOLTA), Installed({}, (CUVS,)))) == ["ok", "error"]


@pytest.mark.parametrize(
    ("wheel", "torch", "level", "fix"),
    [
        (OFFICIAL, TORCH_13, "warn", CU126),
        (CUVS, TORCH_12, "warn", "pip uninstall -y faiss-gpu-cuvs && pip install faiss-gpu"),
        (OFFICIAL, TORCH_12, "ok", ""),
        (THIRTEEN, TORCH_13, "ok", ""),
    ],
)
def test_faiss_and_torch_of_different_cuda_are_a_warning(wheel: Wheel, torch: Torch, level: str, fix: str) -> None:
    found = only(gpu.cuda_versions(Installed({}, (wheel,)), torch))
    assert found.level == level
    assert fix in found.fix
