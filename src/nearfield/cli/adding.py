"""`nearfield add`: files into a collection, batch by batch; what is there unchanged is passed over. Knows no file format.

Each batch is durable before the next is read, so that an interrupted run can be repeated: it goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfield.cli import options, place, show
from nearfield.core.errors import InvalidInput, NearfieldError, Overloaded
from nearfield.core.types import Document

if TYPE_CHECKING:
    from nearfield.cli.documents import Documents, Tally
    from nearfield.cli.rows import Row
    from nearfield.cli.sources import Reading, Source
    from nearfield.collection import Collection

TEXTS = 1024
"""Documents of a batch that is embedded: a second or so of work to lose."""
VECTORS = 16_384
BATCH_BYTES = 32 << 20
OPTIMIZE_FROM = 1000
"""Documents written from which an index is worth its wait at the end."""
PATIENCE = 120
"""Times that a full collection is asked again."""


@dataclass(slots=True)
class Counts:
    """What was done so far.

    Attributes:
        added: new documents.
        replaced: documents that were there, and changed.
        unchanged: documents that were there so.
        alike: documents left out, as they are near-duplicates.
        skip_above: the score from which they are; None: no document is.
    """

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    alike: int = 0
    skip_above: float | None = None

    @property
    def written(self) -> int:
        """Documents added or replaced."""
        return self.added + self.replaced

    @property
    def seen(self) -> int:
        """Documents read."""
        return self.written + self.unchanged + self.alike


def add_source(
    collection: Collection, source: Source, counts: Counts, *, batch: int | None, progress: Callable[[int, int], None]
) -> None:
    """Writes what is new or changed in a source, updating `counts` after each durable batch.

    Args:
        collection: where to.
        source: the rows.
        counts: what was done, also right after an error or an interruption.
        batch: most documents in a batch; None: by whether they bring vectors.
        progress: called with (how far the source is read, documents of it done).

    Raises:
        InvalidInput: with file and line; nothing of its batch was written, all before is safe.
    """
    before = counts.seen
    for rows in _batches(source, batch):
        write(collection, rows, counts)
        progress(rows[-1].at, counts.seen - before)


def _batches(source: Source, batch: int | None) -> Iterator[list[Row]]:
    from itertools import chain

    from nearfield.cli.rows import batches

    rows = source.rows()
    first = next(rows, None)
    if first is None:
        return
    most = batch or (TEXTS if first.vector is None else VECTORS)
    yield from batches(chain([first], rows), most, BATCH_BYTES)


def write(collection: Collection, rows: Sequence[Row], counts: Counts) -> None:
    """Writes a batch of rows, those that are there unchanged left out; raises InvalidInput naming the row that is wrong."""
    import numpy as np

    try:
        fresh = changed(collection, rows)
        counts.unchanged += len(rows) - len(fresh)
        if not fresh:
            return
        documents = [Document(row.id, row.text, row.metadata) for row in fresh]
        if fresh[0].vector is None:
            written = _patiently(lambda: collection.upsert(documents, skip_duplicates_above=counts.skip_above))
        else:
            for row in fresh:
                if row.vector is not None and len(row.vector) != collection.dim:
                    raise InvalidInput(
                        "wrong dimension", field=row.where, expected=str(collection.dim), received=len(row.vector)
                    )
            vectors = np.stack([row.vector for row in fresh])  # type: ignore[misc]
            above = counts.skip_above
            written = _patiently(lambda: collection.upsert(documents, vectors=vectors, skip_duplicates_above=above))
    except InvalidInput as error:
        raise _located(error, rows) from None
    counts.added += written.added
    counts.replaced += written.replaced
    counts.alike += written.skipped


def _located(error: InvalidInput, rows: Sequence[Row]) -> InvalidInput:
    """The error with the file and line of the row it is about, as nearly as that is known."""
    field = error.field or ""
    if any(field.startswith(row.where) for row in rows):
        return error
    row = next((row for row in rows if repr(row.id) in field), None)
    where = row.where if row is not None else f"{rows[0].where} to {rows[-1].where.rsplit(', ', 1)[-1]}"
    error.field = f"{where}: {field}" if field else where
    return error


def changed(collection: Collection, rows: Sequence[Row]) -> list[Row]:
    """The rows that are not in the collection with the same text, metadata and vector."""
    from nearfield.core import inputs

    for row in rows:
        inputs.document_id(row.id, row.where)
    stored = collection.get([row.id for row in rows], vectors=rows[0].vector is not None)
    return [row for row, old in zip(rows, stored, strict=True) if old is None or not _same(row, old)]


def _same(row: Row, old: Document) -> bool:
    import numpy as np

    if row.text != old.text or _canonical(row.metadata) != _canonical(old.metadata):
        return False
    if row.vector is None or old.vector is None:
        return row.vector is None
    if len(row.vector) != len(old.vector):
        return False
    return bool(np.abs(row.vector - old.vector).max() <= 2e-6 * np.linalg.norm(row.vector))


def _canonical(value: Any) -> bytes | None:
    """One byte string for equal JSON values; None is equal to nothing that is stored: the write will say what is wrong."""
    import msgspec

    try:
        return msgspec.json.encode(value, order="sorted")
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def _patiently(write: Callable[[], Any]) -> Any:
    """Writes; waits and tries again while too much is waiting."""
    for _ in range(PATIENCE):
        try:
            return write()
        except Overloaded as error:
            time.sleep(error.retry_after or 1.0)
    return write()


def add(
    target: options.Target,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Rows: .jsonl .csv .tsv .parquet .npy, or - for standard input. Documents: .txt .md .html .pdf .docx .eml "
            ".mbox, and folders of all of these, pictures too where the model takes them.",
        ),
    ],
    format: Annotated[
        str | None,
        typer.Option(
            help="jsonl, csv, tsv, parquet, npy, markdown, html, pdf, docx, mail, mbox where the name is silent; text: as is."
        ),
    ] = None,
    id_field: Annotated[str, typer.Option(help="The field or column with the id.")] = "id",
    text_field: Annotated[str, typer.Option(help="The field or column with the text.")] = "text",
    vector_field: Annotated[str, typer.Option(help="The field or column with the vector.")] = "vector",
    hash_ids: Annotated[bool, typer.Option("--hash-ids", help="Make ids that are missing from the texts.")] = False,
    strings: Annotated[bool, typer.Option("--strings", help="Keep all values of CSV files strings.")] = False,
    ids: Annotated[Path | None, typer.Option(help="For .npy: a file with one id on each line [NAME.ids.txt].")] = None,
    metadata: Annotated[
        Path | None, typer.Option(help="For .npy: .jsonl, .csv or .parquet with a row for each vector [NAME.metadata.jsonl].")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Of documents: what ids begin with, so that two folders stay apart.")] = "",
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow folders until Ctrl-C: what is new, changed or deleted in them.")
    ] = False,
    skip_duplicates_above: Annotated[
        float | None,
        typer.Option(
            help="Leave out what scores so much against a document that is there (docs/DUPLICATES.md).", show_default=False
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if any document cannot be read.")] = False,
    batch: Annotated[int | None, typer.Option(min=1, help="Most documents written at a time.", show_default=False)] = None,
    optimize: Annotated[
        bool | None, typer.Option("--optimize/--no-optimize", help="Index at the end [if 1,000 or more were written].")
    ] = None,
    json: options.Json = False,
) -> None:
    """Add documents from files; those already there unchanged are not embedded again.

    Lines need an id; text and vector where there are; all other fields are metadata. Stop it with Ctrl-C and run it again:
    it goes on where it stopped. Of two lines with one id the later one stays. The id of a document is its file's path below the
    folder; a document that cannot be read is named and the rest go in (docs/DOCUMENTS.md).
    """
    from nearfield.cli import documents, following
    from nearfield.cli.rows import Names
    from nearfield.cli.sources import Reading

    how = Reading(Names(id_field, text_field, vector_field, hash_ids=hash_ids), format, strings, ids, metadata)
    if watch:
        following.check(files, format)
        if skip_duplicates_above is not None:
            raise InvalidInput("folders are followed as they are", field="--skip-duplicates-above", expected="no --watch")
    sources = [_given(name, how, prefix) for name in files]
    counts, tally, started = Counts(skip_above=skip_duplicates_above), documents.Tally(), time.monotonic()
    with place.collection(target, write=True) as collection:
        if watch:
            following.follow(collection, [Path(name) for name in files], prefix, batch=batch, json=json)
            return
        if skip_duplicates_above is not None:
            collection.upsert([], skip_duplicates_above=skip_duplicates_above)  # refused before anything is read
        try:
            for source in sources:
                with show.Meter(source.name, source.total) as meter:
                    if isinstance(source, documents.Documents):
                        source.add(collection, counts, tally, batch, meter.update)
                    else:
                        add_source(collection, source, counts, batch=batch, progress=meter.update)
        except KeyboardInterrupt:
            show.note(f"interrupted: {counts.written:,} documents were written and are safe; run the same command to go on")
            raise typer.Exit(options.INTERRUPTED) from None
        except NearfieldError as error:
            error.committed = counts.written
            raise
        seconds = time.monotonic() - started
        if optimize or (optimize is None and counts.written >= OPTIMIZE_FROM):
            collection.optimize(progress=show.note)
        total = len(collection)
    read_any = any(isinstance(source, documents.Documents) for source in sources)
    report(counts, seconds, total, json, tally if read_any else None)
    if tally.failed and (strict or not counts.seen):
        raise typer.Exit(options.NO)


def _given(name: str, how: Reading, prefix: str) -> Source | Documents:
    """What a FILE names: rows, or documents."""
    from nearfield.cli import documents
    from nearfield.cli.sources import open_source

    return documents.open_documents(name, how.format, prefix) if documents.takes(name, how.format) else open_source(name, how)


def report(counts: Counts, seconds: float, total: int, json: bool, tally: Tally | None = None) -> None:
    """Prints what was done; with a tally of documents, also what was not."""
    for told in tally.notes() if tally is not None and not json else ():
        show.note(told)
    rate = counts.seen / max(seconds, 1e-9)
    if json:
        done = {"added": counts.added, "replaced": counts.replaced, "unchanged": counts.unchanged, "documents": total}
        skipped = {} if counts.skip_above is None else {"skipped": counts.alike}
        more = {} if tally is None else tally.to_dict()
        show.as_json({**done, **skipped, **more, "seconds": round(seconds, 3)})
        return
    alike = "" if counts.skip_above is None else f", near-duplicates left out {counts.alike:,}"
    show.line(
        f"added {counts.added:,}, replaced {counts.replaced:,}, unchanged {counts.unchanged:,}{alike} "
        f"in {show.duration(seconds)} ({rate:,.0f} documents/s); {total:,} in the collection"
    )
