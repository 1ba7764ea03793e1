"""Documents in parts: how a collection is told to make them, what a part is, and how parts are named among an engine's rows.

Knows no model, no engine and no splitting. Each part of a document is one row; the first is the row of the document itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nearfield.core import inputs
from nearfield.core.errors import InvalidInput
from nearfield.core.filters import And, Compare, Filter

if TYPE_CHECKING:
    from nearfield.embed.base import Embedder

PREFIX = "$part/"
"""How the ids of rows begin that are not the first of their document; no document's own id may, in such collections."""
OF, PART, PARTS, NAME, NUMBER, SOURCE, START, END = (
    "$of", "$part", "$parts", "$name", "$number", "$source", "$start", "$end",
)  # fmt: skip
"""Metadata keys of rows that nobody sees: the document's id, which part of it, of how many (in the first row only), of which
named vector, which of that one's, of which metadata key, and from which character to which of its text."""
MARK = b'{"$of":'
"""How the metadata of a row that is a part begins."""
HEAD = Compare((PART,), "eq", 0)
"""Rows that are the first of their document: one for each."""
MOST_NAMES = 16
MOST_PARTS = 65_536
"""Parts that one document may have."""
ANY = "*"
"""In place of a name: rows of every name are ranked together, which only words can be."""
OWN = "collection"
"""In place of an embedder: the collection's own."""


@dataclass(frozen=True, slots=True)
class Passages:
    """Texts are embedded passage by passage, and a hit shows the passage that was found.

    Attributes:
        tokens: the most of a passage, by the tokens of the collection's model (words, where it does not tell them); 8 to 8,192,
            and no more than the model reads. 200 by default: about 150 words of English.
        overlap: how many of them the next passage repeats, whole sentences where they fit; less than half of `tokens`.
    """

    tokens: int = 200
    overlap: int = 40

    def check(self) -> Passages:
        """Itself; raises InvalidInput."""
        if not 8 <= inputs.whole(self.tokens, "passages.tokens") <= 8192:
            raise InvalidInput("not a length", field="passages.tokens", expected="8 to 8192", received=self.tokens)
        if 2 * inputs.whole(self.overlap, "passages.overlap") >= self.tokens:
            expected = f"less than half of tokens={self.tokens}"
            raise InvalidInput("too much is repeated", field="passages.overlap", expected=expected, received=self.overlap)
        return self


@dataclass(frozen=True, slots=True)
class VectorField:
    """One of several vectors that each document has, under a name: of its text, of a metadata key, or brought.

    Attributes:
        source: the metadata key whose string is embedded, such as "title"; None: the document's text, in passages where the
            collection has `passages`.
        image: the document's picture is embedded in place of a text; the embedder must take pictures.
        embedder: "collection": the collection's own; another name or object; None: vectors are brought.
        dim: numbers of each; needed, and only allowed to differ from the embedder's, without an embedder.
    """

    source: str | None = None
    embedder: str | Embedder | None = OWN
    dim: int | None = None
    image: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One vector of a document, and the passage it stands for.

    Attributes:
        vector: float32 (dim of its name,), as it was given or embedded.
        name: of the named vector; "" in collections without.
        start, end: characters of its text, text[start:end]; None: it stands for no text.
    """

    vector: npt.NDArray[np.float32] = field(compare=False)
    name: str = ""
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """What of a document was found.

    Attributes:
        text: the passage; "" where a vector without a text was found.
        start, end: where it is in what it was cut from, the document's text or the metadata key of `name`; None without a text.
        number: which passage of that text, from 0.
        name: of the named vector; "" in collections without.
        score: its own, as of its vector; the hit's is the best of its passages', or what several names were fused to.
    """

    text: str
    start: int | None
    end: int | None
    number: int
    name: str
    score: float


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """A named vector as it is stored: `embedder` is a name, OWN, or None; `dim` is its own, at most the engine's."""

    source: str | None
    embedder: str | None
    dim: int
    image: bool = False


@dataclass(frozen=True, slots=True)
class PartsSpec:
    """What a collection in parts was created with; `fields` is empty in collections without named vectors."""

    passages: Passages | None
    fields: Mapping[str, FieldSpec]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, in the form of `of`."""
        passages = self.passages
        return {
            "passages": None if passages is None else {"tokens": passages.tokens, "overlap": passages.overlap},
            "vectors": {
                name: {"source": f.source, "embedder": f.embedder, "dim": f.dim, "image": f.image}
                for name, f in self.fields.items()
            },
        }

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> PartsSpec:
        """From what a collection's settings hold."""
        passages = value.get("passages")
        fields = {n: FieldSpec(f["source"], f["embedder"], f["dim"], f["image"]) for n, f in value["vectors"].items()}
        return cls(None if passages is None else Passages(passages["tokens"], passages["overlap"]), fields)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the vectors; ("",) where there are none by name."""
        return tuple(self.fields) or ("",)

    def named(self, name: str, condition: Filter | None) -> Filter | None:
        """A condition that allows only the rows of one name; as it is for "" where there are none, and for ANY.

        Raises:
            InvalidInput: no name, where there are several: vectors of different models are never compared.
        """
        if not name and self.fields:
            expected = "one of " + ", ".join(map(repr, self.fields))
            raise InvalidInput("vectors have names here, and are searched by name", field="on", expected=expected)
        if name in ("", ANY):
            return condition
        own = Compare((NAME,), "eq", name)
        return own if condition is None else And((own, condition))


def said(text: str | None, values: Mapping[str, Any]) -> str | None:
    """What a row stands for: its text; for the first row of a document, which holds all of it, the passage alone."""
    if values.get(PART) != 0:
        return text
    if values.get(SOURCE) is not None:
        text = values.get(values[SOURCE])
    start = values.get(START)
    return None if start is None or text is None else text[start : values.get(END)]


def row_id(document_id: str, part: int) -> str:
    """The id of the row that holds a part."""
    return f"{PREFIX}{part}/{document_id}" if part else document_id


def document_of(row: str) -> str:
    """The document's id of a row's."""
    return row.split("/", 2)[2] if row.startswith(PREFIX) else row


def heads(condition: Filter | None) -> Filter:
    """A condition that allows only the first row of each document."""
    return HEAD if condition is None else And((HEAD, condition))


def check_ids(ids: list[str], field: str = "id") -> None:
    """Raises InvalidInput for an id that is taken by parts."""
    for found in ids:
        if found.startswith(PREFIX):
            raise InvalidInput(
                f"ids that begin with {PREFIX!r} are taken by the parts of documents", field=field, received=found
            )


def check_keys(keys: Mapping[str, Any], where: str = "metadata") -> None:
    """Raises InvalidInput for a metadata key that is taken by parts."""
    for key in keys:
        if key.startswith("$"):
            raise InvalidInput(
                "in a collection of documents in parts, metadata keys that begin with '$' are taken; name it differently",
                field=where,
                received=key,
            )
