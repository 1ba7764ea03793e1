"""How documents become rows: cut into passages, embedded name by name, written whole. Part of the collection layer.

What is there already under a document's id, with the same text, keeps its vector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from nearfield import intake
from nearfield.core import inputs, parts
from nearfield.core.errors import AlreadyExists, InvalidInput, NotFound
from nearfield.core.metric import Vectors, prepare
from nearfield.core.parts import Part
from nearfield.core.types import Document, Written
from nearfield.intake import Checked
from nearfield.parts.parted import Parted, padded

Broken = Callable[[str, str], None]


@dataclass(slots=True)
class Draft:
    """A part in the making: `text` is what is embedded and shown, `vector` float32 (dim of its name,) once it is known."""

    name: str
    number: int
    text: str | None
    start: int | None
    end: int | None
    vector: Any = None


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of documents: those of one after those of another.

    Attributes:
        checked: ids, texts and metadata of rows.
        vectors: float32 (n, dim of the engine), not yet prepared.
        thumbnails: of each row: the first of its document may have one.
        documents: how many they are of.
        skipped: documents that were there already, and are to stay.
    """

    checked: Checked
    vectors: Vectors
    thumbnails: list[bytes | None]
    documents: int
    skipped: int


def upsert(
    parted: Parted, documents: Sequence[Document], checked: Checked, vectors: Any, if_exists: str, broken: Broken | None = None
) -> Written:
    """Writes documents in parts, all or nothing; see Collection.upsert.

    Args:
        parted: of the collection.
        documents: what to write, checked as `checked`.
        checked: their ids, texts and metadata.
        vectors: float32 (n, dim) by name, in place of embedding; or None.
        if_exists: "replace", "skip" or "error".
        broken: told of pictures that cannot be read, whose documents are left out; None: the first is an error.
    """
    rows = rows_of(parted, documents, checked, _brought(parted, vectors, len(documents)), if_exists, broken)
    if not rows.documents:
        return Written(skipped=rows.skipped, commit=parted.engine.snapshot.commit)
    ready = prepare(rows.vectors, parted.engine.metric)
    done = intake.write(parted.engine, rows.checked, *ready, if_exists, rows.thumbnails if any(rows.thumbnails) else None)
    return Written(done.added, done.replaced, done.skipped + rows.skipped, commit=done.commit)


def _brought(parted: Parted, vectors: Any, n: int) -> dict[str, Vectors]:
    """Vectors that are brought, by name, checked."""
    if vectors is None:
        return {}
    if not parted.spec.fields or not isinstance(vectors, Mapping):
        raise InvalidInput(
            "documents in parts bring a vector for each part",
            field="vectors",
            expected="a dict of (n, dim) by name" if parted.spec.fields else "Document(parts=...) in its place",
            received=type(vectors).__name__,
        )
    return {
        parted.checked(name, "vectors"): inputs.vectors(found, parted.dim(name), n, f"vectors[{name!r}]")
        for name, found in vectors.items()
    }


def rows_of(
    parted: Parted,
    documents: Sequence[Document],
    checked: Checked,
    brought: Mapping[str, Vectors],
    if_exists: str,
    broken: Broken | None = None,
) -> Rows:
    """The rows of documents; those that are there already are left out where they are to stay."""
    _check(documents)
    engine = parted.engine
    older = engine.parts_of(checked.ids)
    if if_exists == "error" and any(older):
        there = next(i for i, old in zip(checked.ids, older, strict=True) if old)
        raise AlreadyExists("a document with this id exists; use if_exists='replace' or 'skip'", field="id", received=there)
    keep = [i for i, old in enumerate(older) if not (old and if_exists == "skip")]
    drafts: dict[int, list[Draft]] = {i: _given(parted, documents[i]) for i in keep}
    _cut(parted, documents, {i: own for i, own in drafts.items() if not documents[i].parts}, brought)
    for i, own in drafts.items():
        _reuse(parted, own, older[i] or [])
    _embed(parted, drafts)
    thumbnails = _see(parted, documents, drafts, brought, broken)
    good = [i for i in keep if i in drafts]
    return _rows(parted, [(i, drafts[i]) for i in good], checked, thumbnails, len(documents) - len(keep))


