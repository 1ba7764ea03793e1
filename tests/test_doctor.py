from pathlib import Path

import pytest

import nearfield as nf
from nearfield import doctor
from tests.cli.conftest import Cli, cli  # noqa: F401 - a fixture


def levels(findings: list[doctor.Finding]) -> set[str]:
    return {finding.level for finding in findings}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the check that starts processes."""
    monkeypatch.setattr(doctor, "MACHINE", tuple(check for check in doctor.MACHINE if check is not doctor.import_order))


@pytest.mark.slow
def test_both_import_orders_of_faiss_and_torch_work() -> None:
    pytest.importorskip("faiss")
    if not doctor._version("torch"):
        pytest.skip("torch is not installed")
    assert [finding.level for finding in doctor.import_order()] == ["ok", "ok"]


@pytest.mark.usefixtures("quick")
def test_a_sound_database_is_found_sound(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        db.create("c", embedder="hash:8").upsert([nf.Document("a", "t")])
        found = doctor.examine(tmp_path / "db")
    assert "error" not in levels(found)
    assert any("c: 1 documents" in finding.what for finding in found)
    assert any("has it open" in finding.what for finding in found)
    assert all(finding.fix for finding in found if finding.level != "ok")


@pytest.mark.usefixtures("quick")
def test_what_is_no_database_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    last = doctor.examine(tmp_path)[-1]
    assert last.level == "error"
    assert "nearfield create" in last.fix


@pytest.mark.usefixtures("quick")
def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db"):
        pass
    (tmp_path / "db" / "nearfield.sqlite").write_bytes(b"no database at all, but long enough to have a header" * 100)
    assert "error" in levels(doctor.examine(tmp_path / "db"))


def test_both_faiss_wheels_together_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda name: "1.0" if name.startswith("faiss-") else "")
    (finding,) = doctor.faiss_package()
    assert finding.level == "error"
    assert "pip uninstall" in finding.fix
    monkeypatch.setattr(doctor, "_version", lambda name: "")
    assert [f.level for f in doctor.faiss_package()] == ["error"]
    assert [f.level for f in doctor.models()] == ["warn"]


def test_little_space_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 5_000_000})())
    (finding,) = doctor.space(tmp_path)
    assert finding.level == "error"


@pytest.mark.usefixtures("quick")
def test_the_verb_prints_findings_and_answers_with_its_code(cli: Cli, tmp_path: Path) -> None:  # noqa: F811
    said = cli("doctor", tmp_path, "--json")
    assert said.code == 1
    assert said.json[-1]["level"] == "error"
    assert "fix: nearfield create" in cli("doctor", tmp_path).out
