"""Deletes what groups can spare, on the committer's turn, and only what is still as it was when it was compared.

Knows the engine's transactions. A document is named by id and row: one that was written again since has another row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nearfield.core.duplicates import Deduplication, Group
from nearfield.duplicates.finding import Duplicates
from nearfield.duplicates.groups import Placed
from nearfield.engine import writes
from nearfield.engine.committer import Transaction
from nearfield.engine.local import LocalEngine
from nearfield.engine.snapshot import Snapshot

AT_ONCE = 1000
"""Documents of a transaction, about: a turn must not hold up others' writes."""

Named = tuple[str, int]
"""(id, row)."""


@dataclass(frozen=True, slots=True)
class Order:
    """Delete `others` if `keep` is still there."""

    keep: Named
    others: tuple[Named, ...]


def dedup(engine: LocalEngine, found: Duplicates, dry_run: bool) -> Deduplication:
    """Deletes all but the document that stays of each group, a few groups in a transaction; or only says what it would.

    Stopped in between, what was deleted stays deleted, and the next call goes on with what is left.
    """
    groups: list[Group] = []
    deleted = spared = 0
    for some in _batches(found.placed()):
        groups += [placed.group for placed in some]
        if not dry_run:
            orders = [order for placed in some for order in _orders(found, placed)]
            done, left = carry_out(engine, orders)
            deleted, spared = deleted + done, spared + left
    documents = sum(len(group) - 1 for group in groups)
    commit = found.commit if dry_run else engine.snapshot.commit
    return Deduplication(tuple(groups), dry_run, documents, deleted, spared, found.join, commit)


def carry_out(engine: LocalEngine, orders: Sequence[Order]) -> tuple[int, int]:
    """Deletes in one transaction; returns (documents deleted, documents spared because something changed)."""
    found: tuple[int, int] = engine.submit(lambda t: _delete(t, engine.snapshot, orders))
    return found


def _delete(transaction: Transaction, snapshot: Snapshot, orders: Sequence[Order]) -> tuple[int, int]:
    deleted = spared = 0
    for order in orders:
        if _place(transaction, snapshot, order.keep) is None:
            spared += len(order.others)
            continue
        for named in order.others:
            place = _place(transaction, snapshot, named)
            if place is None:
                spared += 1
            else:
                writes.remove(transaction, place)
                deleted += 1
    return deleted, spared


def _place(transaction: Transaction, snapshot: Snapshot, named: Named) -> writes.Place | None:
    place = writes.locate(transaction, snapshot, named[0])
    return place if place is not None and place.row == named[1] else None


def _orders(found: Duplicates, placed: Placed) -> Iterator[Order]:
    """A large group in several orders, so that no turn is long."""
    numbers = found.rows.numbers
    keep = (placed.group.keep, int(numbers[placed.keep]))
    ids = zip(placed.group.ids, placed.rows, strict=True)
    others = [(document_id, int(numbers[row])) for document_id, row in ids if row != placed.keep]
    for start in range(0, len(others), AT_ONCE):
        yield Order(keep, tuple(others[start : start + AT_ONCE]))


def _batches(placed: Iterator[Placed]) -> Iterator[list[Placed]]:
    some: list[Placed] = []
    size = 0
    for one in placed:
        some.append(one)
        size += len(one.rows)
        if size >= AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some
