"""Every benchmark of cards runs small on the processor: it writes its result, and what it compares agrees."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.common import ROOT
from benchmarks.gpu import ann, common, embed, exact, generator, multi, run, serve, shapes, tiers, truth
from benchmarks.gpu.made import BLOCK, QUERIES, Made, Recipe

from nearfield.core.metric import Metric, scores

SMALL = Recipe(32, clusters=64, families=8)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads(), torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.set_num_threads(before[0])
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before[1:]


def parts(out: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / f"gpu-{name}.json").read_text())["parts"]
    for part in found.values():
        assert {"card", "driver", "torch", "triton", "faiss", "seed"} <= set(part["about"])
    return found


def small(out: Path, *more: str, scale: float = 0.0002) -> list[str]:
    return ["--device", "cpu", "--scale", str(scale), "--out", str(out), *more]


def test_rows_are_the_same_whenever_and_in_whatever_pieces_they_are_asked_for() -> None:
    n = BLOCK + 1000
    made = Made(n, SMALL, "cpu", 3)
    piece = made[BLOCK - 10 : BLOCK + 10]
    again = Made(n, SMALL, "cpu", 3)
    assert torch.equal(piece, torch.cat([again[BLOCK - 10 : BLOCK], again[BLOCK : BLOCK + 10]]))
    assert torch.equal(made[0:5], Made(5, SMALL, "cpu", 3).whole()), "fewer rows are the first of more"
    assert not torch.equal(made[0:5], Made(5, SMALL, "cpu", 4).whole())
    assert not torch.equal(made[0:5], Made(5, SMALL, "cpu", 3, QUERIES).whole())


def test_rows_are_of_unit_length_where_that_is_asked() -> None:
    rows = Made(500, Recipe(32, clusters=64, families=8, unit=True), "cpu", 3).whole()
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(500))


@pytest.mark.parametrize("by_distance", [False, True])
def test_truth_is_what_a_sort_of_all_scores_says(by_distance: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truth, "BLOCK", 300)
    rows, queries = Made(1000, SMALL, "cpu", 5).whole(), Made(7, SMALL, "cpu", 5, QUERIES).whole()
    values, where = truth.nearest(rows, queries, 10, by_distance=by_distance)
    for i, query in enumerate(queries.numpy()):
        all_scores = scores(query, rows.numpy(), Metric.L2 if by_distance else Metric.IP)
        order = np.argsort(-all_scores, kind="stable")[:10]
        np.testing.assert_array_equal(where[i], order)
        np.testing.assert_allclose(values[i], all_scores[order], rtol=1e-4, atol=1e-5)
    assert truth.recall(where, where.flip(1)) == 1.0
    assert truth.recall(where, where + 1000) == 0.0


def test_exact_finds_the_truth_and_its_peers_do_too(tmp_path: Path) -> None:
    exact.main(small(tmp_path, "--case", "10000000x128", "--batch", "4"))
    found = parts(tmp_path, "exact")
    for dtype in ("float16", "int8"):
        part = found[f"10,000,000 x 128, {dtype}"]
        recall = part["lines"][0]
        assert recall["name"].startswith("recall")
        assert recall["measured"] == 1.0
        assert all(one["met"] is None for one in part["lines"]), "nothing is judged on a processor"
        assert part["facts"]["batch 4"]["torch's recall@10"] >= 0.99
    assert "recall@10 1.0" in found["10,000,000 x 128, float16"]["facts"]["FAISS-GPU Flat"]
    assert "left out" in found["10,000,000 x 128, int8"]["facts"]["FAISS-GPU Flat"]


def test_what_does_not_fit_is_left_out_with_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common.Here, "room", lambda self: 1000)
    exact.main(small(tmp_path, "--case", "10000000x128", "--dtype", "int8"))
    told = parts(tmp_path, "exact")["10,000,000 x 128, int8"]["facts"]["10,000,000 x 128, int8"]
    assert told.startswith("left out: codes and float32 vectors take")


def test_shapes_are_tried_where_kernels_run_and_lists_of_shapes_fit_their_batch(tmp_path: Path) -> None:
    shapes.main(small(tmp_path, "--batch", "3", "--dtype", "int8"))
    assert "no kernel runs here" in next(iter(parts(tmp_path, "shapes").values()))["facts"]["batch 3"]
    assert {shape[0] for shape in shapes.candidates(128, 1)} == {16}
    for dim, batch in ((128, 64), (768, 1024)):
        for wide, step, _, stages in shapes.candidates(dim, batch):
            assert dim % step == 0
            assert wide <= 2 * batch
            assert stages <= max(2, dim // step + 1)


@pytest.mark.parametrize(("kind", "more"), [("ivf16", ()), ("ivfpq", ("--parts", "4", "--no-exact"))])
def test_lists_reach_the_recall_and_the_exact_scan_stands_beside_them(tmp_path: Path, kind: str, more: tuple[str, ...]) -> None:
    ann.main(small(tmp_path, "--kind", kind, "--dim", "32", "--lists", "16", *more, scale=0.00003))
    (part,) = parts(tmp_path, "ann").values()
    assert part["lines"][0]["measured"] >= 0.95
    front = part["facts"]["front"]
    assert [p["recall"] for p in front] == sorted(p["recall"] for p in front)
    every = [p for p in part["facts"]["all points"] if p["refined"] == 0 and p["lists"] == 16]
    if every:
        assert every[0]["bytes a query"] == part["facts"]["rows"] * part["facts"]["code bytes"], "all lists are all rows"
    assert ("exact, float16" in part["facts"]) == (kind == "ivf16")


def test_lists_needed_are_those_that_a_search_needs() -> None:
    import faiss

    rows, queries = Made(3000, SMALL, "cpu", 5).whole().numpy(), Made(50, SMALL, "cpu", 5, QUERIES).whole().numpy()
    share, of_rows = generator.needed(rows, queries, 100)
    assert 0 < share <= 1
    assert share == pytest.approx(of_rows, abs=0.3)
    index = faiss.index_factory(32, "IVF30,Flat")
    index.cp.seed, index.cp.niter, index.cp.max_points_per_centroid = generator.SEED % 10_000, 10, 64
    index.train(rows)
    index.add(rows)
    true = faiss.knn(queries, rows, 10)[1]
    index.nprobe = min(30, round(30 * share) + 2)
    found = index.search(queries, 10)[1]
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, true, strict=True)]) >= 0.93


def test_several_devices_answer_as_one_does(tmp_path: Path) -> None:
    multi.main(small(tmp_path))
    (part,) = parts(tmp_path, "multi").values()
    assert part["facts"]["devices"] == ["cpu", "cpu"]
    assert [one["bound"] for one in part["lines"]] == [2.0, 2.0]


def test_tiers_time_the_way_in_and_out(tmp_path: Path) -> None:
    tiers.main(small(tmp_path, "--dim", "32"))
    (part,) = parts(tmp_path, "tiers").values()
    for how in ("float16, from memory", "int8, from memory", "float16, from a file"):
        again = part["facts"][how]["next move, s"]
        assert 0 < again["in"] < again["first answer"]


def test_embedding_keeps_the_vectors_of_the_plain_library(tmp_path: Path) -> None:
    embed.main(small(tmp_path, "--layers", "1", "--rounds", "1"))
    (part,) = parts(tmp_path, "embed").values()
    assert "random weights" in part["facts"]["model"]
    assert part["lines"][0]["measured"] >= 0.9999


def test_a_service_is_built_served_and_asked(tmp_path: Path) -> None:
    options = ["--folder", str(tmp_path / "at"), "--embedder", "hash:32", "--rate", "20", "--each", "1", "--seconds", "20"]
    serve.main(small(tmp_path, *options))
    (part,) = parts(tmp_path, "serve").values()
    assert part["facts"]["rows"] == 2048
    assert part["facts"]["segments"] == 1
    assert part["facts"]["rates"][0]["errors"] == {}
    assert part["facts"]["rates"][0]["answered/s"] > 0


def test_rates_close_in_on_the_highest_that_holds() -> None:
    tried, low, high = [], None, None
    wanted: float | None = 2000.0
    while wanted is not None:
        tried.append(wanted)
        low, high = (wanted, high) if wanted <= 3137 else (low, wanted)
        wanted = serve.between(low, high)
    assert low is not None
    assert 3137 / 1.05 <= low <= 3137
    assert len(tried) < 10


def test_every_call_is_one_that_its_script_takes_and_is_under_ten_minutes(capsys: pytest.CaptureFixture[str]) -> None:
    parsers = {"exact": exact.parsed, "ann": ann.parsed, "serve": serve.parsed}
    for call in run.CALLS:
        assert call.minutes < 10
        if call.arguments[0] in parsers:
            parsers[call.arguments[0]](list(call.arguments[1:]))
    assert run.main([]) == 0
    listed = capsys.readouterr().out
    assert all(call.name in listed for call in run.CALLS)
    assert run.main(["nonsense"]) == 2


def test_parts_of_several_calls_stand_in_one_file(tmp_path: Path) -> None:
    at = common.here(common.arguments("").parse_args(["--device", "cpu"]))
    for part in ("one", "two"):
        common.report("some", part, at, tmp_path, [common.line("a", 1.0, 2.0, "x")], {})
    assert set(parts(tmp_path, "some")) == {"one", "two"}


def test_scripts_for_a_bare_machine_import_nothing_more() -> None:
    names = ("exact", "shapes", "ann", "tiers", "multi")
    code = (
        "import sys\n"
        "for name in ('apsw', 'pyarrow', 'msgspec', 'psutil', 'httpx', 'typer', 'rich', 'faiss'): sys.modules[name] = None\n"
        f"import importlib\nfor name in {names!r}: importlib.import_module(f'benchmarks.gpu.{{name}}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]


def test_what_cannot_run_here_says_so_in_a_line(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['faiss'] = None\nfrom benchmarks.gpu import ann, common\ncommon.script(lambda: ann.main(%r))"
    )
    done = subprocess.run([sys.executable, "-c", code % small(tmp_path)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith("skipped: FAISS is not installed")


def test_no_room_on_a_card_leaves_a_part_out_and_other_errors_do_not_hide() -> None:
    facts: dict[str, Any] = {}
    with common.left_out(facts, "large"):
        raise RuntimeError("CUDA error: out of memory")
    assert facts["large"].startswith("left out: no room on the card")
    with pytest.raises(RuntimeError, match="something else"), common.left_out(facts, "other"):
        raise RuntimeError("something else")
