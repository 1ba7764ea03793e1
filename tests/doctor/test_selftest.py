"""What is said of trials: imports, OpenMP, cards, recall, the model."""

import signal
from typing import Any

import pytest

from nearfield.doctor import selftest
from nearfield.doctor.libraries import Card, Libraries
from nearfield.doctor.trials import Outcome
from tests.doctor.conftest import levels, only

GOOD = Outcome({})
SEGFAULT = Outcome(None, "crashed with SIGSEGV (a segmentation fault)", "import torch", signal.SIGSEGV)
HUNG = Outcome(None, "no answer in 120 s", "compute with faiss", hung=True)
ORDERS = (("faiss", "torch"), ("torch", "faiss"))
GIB = 1 << 30


def test_both_orders_that_work_are_well() -> None:
    assert levels(selftest.imports(dict.fromkeys(ORDERS, GOOD), {}, "faiss-cpu")) == ["ok", "ok"]
    assert only(selftest.imports({("faiss",): GOOD}, {}, "faiss-cpu")).what == "faiss alone: computes"


def test_an_order_that_crashes_names_the_signal_the_step_and_both_packages() -> None:
    pairs = {ORDERS[0]: SEGFAULT, ORDERS[1]: GOOD}
    found = list(selftest.imports(pairs, {"faiss": GOOD, "torch": GOOD}, "faiss-gpu"))
    assert levels(found) == ["error", "ok", "ok", "ok"]
    assert "faiss before torch: crashed with SIGSEGV" in found[0].what
    assert "at the step: import torch" in found[0].what
    assert found[0].fix == "pip install --force-reinstall --no-cache-dir faiss-gpu torch"


def test_the_library_that_fails_alone_is_the_one_to_reinstall() -> None:
    found = list(selftest.imports(dict.fromkeys(ORDERS, SEGFAULT), {"faiss": GOOD, "torch": SEGFAULT}, "faiss-cpu"))
    assert levels(found) == ["error", "error", "ok", "error"]
    assert {f.fix for f in found if f.fix} == {"pip install --force-reinstall --no-cache-dir torch"}


@pytest.mark.parametrize(
    ("outcome", "fix"),
    [
        (HUNG, "OMP_NUM_THREADS=1"),
        (Outcome(None, "crashed with SIGILL (...)", "s", signal.SIGILL), "FAISS_SIMD_LEVEL=NONE"),
        (Outcome(None, "crashed with SIGKILL (...)", "s", signal.SIGKILL), "free memory"),
        (Outcome(None, "crashed with SIGABRT (...)", "s", signal.SIGABRT, said="OMP: Error #15: Initializing"), "conda-forge"),
        (Outcome(None, "RuntimeError: CUDA out of memory", "s"), "nvidia-smi"),
        (Outcome(None, "MemoryError: std::bad_alloc", "s"), "end what else uses this memory"),
        (Outcome(None, "OSError: [Errno 28] No space left on device", "s"), "TMPDIR"),
        (Outcome(None, "RuntimeError: Failed to find C compiler.", "s"), "apt-get install gcc"),
        (Outcome(None, "ImportError: libcublas.so.12: cannot open", "s"), "the fix of this check"),
    ],
)
def test_each_way_to_fail_has_its_own_remedy(outcome: Outcome, fix: str) -> None:
    found = selftest.failed("a trial", outcome, "the fix of this check")
    assert found is not None
    assert found.level == "error"
    assert fix in found.fix
    assert selftest.failed("a trial", GOOD, "the fix") is None


SITE = "/venv/lib/python3.12/site-packages"
FAISS_GOMP, TORCH_GOMP = f"{SITE}/faiss_cpu.libs/libgomp-e985.so.1.0.0", f"{SITE}/torch/lib/libgomp.so.1"
INTEL, LLVM = "/opt/intel/lib/libiomp5.so", f"{SITE}/scikit_learn.libs/libomp.so"
MAC = (f"{SITE}/faiss/.dylibs/libomp.dylib", f"{SITE}/torch/lib/libomp.dylib")


