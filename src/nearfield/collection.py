"""A collection: documents in, hits out. Joins an embedder and an engine; what users hold.

Knows both only by their protocols; asking it is in searching.py, reading it in reading.py. Every check of input happens before
anything is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nearfield.core import inputs
from nearfield.core.config import parse_size, parse_time
from nearfield.core.errors import InvalidInput
from nearfield.core.metric import prepare
from nearfield.core.parts import HEAD
from nearfield.core.types import TIERS, Document, Written
from nearfield.duplicating import Duplicating, skipping
from nearfield.filing import Filing
from nearfield.generation import Generation, Home, steady, steady_write
from nearfield.reading import Filter
from nearfield.recommending import Recommending
from nearfield.uses import Uses

if TYPE_CHECKING:
    from pathlib import Path

    from nearfield.core.metric import Vectors
    from nearfield.engine.fields import Field
    from nearfield.engine.stats import Stats
    from nearfield.engine.verify import Report
    from nearfield.index.base import Kind
    from nearfield.maintain.calibrating import Calibration
    from nearfield.maintain.worker import Maintainer
    from nearfield.picturing import PicturesAdded
    from nearfield.planning.front import Best, Front


class Collection(Recommending, Duplicating, Uses, Filing):
    """Documents that can be searched. Made by `Database.create` or `Database[...]`; safe to use from many threads."""

    def __init__(self, name: str, generation: Generation, home: Home | None = None) -> None:
        super().__init__(generation)
        self.name, self._home = name, home

    def __repr__(self) -> str:
        return f"Collection({self.name!r}, {len(self):,} documents, dim={self.dim}, metric={self.metric.value!r})"

    @property
    def commit(self) -> int:
        """The number of the last commit that this collection sees."""
        return self._engine.snapshot.commit

    # -- writing

    @steady_write
    def upsert(
        self,
        documents: Sequence[Document] | Document,
        vectors: Any = None,
        *,
        if_exists: str = "replace",
        broken: Callable[[str, str], None] | None = None,
        skip_duplicates_above: float | None = None,
    ) -> Written:
        """Writes documents, replacing those with the same ids; all or nothing, durable when it returns.

        Args:
            documents: what to write. Only text that changed is embedded again; a picture decides its document's vector, and is
                embedded each time.
            vectors: float32 (n, dim) in place of embedding the texts and pictures; other types are converted once.
            if_exists: "replace", "skip" (keep the older) or "error".
            broken: called with (id, why) for each picture that cannot be read, whose document is then left out; None: the first
                is an error.
            skip_duplicates_above: leaves out each document whose nearest stored one, or an earlier one of the batch, other than
                that of its own id, scores at least this; `Written.alike` names it. None: nothing is looked for.

        Raises:
            InvalidInput: bad ids, texts, metadata, vectors or pictures; nothing was written.
            AlreadyExists: an id is there and if_exists="error".
            Overloaded: too many documents wait for a segment.
        """
        batch = [documents] if isinstance(documents, Document) else list(documents)
        from nearfield import intake

        inputs.choice(if_exists, inputs.IF_EXISTS, "if_exists")
        checked = intake.check(batch)
        pictures = any(d.image is not None for d in batch)
        limit = skipping(skip_duplicates_above, self.metric, parted=self._parted is not None, pictures=pictures)
        if not batch:
            return Written(commit=self.commit)
        if self._parted is not None:
            from nearfield.parts import intake as in_parts

            return in_parts.upsert(self._parted, batch, checked, vectors, if_exists, broken)
        if vectors is not None:
            vectors = inputs.vectors(vectors, self.dim, len(batch))
        if pictures:
            from nearfield import picturing

            return picturing.upsert(self._engine, self._embedder, batch, checked, vectors, if_exists, broken)
        ready = intake.embed(self._engine, self._embedder, checked, if_exists) if vectors is None else vectors
        if limit is not None:
            from nearfield.duplicates import arriving

            return arriving.write(self._engine, checked, *prepare(ready, self.metric), if_exists, limit)
        return intake.write(self._engine, checked, *prepare(ready, self.metric), if_exists)

    def add_pictures(
        self,
        path: str | Path,
        *,
        prefix: str = "",
        batch: int = 64,
        progress: Callable[[int, int | None], None] | None = None,
        done: PicturesAdded | None = None,
    ) -> PicturesAdded:
        """Writes the pictures below a folder that are new or changed; each batch is durable before the next is read.

        Ids are the paths below the folder. Metadata: path, name, width, height, bytes, modified, and taken where EXIF says it;
        other keys, and a text, that a document has already stay. A file is known to be unchanged by its size and time, so a run
        that was stopped goes on when it is repeated. Documents of files that are gone stay.

        Args:
            path: a folder, or one picture.
            prefix: what ids begin with, before a "/", so that two folders stay apart.
            batch: pictures written together, at least 1.
            progress: called with (files done, files in all).
            done: counts of earlier calls to go on from; kept up to date after each batch, so that they are right after Ctrl-C.

        Returns:
            What was added, replaced and unchanged, and (path, why) of each file that is broken or too large: it is passed over.

        Raises:
            NotFound: nothing is there.
            InvalidInput: the model takes no pictures.
        """
        from pathlib import Path

        from nearfield import picturing

        picturing.check(self)
        size = inputs.whole(batch, "batch", 1)
        return picturing.add_folder(self, Path(path), prefix=prefix, done=done, batch=size, progress=progress)

    @steady_write
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
        if self._parted is not None:
            from nearfield.parts import loading

            return loading.load(self._parted, ids, vectors, texts, metadata, if_exists, progress)
        source = intake.Columnar.of(ids, vectors, texts, metadata, self.dim)
        return intake.load(self._engine, self._embedder, source, if_exists, progress)

    @steady_write
    def update(self, id: str, *, metadata: Mapping[str, Any] | None = None, remove: Sequence[str] = ()) -> Written:
        """Sets and removes metadata keys of one document; its text and vector stay, nothing is embedded again.

        Raises:
            NotFound: no document has this id.
        """
        changes = dict(metadata or {})
        from nearfield.store import metadata as encoding

        encoding.encode(changes)
        return self._engine.update(inputs.document_id(id), changes, list(remove))

    @steady_write
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
        """Sees what the writing process committed since (read-only openers), another model too; returns the commit number."""
        if self._home is not None:
            self._home.follow(self)
        return self._engine.refresh()

    @steady
    def stats(self) -> Stats:
        """What the collection holds, in numbers."""
        from nearfield.engine import stats

        others = () if self._home is None else self._home.others(self._generation.number)
        return stats.collect(self.name, self._engine, self._maintainer, others)

    def fields(self) -> list[Field]:
        """The metadata fields that documents have: types, range of numbers, commonest strings. Looks at every document."""
        from nearfield.engine import fields

        return fields.collect(self._engine.snapshot, None if self._parted is None else HEAD)

    def optimize(self, *, purge: bool = False, progress: Callable[[str], None] | None = None) -> None:
        """Returns when all is sealed, merged and indexed.

        Args:
            purge: also rewrite whatever holds deleted documents, so that no byte of them remains; a generation kept for
                `Database.undo_reembed` has them until `forget_generation`.
            progress: called with a line for people as each step begins.
        """
        self._keeper().optimize(purge=purge, progress=progress)
        if purge and progress is not None and self._home is not None and self._home.others(self._live.number):
            progress("what was deleted is still in the generation kept beside this one; forget_generation removes that")

    def rebuild(
        self,
        kind: Kind | Best | str | None = None,
        *,
        keyword: bool | str = False,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """Builds every segment's index again, aside, as `kind`; searches go on. Returns when all are swapped.

        Args:
            kind: a kind, "auto", or `front.best` of `tune`; a best without a kind means "auto". None: "auto", and with
                `keyword` nothing.
            keyword: makes the index of words anew, beside the one that is searched: True as it was made (and where there is
                none, "english"); "english" or "plain", as in `Database.create`. Ctrl-C stops it, the next call goes on.
            progress: called with a line for people while the words are indexed.
        """
        from nearfield.creating import words_of

        words = None if isinstance(keyword, bool) else words_of(keyword)
        if kind is not None or keyword is False:
            self._keeper().rebuild("auto" if kind is None else kind)
        if keyword is not False:
            self._keeper().rebuild_keywords(words, progress)

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
