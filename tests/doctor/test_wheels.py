"""The rules by which CUDA code runs on a card, and what FAISS wheels hold, against NVIDIA's rules written out."""

import pytest

from nearfield.doctor import wheels
from nearfield.doctor.packages import Wheel

OFFICIAL = Wheel("faiss-gpu", "1.15.1", ("numpy>=1.25", "nvidia-cuda-runtime-cu12<13,>=12.6", "nvidia-cublas-cu12<13,>=12.6"))
CUVS = Wheel("faiss-gpu-cuvs", "1.15.1", ("numpy>=1.25", "nvidia-cuda-runtime<14,>=13.2", "nvidia-cublas<14,>=13.2"))
COMMUNITY = Wheel("faiss-gpu-cu12", "1.14.1.post1", ("nvidia-cuda-runtime-cu12>=12.1.105",))
THIRTEEN = Wheel("faiss-cuda", "1.14.1.post4", ("nvidia-cuda-runtime<14,>=13.0",))
TWELVE = Wheel("faiss-cuda", "1.14.3.post0", ("nvidia-cuda-runtime-cu12>=12.8",))
CPU = Wheel("faiss-cpu", "1.15.1", ("numpy>=1.25", "packaging"))


@pytest.mark.parametrize(
    ("capability", "compiled", "how"),
    [
        ((9, 0), ["sm_90"], "code"),
        ((8, 6), ["sm_80"], "code"),
        ((8, 0), ["sm_86"], ""),
        ((9, 0), ["sm_70", "sm_80"], ""),
        ((9, 0), ["sm_80", "compute_80"], "ptx"),
        ((12, 0), ["sm_90", "compute_90"], "ptx"),
        ((7, 5), ["compute_90"], ""),
        ((9, 0), ["sm_90a"], "code"),
        ((10, 0), ["sm_90a"], ""),
        ((10, 3), ["sm_100f"], "code"),
        ((10, 3), ["sm_100a"], ""),
        ((12, 0), ["compute_120"], "ptx"),
        ((12, 1), ["sm_120"], "code"),
        ((9, 0), ["compute_80", "sm_90"], "code"),
        ((9, 0), ["gfx942", ""], ""),
    ],
)
def test_code_runs_where_nvidia_says_it_does(capability: tuple[int, int], compiled: list[str], how: str) -> None:
    assert wheels.runs(capability, compiled) == how


@pytest.mark.parametrize(
    ("wheel", "hopper", "turing", "consumer_blackwell"),
    [(OFFICIAL, "code", "code", "ptx"), (CUVS, "code", "code", "ptx"), (COMMUNITY, "", "code", ""),
     (THIRTEEN, "code", "", ""), (TWELVE, "code", "code", "")],
    ids=lambda value: value.name if isinstance(value, Wheel) else "",
)  # fmt: skip
def test_each_wheel_runs_where_its_code_does(wheel: Wheel, hopper: str, turing: str, consumer_blackwell: str) -> None:
    compiled = wheels.archs(wheel)
    assert [wheels.runs(c, compiled) for c in ((9, 0), (7, 5), (12, 0))] == [hopper, turing, consumer_blackwell]


@pytest.mark.parametrize(
    "wheel", [CPU, Wheel("faiss-gpu", "1.16.0"), Wheel("faiss-gpu", "1.15.10"), Wheel("faiss-gpu", "1.7.2")]
)
def test_what_was_not_looked_into_is_not_guessed(wheel: Wheel) -> None:
    assert wheels.archs(wheel) == ()


@pytest.mark.parametrize(
    ("wheel", "major"), [(OFFICIAL, 12), (CUVS, 13), (COMMUNITY, 12), (THIRTEEN, 13), (TWELVE, 12), (CPU, None)]
)
def test_the_cuda_of_a_wheel_is_what_it_asks_for(wheel: Wheel, major: int | None) -> None:
    assert wheels.cuda_major(wheel) == major
    assert wheels.on_cards(wheel) == (major is not None)


def test_the_cuda_of_a_wheel_that_asks_for_nothing_is_in_its_name_or_unknown() -> None:
    assert wheels.cuda_major(Wheel("faiss-gpu-cu11", "1.10.0")) == 11
    assert wheels.cuda_major(Wheel("faiss-gpu", "1.7.2")) is None
    assert wheels.on_cards(Wheel("faiss-gpu", "1.7.2"))
