"""Answers: passages alone, or a model's text whose citations are documents of the collection."""

import json
from typing import Any

import pytest

import nearfield as nf
from nearfield.answering.answer import ask
from nearfield.answering.chat import Chat
from tests.answering.chatting import chatting


class Searched:
    """The fixture's collection, and what it was asked."""

    def __init__(self, collection: nf.Collection) -> None:
        self.collection = collection
        self.asked: list[dict[str, Any]] = []

    def search(self, query: str, **options: Any) -> Any:
        self.asked.append(options)
        return self.collection.search(query, **options)


def test_without_a_model_the_passages_come_back_numbered(books: nf.Collection) -> None:
    searched = Searched(books)
    found = ask(searched, "the moon", k=2, search={"filter": {"year": {"$lt": 2010}}})
    assert searched.asked == [{"k": 2, "filter": {"year": {"$lt": 2010}}}]
    assert [(p.number, p.text) for p in found.passages] == [(1, "the moon and the tides"), (2, "the sea moves with the moon")]
    assert (found.text, found.citations, found.sources, found.model) == (None, (), (), None)
    assert json.loads(json.dumps(found.to_dict()))["answer"] is None


def test_citations_are_documents_and_those_that_name_nothing_are_flagged(books: nf.Collection) -> None:
    heard: list[str] = []
    with chatting() as told:
        found = ask(books, "the moon", chat=Chat.of(told.url, "m"), k=2, on_text=heard.append)
    assert found.text == told.text == "".join(heard)
    assert [(c.number, c.id) for c in found.citations] == [(1, "moon"), (2, "sea"), (9, None)]
    assert [p.id for p in found.sources] == ["moon", "sea"]
    assert found.unknown == (9,)
    assert found.text[found.citations[0].start : found.citations[0].end] == "[1]"
    assert (found.model, found.finish) == ("m-1", "stop")
    sent = told.asked[0]["messages"]
    assert "the moon and the tides" in sent[1]["content"]
    assert "flour" not in sent[1]["content"]
    assert found.to_dict()["unknown"] == [9]


def test_where_nothing_is_found_no_model_is_asked(books: nf.Collection) -> None:
    with chatting() as told:
        found = ask(books, "x", chat=Chat.of(told.url, "m"), search={"filter": {"year": 1}})
    assert (found.text, found.passages, told.asked) == (None, (), [])


def test_documents_without_a_text_are_passed_over(mine: nf.Collection) -> None:
    class ByVector:
        def search(self, query: str, **options: Any) -> Any:
            return mine.search(vector=[1, 0, 0, 0], **options)

    assert ask(ByVector(), "x").passages == ()


def test_passages_stay_within_the_budget(db: nf.Database) -> None:
    made = db.create("long", embedder="hash:32")
    made.upsert([nf.Document(f"d{i}", f"tides {i} " + "word " * 3000) for i in range(4)])
    found = ask(made, "tides", k=4, tokens=200)
    assert len(found.passages) == 4
    assert all(p.cut for p in found.passages)
    assert sum(len(p.text) for p in found.passages) <= 800


@pytest.mark.parametrize(
    ("question", "options", "field"), [("", {}, "question"), ("x", {"tokens": 1}, "tokens"), ("x", {"k": 0}, "k")]
)
def test_bad_input_is_named(books: nf.Collection, question: str, options: dict[str, Any], field: str) -> None:
    with pytest.raises(nf.InvalidInput) as caught:
        ask(books, question, **options)
    assert caught.value.field == field
