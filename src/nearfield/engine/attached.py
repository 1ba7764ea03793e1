"""What a transaction keeps beside the rows it adds and removes: keyword tables, thumbnails. It hears of every row.

Knows tables by row; nothing of searching them. Rows that only move into another segment keep their numbers, so sealing and
merging change nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nearfield.core import parts
from nearfield.engine.committer import Transaction
from nearfield.store import keyword, metadata, thumbnails
from nearfield.store.catalog import PendingRow
from nearfield.store.segment import Segment


def added(transaction: Transaction, rows: Sequence[PendingRow], images: Mapping[int, bytes] | None = None) -> None:
    """Rows that were written as pending ones, with the thumbnails that some of them have."""
    thumbnails.write(transaction.connection, images or {})
    for table in keyword.tables(transaction.connection):
        keyword.add(transaction.connection, table, said(rows))


def said(rows: Iterable[PendingRow]) -> Iterator[tuple[int, str]]:
    """(row, text) of the rows that have one; of a document in parts only the part that a row stands for."""
    for row in rows:
        text = own(row.text, row.metadata)
        if text is not None:
            yield row.row, text


def own(text: str | None, encoded: bytes) -> str | None:
    """What a row says: its text; of a document in parts only the part that it stands for."""
    return parts.said(text, metadata.decode(encoded)) if encoded.startswith(parts.MARK) else text


def adopted(transaction: Transaction, segment: Segment, dead: Sequence[int], images: Mapping[int, bytes] | None = None) -> None:
    """A loaded segment that was made live, all rows but those that are dead already; `images`: thumbnails by row."""
    if images:
        alive = set(segment.rows.tolist()).difference(dead)
        thumbnails.write(transaction.connection, {row: image for row, image in images.items() if row in alive})
    for table in keyword.tables(transaction.connection):
        keyword.add(transaction.connection, table, texts(segment, frozenset(dead)))


def removed(transaction: Transaction, rows: Sequence[int]) -> None:
    """Rows that died, wherever they were."""
    if rows:
        thumbnails.remove(transaction.connection, rows)
        for table in keyword.tables(transaction.connection):
            keyword.remove(transaction.connection, table, rows)


def moved(transaction: Transaction, old: int, new: int) -> None:
    """A document gets another row: told before the old one is removed and the new one added."""
    thumbnails.move(transaction.connection, old, new)


def texts(segment: Segment, without: frozenset[int]) -> Iterator[tuple[int, str]]:
    """(row, text) of a segment's documents that have one."""
    start = 0
    for batch in segment.batches:
        numbers = segment.rows[start : start + len(batch)].tolist()
        start += len(batch)
        found = batch.column(1).to_pylist()
        if len(batch) and batch.column(2)[0].as_py().startswith(parts.MARK):
            found = [own(text, encoded) for text, encoded in zip(found, batch.column(2).to_pylist(), strict=True)]
        for row, text in zip(numbers, found, strict=True):
            if text is not None and row not in without:
                yield row, text
