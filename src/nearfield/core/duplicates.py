"""What looking for duplicates returns: links, groups, how the pairs were found, and what was deleted.

Knows nothing of how.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Link:
    """Two documents at least as similar as was asked for: their ids, the one written first first, and their score."""

    first: str
    second: str
    score: float


@dataclass(frozen=True, slots=True)
class Group:
    """Documents that hang together by pairs above the threshold, each with at least one other.

    Two of a group need not be alike themselves: a may be like b, and b like c. `loosest` says how weak the chain is.

    Attributes:
        ids: its documents, in the order in which they were written.
        keep: the one that stays.
        links: pairs above the threshold that hold the group together, one fewer than `ids`, best first. Where there
            are more pairs than that, these are the best ones (a maximum spanning tree), unless `Join.counted` is False.
    """

    ids: tuple[str, ...]
    keep: str
    links: tuple[Link, ...]

    @property
    def others(self) -> tuple[str, ...]:
        """All but the one that stays."""
        return tuple(i for i in self.ids if i != self.keep)

    @property
    def loosest(self) -> float:
        """The lowest score of its links: a threshold above it takes the group apart."""
        return min(link.score for link in self.links)

    def __len__(self) -> int:
        return len(self.ids)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it: links as [id, id, score]."""
        links = [[link.first, link.second, link.score] for link in self.links]
        return {"ids": list(self.ids), "keep": self.keep, "links": links}


@dataclass(frozen=True, slots=True)
class Join:
    """How the pairs were found, and how many of them.

    Attributes:
        method: "tiles": every vector compared with every other; "cells": each with those of its own cell and of the
            cells next to it; "none": fewer than two documents.
        exact: whether all pairs are sure to be found. Cells are exact too where half the greatest distance of a pair is
            looked beyond each border: no pair can hide then.
        recall: the share of pairs found, measured by comparing sampled documents with all others; None where exact, or
            where no sampled document had a pair.
        low, high: its 95 % interval (Wilson's, over as many independent pairs as the sample is worth); None where exact.
        sampled: documents compared with all others to measure it.
        sampled_pairs: pairs that they have, found or not.
        pairs: pairs found, copies of a vector counted once.
        counted: whether `pairs` is all of them; False where there were so many that those inside a group were passed over.
        documents: documents looked at.
        copies: documents whose vector is the same as an earlier one's.
        compared: comparisons made, as a share of all pairs of vectors.
        seconds: how long it took.
        reason: why this method, in words.
    """

    method: str
    exact: bool
    documents: int
    copies: int = 0
    pairs: int = 0
    counted: bool = True
    recall: float | None = None
    low: float | None = None
    high: float | None = None
    sampled: int = 0
    sampled_pairs: int = 0
    compared: float = 1.0
    seconds: float = 0.0
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Deduplication:
    """What `dedup` deleted, or would delete.

    Attributes:
        groups: the groups, with which document of each stays.
        dry_run: whether nothing was deleted.
        documents: documents that are to go: all of the groups but the ones that stay.
        deleted: documents deleted; 0 in a dry run.
        spared: documents not deleted because they, or the one that stays instead of them, changed meanwhile.
        join: how the pairs were found.
        commit: the commit from which readers see it.
    """

    groups: tuple[Group, ...]
    dry_run: bool
    documents: int
    deleted: int
    spared: int
    join: Join
    commit: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        numbers = {n: getattr(self, n) for n in ("dry_run", "documents", "deleted", "spared", "commit")}
        return {**numbers, "join": self.join.to_dict(), "groups": [g.to_dict() for g in self.groups]}

    def __repr__(self) -> str:
        what = f"{self.documents:,} documents would be deleted" if self.dry_run else f"{self.deleted:,} documents deleted"
        return f"Deduplication({len(self.groups):,} groups, {what})"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A threshold for this collection, or why there is none.

    Attributes:
        above: the score in the valley between near-duplicates and ordinary neighbours; None where there is no valley.
        reason: what the scores look like, in words.
        sampled: documents whose nearest neighbour was looked for.
        share: of them, the share whose nearest neighbour scores at least `above`; 0 where it is None.
        quantiles: score of the nearest neighbour that so large a share of documents reaches: {0.01: 0.93, ...}.
        histogram: (lowest score, highest score, documents) of bins, ascending.
    """

    above: float | None
    reason: str
    sampled: int
    share: float = 0.0
    quantiles: dict[float, float] = field(default_factory=dict)
    histogram: tuple[tuple[float, float, int], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        found = {name: getattr(self, name) for name in self.__slots__}
        found["quantiles"] = {f"{share:g}": score for share, score in self.quantiles.items()}
        return found
