"""Words and vectors of one moment: a document that is rewritten while it is searched for is found, as it was or as it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nearfield as nf
from nearfield.engine import hybrid

OPTIONS: list[dict[str, Any]] = [{}, {"exclude": ["b"]}]


def in_between(monkeypatch: pytest.MonkeyPatch, name: str, write: Callable[[], object]) -> list[int]:
    """Lets something be written after the snapshot was taken and before words are read, once; counts answers."""
    real, asked = getattr(hybrid, name), []

    def late(snapshot: Any, *rest: Any) -> Any:
        asked.append(snapshot.commit)
        if len(asked) == 1:
            write()
        return real(snapshot, *rest)

    monkeypatch.setattr(hybrid, name, late)
    return asked


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("passages", [None, nf.Passages(tokens=8, overlap=0)])
@pytest.mark.parametrize(("mode", "name"), [("keyword", "by_keywords"), ("hybrid", "hybrid")])
def test_a_document_rewritten_meanwhile_is_found(
    db: nf.Database, monkeypatch: pytest.MonkeyPatch, mode: str, name: str, passages: Any, sealed: bool, options: dict[str, Any]
) -> None:
    made = db.create("c", embedder="hash:16", passages=passages)
    made.upsert([nf.Document("a", "the moon over the sea", {"n": 1}), nf.Document("b", "a stone", {"n": 1})])
    if sealed:
        made.optimize()
    in_between(monkeypatch, name, lambda: made.update("a", metadata={"n": 2}))
    found = made.search("moon", mode=mode, k=1, **options)
    assert found.ids == ["a"]
    assert found[0].parts["keyword"] > 0
    assert found[0].metadata["n"] == 2


@pytest.mark.parametrize(("mode", "name"), [("keyword", "by_keywords"), ("hybrid", "hybrid")])
def test_documents_that_are_only_added_let_no_search_be_made_twice(
    db: nf.Database, monkeypatch: pytest.MonkeyPatch, mode: str, name: str
) -> None:
    made = db.create("c", embedder="hash:16")
    made.upsert(nf.Document("a", "the moon over the sea"))
    asked = in_between(monkeypatch, name, lambda: made.upsert(nf.Document("c", "another moon")))
    assert "a" in made.search("moon", mode=mode).ids
    assert len(asked) == 1


@pytest.mark.parametrize("mode", ["keyword", "hybrid"])
def test_a_reader_that_is_behind_finds_what_was_rewritten(tmp_path: Path, mode: str) -> None:
    with nf.open(tmp_path / "db") as db:
        made = db.create("c", embedder="hash:16")
        made.upsert([nf.Document(f"d{i}", "the moon over the sea", {"n": 1}) for i in range(5)])
        made.optimize()
        with nf.open(tmp_path / "db", read_only=True) as reading:
            behind = reading["c"]
            assert len(behind) == 5
            for i in range(5):
                made.update(f"d{i}", metadata={"n": 2})
            found = behind.search("moon", mode=mode)
            assert sorted(found.ids) == [f"d{i}" for i in range(5)]
            assert all(hit.parts["keyword"] > 0 and hit.metadata["n"] == 2 for hit in found)


@pytest.mark.parametrize("mode", ["keyword", "hybrid"])
def test_each_of_many_texts_finds_what_is_rewritten_meanwhile(
    db: nf.Database, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    made = db.create("c", embedder="hash:16")
    made.upsert([nf.Document("a", "the moon over the sea", {"n": 1}), nf.Document("b", "a stone", {"n": 1})])
    in_between(monkeypatch, {"keyword": "by_keywords", "hybrid": "hybrid"}[mode], lambda: made.update("a", metadata={"n": 2}))
    found = made.search_many(["moon", "sea", "stone"], mode=mode, k=1)
    assert [hits.ids for hits in found] == [["a"], ["a"], ["b"]]
    assert all(hits[0].parts["keyword"] > 0 for hits in found)
