"""Processes that crash, hang, fail or end well, real ones among them, and what is told of each."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from nearfield.doctor import child, trials
from nearfield.doctor.child import MARK
from nearfield.doctor.outside import Outside, Ran, run
from nearfield.doctor.trials import Trials, outcome


def python(code: str, seconds: float = 60) -> Ran:
    return run([sys.executable, "-c", code], seconds, {})


def test_a_result_counts_only_where_the_process_ended_well() -> None:
    said = MARK + json.dumps({"step": "search"}) + "\nchatter of a library\n" + MARK + json.dumps({"result": {"a": 1}}) + "\n"
    good = outcome(Ran(0, said), 5)
    assert (good.result, good.problem) == ({"a": 1}, "")
    bad = outcome(Ran(-11, said), 5)
    assert bad.result is None
    assert bad.problem == "crashed with SIGSEGV (a segmentation fault)"
    assert bad.step == "search"


def test_what_a_crash_cut_off_is_passed_over() -> None:
    cut = outcome(Ran(-6, MARK + '{"step": "import torch"}\n' + MARK + '{"st'), 5)
    assert (cut.step, cut.signal) == ("import torch", 6)


@pytest.mark.parametrize(
    ("ran", "problem"),
    [
        (Ran(1, MARK + '{"error": "ImportError: no libgomp"}\n', "Traceback\nImportError: no\n"), "ImportError: no libgomp"),
        (Ran(1, "", "Traceback\n  line\nOSError: cannot load\n\n"), "OSError: cannot load"),
        (Ran(3), "ended with 3, and told nothing"),
        (Ran(0), "ended with 0, and told nothing"),
        (Ran(None, err="no such file"), "could not be started (no such file)"),
        (Ran(None, hung=True), "no answer in 7 s"),
        (Ran(-100), "ended by signal 100"),
    ],
)
def test_how_it_ended_is_said_in_words(ran: Ran, problem: str) -> None:
    found = outcome(ran, 7)
    assert found.problem == problem
    assert found.result is None


@pytest.mark.parametrize("number", [4, 6, 8, 9, 11])
def test_a_process_that_really_dies_of_a_signal_is_named(number: int) -> None:
    found = outcome(python(f"import os; os.kill(os.getpid(), {number})"), 60)
    assert found.signal == number
    assert "SIG" in found.problem


def test_a_process_that_really_hangs_is_ended() -> None:
    found = outcome(python(f'import time; print({MARK!r} + \'{{"step": "wait"}}\', flush=True); time.sleep(600)', 1), 1)
    assert found.hung
    assert found.step == "wait"


def test_a_program_that_is_not_installed_is_no_crash(tmp_path: Path) -> None:
    assert run([str(tmp_path / "none")], 1, {}).code is None


def test_a_real_trial_comes_to_its_end_offline() -> None:
    pool = Trials(Outside())
    try:
        found = pool.ended("libraries")
        assert found.problem == ""
        assert set(found.result) == {"torch", "faiss", "numpy", "openmp"}
        broken = pool.ended("libraries", "nearfield_has_no_such_module")
        assert broken.problem.startswith("ModuleNotFoundError")
        assert broken.step == "import nearfield_has_no_such_module"
        assert pool.ended("libraries") is found
    finally:
        pool.close()
    assert Trials(Outside(environ={"A": "b"}))._environ() == {"A": "b", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def test_every_trial_has_its_time() -> None:
    assert set(trials.SECONDS) == set(child.TRIALS)


def test_a_library_that_computes_wrongly_is_caught() -> None:
    with pytest.raises(ArithmeticError, match="faiss computes other products"):
        child._agree("faiss", np.array([1.0, 2.5]), np.array([1.0, 2.0]))
    with pytest.raises(ArithmeticError):
        child._agree("faiss", np.array([np.nan]), np.array([1.0]))


@pytest.mark.slow
def test_the_trial_of_a_card_holds_on_the_processor(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert child.card("cpu")["free"] > 0
    assert "scan int8 codes on cpu" in capsys.readouterr().out


@pytest.mark.gpu
def test_the_trial_of_a_card_holds_on_each_card() -> None:
    torch = pytest.importorskip("torch")
    pool = Trials(Outside())
    try:
        for number in range(torch.cuda.device_count()):
            found = pool.ended("card", f"cuda:{number}")
            assert found.problem == ""
            assert found.result["free"] > 0
    finally:
        pool.close()