def _check(documents: Sequence[Document]) -> None:
    parts.check_ids([d.id for d in documents])
    for document in documents:
        parts.check_keys(document.metadata, f"metadata of {document.id!r}")


def _given(parted: Parted, document: Document) -> list[Draft]:
    """The parts that a document brings."""
    out: list[Draft] = []
    counts: dict[str, int] = {}
    for at, part in enumerate(document.parts):
        where = f"parts[{at}] of {document.id!r}"
        if not isinstance(part, Part) or (part.name not in parted.names):
            expected = "nearfield.Part with a name of " + ", ".join(map(repr, parted.names))
            raise InvalidInput("not a part", field=where, expected=expected, received=getattr(part, "name", part))
        vector = inputs.vector(part.vector, parted.dim(part.name), f"vector of {where}")[0]
        text, start, end = source_of(parted, document, part.name), part.start, part.end
        if start is not None or end is not None:
            whole = isinstance(start, int) and isinstance(end, int) and text is not None
            if not whole or not 0 <= start < end <= len(text or ""):  # type: ignore[operator]
                raise InvalidInput(
                    "not a place in its text", field=where, expected="0 <= start < end <= length", received=(start, end)
                )
        number = counts[part.name] = counts.get(part.name, -1) + 1
        out.append(Draft(part.name, number, None if start is None else (text or "")[start:end], start, end, vector))
    return out


def source_of(parted: Parted, document: Document, name: str) -> str | None:
    """The text that a name's vectors are of; None: there is none."""
    field = parted.spec.fields.get(name)
    if field is None or (field.source is None and not field.image):
        return document.text
    found = None if field.source is None else document.metadata.get(field.source)
    if found is not None and not isinstance(found, str):
        where = f"metadata.{field.source} of {document.id!r}"
        raise InvalidInput(f"it is embedded as {name!r}", field=where, expected="a string", received=found)
    return found


def _cut(
    parted: Parted, documents: Sequence[Document], drafts: Mapping[int, list[Draft]], brought: Mapping[str, Vectors]
) -> None:
    """Fills `drafts` with the passages of each name's text."""
    for name in parted.names:
        texts = {i: source_of(parted, documents[i], name) for i in drafts}
        if name in brought:
            for i, own in drafts.items():
                text = texts[i]
                own.append(
                    Draft(name, 0, text, None if text is None else 0, None if text is None else len(text), brought[name][i])
                )
            continue
        if parted.embedder(name) is None:
            continue
        there = {i: text for i, text in texts.items() if text is not None and not text.isspace() and text}
        for (i, text), pieces in zip(there.items(), parted.pieces(name, list(there.values())), strict=True):
            drafts[i] += [Draft(name, n, text[p.start : p.end], p.start, p.end) for n, p in enumerate(pieces)]


def _reuse(parted: Parted, drafts: list[Draft], older: Sequence[Document]) -> None:
    """Gives a part the vector that its text had under the same name."""
    known: dict[tuple[str, str], Any] = {}
    for row in older:
        text = parts.said(row.text, row.metadata)
        if text is not None and row.vector is not None:
            name = row.metadata.get(parts.NAME, "")
            known[name, text] = row.vector[: parted.dim(name)]
    for draft in drafts:
        if draft.vector is None and draft.text is not None:
            draft.vector = known.get((draft.name, draft.text))


