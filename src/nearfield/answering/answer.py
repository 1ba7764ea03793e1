"""A question asked of a collection: search, prompt, model, citations. Knows a collection by its search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from nearfield.answering import citations, prompt
from nearfield.answering.chat import Chat
from nearfield.answering.citations import Citation
from nearfield.answering.prompt import Quote
from nearfield.core import inputs
from nearfield.core.types import Hit, Hits


class Searchable(Protocol):
    """What of a collection is used here, near or remote."""

    @property
    def search(self) -> Callable[..., Hits]:
        """As Collection.search."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found, and what a model said of it.

    Attributes:
        question: as it was asked.
        passages: what the search found, numbered from 1, best first, as it was given to the model.
        text: the answer; None where no model was asked, or nothing was found to answer from.
        citations: every [n] of the answer, with the document's id; None as id: no passage has that number.
        model: which answered, as it calls itself.
        finish: why the answer ended: "stop"; "length": it was cut.
    """

    question: str
    passages: tuple[Quote, ...]
    text: str | None = None
    citations: tuple[Citation, ...] = ()
    model: str | None = None
    finish: str | None = None

    @property
    def sources(self) -> tuple[Quote, ...]:
        """The passages that the answer cites, in the order of their first citation."""
        by_number = {one.number: one for one in self.passages}
        cited = dict.fromkeys(one.number for one in self.citations if one.id is not None)
        return tuple(by_number[number] for number in cited)

    @property
    def unknown(self) -> tuple[int, ...]:
        """Numbers that the answer cites and that no passage has: what it says there comes from nowhere."""
        return tuple(dict.fromkeys(one.number for one in self.citations if one.id is None))

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "question": self.question,
            "answer": self.text,
            "citations": [one.to_dict() for one in self.citations],
            "sources": [one.id for one in self.sources],
            "unknown": list(self.unknown),
            "passages": [one.to_dict() for one in self.passages],
            "model": self.model,
            "finish": self.finish,
        }


def ask(
    collection: Searchable,
    question: str,
    *,
    chat: Chat | None = None,
    k: int = 5,
    tokens: int = prompt.ENOUGH,
    most: int | None = None,
    search: Mapping[str, Any] | None = None,
    on_text: Callable[[str], None] | None = None,
) -> Answer:
    """Searches, and has a model answer from what was found; see Collection.ask.

    Args:
        collection: what is searched.
        question: a text.
        chat: the model; None: the passages alone.
        k: passages at most.
        tokens: that they may take in the prompt, as estimated.
        most: tokens of the answer.
        search: options of the search.
        on_text: called with each piece of the answer.
    """
    inputs.text(question, "question")
    inputs.whole(tokens, "tokens", prompt.LEAST)
    hits = collection.search(question, k=inputs.k(k), **dict(search or {}))
    passages = tuple(prompt.fitted(found(hits), tokens))
    if chat is None or not passages:
        return Answer(question, passages)
    said = chat.ask(prompt.messages(question, passages), most=most, on_text=on_text)
    ids = {one.number: one.id for one in passages}
    return Answer(question, passages, said.text, citations.find(said.text, ids), said.model or chat.model, said.finish)


def found(hits: Hits) -> list[Quote]:
    """Numbered passages of hits; a hit without a text is passed over."""
    out: list[Quote] = []
    for hit in hits:
        text, start = _text(hit)
        if text and not text.isspace():
            out.append(Quote(len(out) + 1, hit.id, text, hit.score, start=start))
    return out


def _text(hit: Hit) -> tuple[str, int | None]:
    passage = getattr(hit, "passage", None)
    if passage is not None and passage.text:
        return passage.text, passage.start
    return hit.text or "", None
