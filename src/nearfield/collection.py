"""A collection: documents in, hits out. Joins an embedder and an engine; what users hold. Reading it is in searching.py.

Knows both only by their protocols. Every check of input happens before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nearfield.core import inputs
from nearfield.core.config import parse_size, parse_time
from nearfield.core.errors import InvalidInput
from nearfield.core.metric import prepare
from nearfield.core.types import TIERS, Document, Written
from nearfield.embedding import BoundEmbedder
from nearfield.reading import Filter
from nearfield.searching import Searching

if TYPE_CHECKING:
    from pathlib import Path

    from nearfield.core.metric import Vectors
    from nearfield.engine.fields import Field
    from nearfield.engine.local import LocalEngine
    from nearfield.engine.stats import Stats
    from nearfield.engine.verify import Report
    from nearfield.index.base import Kind
    from nearfield.maintain.calibrating import Calibration
    from nearfield.maintain.worker import Maintainer
    from nearfield.planning.front import Best, Front


class Collection(Searching):
    """Documents that can be searched. Made by `Database.create` or `Database[...]`; safe to use from many threads."""

    def __init__(self, name: str, engine: LocalEngine, embedder: BoundEmbedder, maintainer: Maintainer | None) -> None:
        self.name = name
        self._engine, self._embedder, self._maintainer = engine, embedder, maintainer

    def __repr__(self) -> str:
        return f"Collection({self.name!r}, {len(self):,} documents, dim={self.dim}, metric={self.metric.value!r})"

    @property
    def commit(self) -> int:
        """The number of the last commit that this collection sees."""
        return self._engine.snapshot.commit

    # -- writing

    def upsert(self, documents: Sequence[Document] | Document, vectors: Any = None, *, if_exists: str = "replace") -> Written:
        """Writes documents, replacing those with the same ids; all or nothing, durable when it returns.

        Args:
            documents: what to write. Only text that changed is embedded again.
            vectors: float32 (n, dim) in place of embedding the texts; other types are converted once.
            if_exists: "replace", "skip" (keep the older) or "error".

        Raises:
            InvalidInput: bad ids, texts, metadata or vectors; nothing was written.
            AlreadyExists: an id is there and if_exists="error".
            Overloaded: too many documents wait for a segment.
        """
        batch = [documents] if isinstance(documents, Document) else list(documents)
        from nearfield import intake

        inputs.choice(if_exists, inputs.IF_EXISTS, "if_exists")
        checked = intake.check(batch)
        if not batch:
            return Written(commit=self.commit)
        if vectors is None:
            ready = intake.embed(self._engine, self._embedder, checked, if_exists)
        else:
            ready = inputs.vectors(vectors, self.dim, len(batch))
        return intake.write(self._engine, checked, *prepare(ready, self.metric), if_exists)

    def load(
        self,
        *,
        ids: Any,
        vectors: Any = None,
        texts: Any = None,
        metadata: Any = None,
        if_exists: str = "replace",
        progress: Callable[[int, int | None], None] | None = None,
    ) -> Written:
        """Loads many documents, columnar, straight into segments; chunk by chunk, each atomic and durable.

        Args:
            ids: n strings: a list, numpy or Arrow array; none twice.
            vectors: float32 (n, dim), a memory map too; may be left out where the collection embeds `texts`.
            texts: n strings or None values.
            metadata: a pyarrow.Table, a dict of columns, or n dicts.
            if_exists: "replace", "skip" or "error".
            progress: called with (documents committed, n) after each chunk.

        Raises:
            InvalidInput: bad input; `.committed` tells how many documents are safe. Running it again resumes:
                with if_exists="skip" what is there is not written again.
        """
        from nearfield import intake

        inputs.choice(if_exists, inputs.IF_EXISTS, "if_exists")
        source = intake.Columnar.of(ids, vectors, texts, metadata, self.dim)
        return intake.load(self._engine, self._embedder, source, if_exists, progress)

    def update(self, id: str, *, metadata: Mapping[str, Any] | None = None, remove: Sequence[str] = ()) -> Written:
        """Sets and removes metadata keys of one document; its text and vector stay, nothing is embedded again.

        Raises:
            NotFound: no document has this id.
        """
        changes = dict(metadata or {})
        from nearfield.store import metadata as encoding

        encoding.encode(changes)
        return self._engine.update(inputs.document_id(id), changes, list(remove))

    def delete(self, ids: Sequence[str] | str | None = None, *, filter: Filter | None = None) -> Written:
        """Deletes by id or by filter; ids that are not there are passed over. Durable when it returns."""
        if (ids is None) == (filter is None):
            raise InvalidInput("give either ids or a filter", field="ids", expected="exactly one of ids, filter")
        if filter is not None:
            return self._engine.delete_where(self.parsed(filter))
        wanted = [ids] if isinstance(ids, str) else list(ids or ())
        return self._engine.delete([inputs.document_id(i) for i in dict.fromkeys(wanted)])

    # -- keeping

    def refresh(self) -> int:
        """Sees what the writing process committed since (read-only openers); returns the commit number."""
        return self._engine.refresh()

    def stats(self) -> Stats:
        """What the collection holds, in numbers."""
        from nearfield.engine import stats

        return stats.collect(self.name, self._engine, self._maintainer)

    def fields(self) -> list[Field]:
        """The metadata fields that documents have: types, range of numbers, commonest strings. Looks at every document."""
        from nearfield.engine import fields

        return fields.collect(self._engine.snapshot)

    def optimize(self, *, purge: bool = False, progress: Callable[[str], None] | None = None) -> None:
        """Returns when all is sealed, merged and indexed.

        Args:
            purge: also rewrite whatever holds deleted documents, so that no byte of them remains.
            progress: called with a line for people as each step begins.
        """
        self._keeper().optimize(purge=purge, progress=progress)

    def rebuild(self, kind: Kind | Best | str = "auto") -> None:
        """Builds every segment's index again, aside, as `kind`; searches go on. Returns when all are swapped.

        Args:
            kind: a kind, "auto", or `front.best` of `tune`; a best without a kind means "auto".
        """
        self._keeper().rebuild(kind)

    def tune(
        self,
        *,
        recall: float | None = None,
        latency: float | str | None = None,
        memory: int | str | None = None,
        minutes: float | None = None,
        queries: Any = None,
        k: int = 10,
        progress: Callable[[str], None] | None = None,
    ) -> Front:
        """Builds candidates on samples, the finalists on all rows, measures them, and chooses. Changes no index.

        Every measurement is written down at once: after Ctrl-C, a kill or `minutes` the next call goes on. A report
        (front.json, front.png, front.html) is left in the collection's directory under tune/.

        Args:
            recall: recall@k that the lower bound must reach; the collection's by default.
            latency: the most that the P99 of single searches may take: seconds, or text such as "2ms".
            memory: the most an index may take: bytes, or text such as "2GB".
            minutes: when to stop; None: when done.
            queries: real queries, texts or float32 (m, dim), 20 to 10,000, which then decide; else held-out rows.
            k: how many hits.
            progress: called with a line for people, the best so far included.

        Returns:
            The front, with `best`, which `rebuild` takes, `table()`, `plot(path)` and `to_dict()`.
        """
        keeper = self._keeper()
        if minutes is not None and (
            isinstance(minutes, bool) or not isinstance(minutes, (int, float)) or not 0 < minutes < 1e6
        ):
            raise InvalidInput("not a time", field="minutes", expected="a number above 0", received=minutes)
        return keeper.tune(
            self.name,
            self.recall if recall is None else inputs.recall(recall),
            inputs.k(k),
            None if latency is None else parse_time(latency, "latency"),
            None if memory is None else parse_size(memory, "memory"),
            minutes,
            None if queries is None else self.prepared(queries),
            progress,
        )

    def pin(self, tier: str | None, *, now: bool = True, timeout: float | str | None = None) -> None:
        """Keeps all segments of this collection in one tier, whatever others are asked; returns when they have been moved.

        Args:
            tier: "hot": on a card, as far as its budget goes; "warm": in memory; "cold": in their files, opened on use; None:
                as they are asked, which is the default. It is kept until it is changed.
            now: False only writes it down, for who opens the database next, whatever cards this process may use.
            timeout: seconds, or text such as "5s", after which it returns and moves go on in the background; None: it waits.

        Raises:
            InvalidInput: another word; "hot" now where the database was opened without `gpu_memory`, or with it on a machine
                without a card that can be used.
            ReadOnly: the database was opened read-only.
        """
        self._keeper()
        if tier is not None:
            inputs.choice(tier, TIERS, "tier")
        if tier == "hot" and now and not self._engine.devices:
            why = "no card may be used: open the database with gpu_memory=, or serve it with --gpu-memory"
            if self._engine.devices is False:
                why = "no card is here: see db.tiers().alarms and `nearfield doctor`"
            raise InvalidInput(why, field="tier", expected="'warm', 'cold' or None", received=tier)
        self._engine.write_pin(tier, move=now, patience=None if timeout is None else parse_time(timeout, "timeout"))

    def record_queries(self, n: int) -> None:
        """Keeps a sample of the query vectors of real searches, so that indexes are measured with them. Off by default.

        The sample is drawn evenly (reservoir sampling) from all searches by text or vector, without a filter, since this was
        called. It is data of the collection: float32 vectors, no texts, no times, in the table `queries` of its catalog.sqlite,
        written every few seconds and at close; copies and backups hold it too. Deleting it: record_queries(0).

        Args:
            n: the most that are kept, 100 to 10,000; 0 turns it off and deletes every one, from the disk too. Another n than
                before starts anew; the same n changes nothing.
        """
        from nearfield.engine import recording

        self._keeper()
        if inputs.whole(n, "n") and not recording.LEAST <= n <= recording.MOST:
            allowed = f"0, or {recording.LEAST} to {recording.MOST:,}"
            raise InvalidInput("not a number of queries to keep", field="n", expected=allowed, received=n)
        if self._engine.recorder.record(int(n)):
            self._engine.vacuum()

    def calibrate(self, queries: Sequence[str] | Vectors | None = None) -> tuple[Calibration, ...]:
        """Measures the indexes again with real queries, without building them; searches go by that from then on.

        All rows are in the indexes by now, so none can be held out as when they were built: documents' own vectors as queries
        would flatter an index. What was measured with held-out rows then is kept and reported apart.

        Args:
            queries: 20 to 10,000 texts, or float32 (m, dim); None takes the recorded ones (see `record_queries`).

        Returns:
            For each segment with an index what was measured; empty if none has one: then every search is exact.

        Raises:
            InvalidInput: too few or too many queries, or bad ones.
        """
        return self._keeper().calibrate(None if queries is None else self.prepared(queries))

    def verify(self) -> Report:
        """Reads every byte and compares it with what was written; see Report."""
        from nearfield.engine import verify

        return verify.check(self._engine)

    def repair(self) -> Report:
        """Drops damaged indexes, which are rebuilt, and reports what cannot be mended."""
        return self._keeper().repair()

    def export(self, path: str | Path, *, vectors: bool = True) -> int:
        """Writes all documents to a .jsonl or .parquet file; returns how many."""
        from nearfield import transfer

        return transfer.export(self, path, vectors=vectors)

    def import_(self, path: str | Path) -> Written:
        """Reads what `export` wrote."""
        from nearfield import transfer

        return transfer.import_(self, path)

    def _keeper(self) -> Maintainer:
        if self._maintainer is None:
            from nearfield.core.errors import ReadOnly

            raise ReadOnly("this was opened with read_only=True; open it without to write")
        return self._maintainer