def _embed(parted: Parted, drafts: Mapping[int, list[Draft]]) -> None:
    """Embeds what has no vector yet: all texts of one embedder in one call, each once."""
    waiting: dict[int, list[Draft]] = {}
    for own in drafts.values():
        for draft in own:
            if draft.vector is None:
                waiting.setdefault(id(parted.embedder(draft.name)), []).append(draft)
    for several in waiting.values():
        embedder = parted.embedder(several[0].name)
        assert embedder is not None
        texts = list(dict.fromkeys(d.text or "" for d in several))
        vectors = inputs.vectors(embedder.encode(texts, "document"), parted.dim(several[0].name), len(texts), "embedder")
        found = dict(zip(texts, vectors, strict=True))
        for draft in several:
            draft.vector = found[draft.text or ""]


def _see(
    parted: Parted,
    documents: Sequence[Document],
    drafts: dict[int, list[Draft]],
    brought: Mapping[str, Vectors],
    broken: Broken | None,
) -> dict[int, bytes]:
    """Adds a part for each picture under each name of pictures; returns thumbnails. Those with broken ones leave `drafts`."""
    from nearfield.pictures import decoding

    names = [name for name, field in parted.spec.fields.items() if field.image and parted.embedder(name) is not None]
    thumbnails: dict[int, bytes] = {}
    for i in list(drafts):
        document = documents[i]
        if document.image is None:
            continue
        if not names:
            expected = "a VectorField(image=True) among the vectors of the collection"
            raise InvalidInput("nothing embeds pictures here", field=f"image of {document.id!r}", expected=expected)
        try:
            found = decoding.decode(document.image, f"image of {document.id!r}")
        except (InvalidInput, NotFound) as error:
            if broken is None:
                raise
            del drafts[i]
            broken(document.id, str(error))
            continue
        thumbnails[i] = found.thumbnail
        for name in names:
            embedder = parted.embedder(name)
            if name not in brought and embedder is not None:
                drafts[i].append(Draft(name, 0, None, None, None, embedder.encode_images([lambda f=found: f.pixels])[0]))  # type: ignore[misc]
    return thumbnails


def _rows(
    parted: Parted, several: Sequence[tuple[int, list[Draft]]], checked: Checked, thumbnails: Mapping[int, bytes], skipped: int
) -> Rows:
    out = Checked([], [], [])
    vectors, images = [], []
    dim = parted.engine.dim
    for i, drafts in several:
        document_id, text, encoded = checked.ids[i], checked.texts[i], checked.metadata[i]
        if not drafts:
            expected = "a text, a metadata key that is embedded, a picture, or parts"
            raise InvalidInput("nothing of the document is embedded", field=f"text of {document_id!r}", expected=expected)
        if len(drafts) > parts.MOST_PARTS:
            expected = f"at most {parts.MOST_PARTS:,} parts"
            raise InvalidInput(
                "the document has too many parts", field=f"text of {document_id!r}", expected=expected, received=len(drafts)
            )
        for part, draft in enumerate(drafts):
            out.ids.append(parts.row_id(document_id, part))
            out.texts.append(draft.text if part else text)
            out.metadata.append(_encoded(parted, document_id, part, len(drafts), draft, encoded))
            vectors.append(padded(draft.vector[None, :], dim)[0])
            images.append(None if part else thumbnails.get(i))
    stacked = np.stack(vectors) if vectors else np.empty((0, dim), np.float32)
    return Rows(out, stacked, images, len(several), skipped)


def _encoded(parted: Parted, document_id: str, part: int, count: int, draft: Draft, encoded: bytes) -> bytes:
    """The metadata of a row: hidden keys, then the document's own."""
    hidden: dict[str, Any] = {parts.OF: document_id, parts.PART: part}
    if part == 0:
        hidden[parts.PARTS] = count
    if draft.name:
        hidden[parts.NAME] = draft.name
        source = parted.spec.fields[draft.name].source
        if part == 0 and source is not None:
            hidden[parts.SOURCE] = source
    hidden[parts.NUMBER] = draft.number
    if draft.start is not None:
        hidden[parts.START], hidden[parts.END] = draft.start, draft.end
    made = msgspec.json.encode(hidden)
    return made if encoded == b"{}" else made[:-1] + b"," + encoded[1:]