@pytest.mark.parametrize(
    ("system", "paths", "level"),
    [
        ("Linux", (TORCH_GOMP,), "ok"),
        ("Linux", (FAISS_GOMP, TORCH_GOMP), "ok"),
        ("Linux", (FAISS_GOMP, INTEL), "warn"),
        ("Linux", (FAISS_GOMP, LLVM), "warn"),
        ("Darwin", MAC[:1], "ok"),
        ("Darwin", MAC, "error"),
    ],
)
def test_openmp_runtimes_that_clash_are_said(system: str, paths: tuple[str, ...], level: str) -> None:
    found = only(selftest.openmp(system, Libraries(openmp=paths), {}))
    assert found.level == level
    assert level == "ok" or "conda-forge" in found.fix


def test_the_owners_of_openmp_runtimes_are_named() -> None:
    found = only(selftest.openmp("Linux", Libraries(openmp=(FAISS_GOMP, TORCH_GOMP)), {}))
    assert found.what == "OpenMP: libgomp of faiss_cpu, libgomp of torch"
    assert "libiomp of /opt/intel/lib" in only(selftest.openmp("Linux", Libraries(openmp=(FAISS_GOMP, INTEL)), {})).what
    assert list(selftest.openmp("Linux", Libraries(), {})) == []


def test_a_clash_that_is_hidden_is_a_warning() -> None:
    found = list(selftest.openmp("Linux", Libraries(openmp=(TORCH_GOMP,)), {"KMP_DUPLICATE_LIB_OK": "TRUE"}))
    assert levels(found) == ["warn", "ok"]
    assert found[0].fix == "unset KMP_DUPLICATE_LIB_OK"


def test_a_card_that_computes_is_well_and_a_full_one_is_said() -> None:
    known = Card("NVIDIA H200", (9, 0), 141 * GIB)
    assert only(selftest.card(0, known, Outcome({"free": 100 * GIB}))).level == "ok"
    assert "nvidia-smi" in only(selftest.card(0, known, Outcome({"free": GIB // 2}))).fix
    broken = only(selftest.card(1, known, Outcome(None, "AcceleratorError: no kernel image", "multiply")))
    assert broken.level == "error"
    assert "cuda:1 (NVIDIA H200)" in broken.what
    assert only(selftest.no_card(False)).what == "no graphics card: searches run on the processor"
    assert "see the check driver" in only(selftest.no_card(True)).what


def test_a_faiss_that_fails_on_a_card_is_replaced() -> None:
    assert only(selftest.faiss_gpu(0, GOOD, "faiss-gpu")).level == "ok"
    bad = Outcome(None, "crashed with SIGABRT (a failed check in a library)", "search on card 0", signal.SIGABRT)
    found = only(selftest.faiss_gpu(0, bad, "faiss-gpu-cu12"))
    assert found.fix == "pip uninstall -y faiss-gpu-cu12 && pip install faiss-gpu"
    assert only(selftest.faiss_gpu(0, bad, "faiss-gpu")).fix == "pip uninstall -y faiss-gpu && pip install faiss-cpu"


def measured(**other: Any) -> Outcome:
    return Outcome([{"kind": "hnsw", "recall": 0.97, "exact": 1.0, "promised": 0.95, "indexed": 8192, **other}])


@pytest.mark.parametrize(
    ("outcome", "level", "what"),
    [
        (measured(), "ok", "0.970"),
        (measured(recall=0.94), "ok", "0.940"),
        (measured(recall=0.6), "error", "0.600 where 0.95 was promised"),
        (measured(exact=0.999), "error", "exact search"),
        (measured(indexed=0), "error", "no index"),
        (SEGFAULT, "error", "SIGSEGV"),
    ],
)
def test_a_recall_below_what_was_promised_is_an_error(outcome: Outcome, level: str, what: str) -> None:
    found = only(selftest.recall(outcome, "faiss-cpu"))
    assert found.level == level
    assert what in found.what


def test_a_model_that_does_not_load_or_understand_is_an_error() -> None:
    assert "12 ms" in only(selftest.embedding(Outcome({"first": "0", "seconds": 0.012}))).what
    assert only(selftest.embedding(Outcome({"first": "2", "seconds": 0.012}))).level == "error"
    assert only(selftest.embedding(Outcome(None, "NotFound: no weights", "load"))).level == "error"
