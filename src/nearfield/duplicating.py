"""Near-duplicates of a collection: found, deleted, and a threshold for them. Part of Collection, which holds it.

Knows an engine; every check of input happens here, before anything is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nearfield.core import inputs
from nearfield.core.errors import InvalidInput, ReadOnly
from nearfield.generation import Held, steady, steady_write

if TYPE_CHECKING:
    from nearfield.core import filters
    from nearfield.core.duplicates import Deduplication, Suggestion
    from nearfield.core.keeping import Keep
    from nearfield.core.metric import Metric
    from nearfield.duplicates.finding import Duplicates
    from nearfield.reading import Filter

RECALL = 0.99
"""The share of pairs that is found by default."""


class Duplicating(Held):
    """What can be asked about near-duplicates."""

    if TYPE_CHECKING:

        @property
        def metric(self) -> Metric:
            """How vectors are compared."""
            ...

        def parsed(self, filter: Filter) -> filters.Filter:
            """A filter, checked."""
            ...

    @steady
    def duplicates(
        self,
        above: float,
        *,
        keep: Keep = "first",
        filter: Filter | None = None,
        recall: float = RECALL,
        progress: Callable[[int, int], None] | None = None,
    ) -> Duplicates:
        """Groups of near-duplicates over the whole collection, of one snapshot, whatever is written meanwhile.

        Every pair of documents that scores at least `above` is a link, and documents that hang together by links are a group:
        two of a group need not be alike themselves. Few documents are compared all with all. Many are compared within cells
        and across near borders, exactly where that is cheap, else so that the share `recall` of pairs is found, which is
        measured on this collection: `join` of what is returned says it, with its interval.

        Args:
            above: the least score of a pair, by the collection's metric: a cosine from -1 to 1; an inner product; under l2
                minus the squared distance, so at most 0: -0.04 for vectors at most 0.2 apart.
            keep: which document of a group stays: "first" or "newest" as written (one that was replaced or updated counts from
                then on), or nearfield.KeepBy("year", "max"), also as {"field": "year", "order": "max"}.
            filter: which documents are compared.
            recall: the share of pairs to find, above 0; 1: all, whatever it takes.
            progress: called now and then with (documents compared, documents); what it raises ends the search.

        Returns:
            An iterable of groups: `ids`, `keep`, `others`, `links` with scores, `loosest`. The pairs are found when the first
            group or `join` is asked for.

        Raises:
            InvalidInput, FilterError: bad input; or the collection keeps documents in parts.
        """
        from nearfield.core import keeping as options
        from nearfield.duplicates import finding

        self._check_whole()
        self._engine.check_open()
        return finding.Duplicates(
            self._engine.snapshot,
            options.above(above, self.metric),
            options.keep(keep),
            None if filter is None else self.parsed(filter),
            options.recall(recall),
            progress,
        )

    @steady_write
    def dedup(
        self,
        above: float,
        *,
        keep: Keep = "first",
        filter: Filter | None = None,
        recall: float = RECALL,
        dry_run: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> Deduplication:
        """Deletes all documents of each group of near-duplicates but one; by default it only says what it would delete.

        A document that was written again since it was compared is not deleted, nor one whose group's `keep` is no longer as
        it was. Deletion goes by a thousand documents at a time, each durable; stopped in between, the next call goes on.

        Args:
            above: as in `duplicates`.
            keep: as in `duplicates`.
            filter: as in `duplicates`.
            recall: as in `duplicates`.
            dry_run: False deletes.
            progress: as in `duplicates`.

        Raises:
            InvalidInput, FilterError: as `duplicates`.
            ReadOnly: it is to delete, and the collection was opened read-only.
        """
        from nearfield.duplicates import deleting

        if not isinstance(dry_run, bool):
            raise InvalidInput("not a yes or no", field="dry_run", expected="True or False", received=dry_run)
        if not dry_run and self._engine.read_only:
            raise ReadOnly("this was opened with read_only=True; open it without to write")
        found = self.duplicates(above, keep=keep, filter=filter, recall=recall, progress=progress)
        return deleting.dedup(self._engine, found, dry_run)

    @steady
    def suggest_threshold(self, *, sample: int = 2000, filter: Filter | None = None) -> Suggestion:
        """A threshold for `duplicates` from the scores of nearest neighbours, or why none stands out.

        Args:
            sample: documents, drawn evenly, whose nearest neighbour is looked for, exactly; 100 to 100,000.
            filter: which documents are looked at.

        Returns:
            `above` (None where there is no valley between near-duplicates and ordinary neighbours), `reason`, the quantiles and
            the histogram of the scores.
        """
        from nearfield.duplicates import suggesting
        from nearfield.duplicates.rows import Rows

        self._check_whole()
        if not 100 <= inputs.whole(sample, "sample") <= 100_000:
            raise InvalidInput("not a size of a sample", field="sample", expected="100 to 100,000", received=sample)
        self._engine.check_open()
        rows = Rows.of(self._engine.snapshot, None if filter is None else self.parsed(filter))
        return suggesting.suggest(rows, sample)

    def _check_whole(self) -> None:
        if self._parted is not None:
            raise InvalidInput(
                "documents of this collection are kept in parts, and what two documents in parts score is not settled",
                field="collection",
                expected="a collection without passages and named vectors",
            )


def skipping(above: Any, metric: Metric, *, parted: bool, pictures: bool) -> float | None:
    """The threshold of `upsert(..., skip_duplicates_above=)`, checked."""
    from nearfield.core import keeping as options

    if above is None:
        return None
    if parted or pictures:
        what = "documents in parts" if parted else "pictures"
        raise InvalidInput(f"{what} are written without looking for duplicates", field="skip_duplicates_above", expected="None")
    return options.above(above, metric, "skip_duplicates_above")
