"""A directory of collections: opens it, wires embedder, engine and maintenance together, and closes all of it.

The only place that knows every part. One process opens a directory for writing; any number open it read-only.
"""

from __future__ import annotations

import builtins
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from nearfield.collection import Collection
from nearfield.core import inputs
from nearfield.core.errors import AlreadyExists, Closed, InvalidInput, NotFound, ReadOnly
from nearfield.core.metric import Metric
from nearfield.creating import settings_of, words_of
from nearfield.embedding import BoundEmbedder
from nearfield.engine.local import LocalEngine
from nearfield.engine.parted import open_engine
from nearfield.generation import Generation
from nearfield.maintain import budgets
from nearfield.maintain.tier_report import Tiers
from nearfield.maintain.tiers import TierKeeper
from nearfield.maintain.worker import Maintainer
from nearfield.parts.parted import wire
from nearfield.reembedding.keeper import Keeper
from nearfield.reembedding.methods import Reembedding
from nearfield.store import directory, files, layout
from nearfield.store.generations import GONE
from nearfield.store.names import Names

if TYPE_CHECKING:
    from nearfield.core.parts import Passages, VectorField
    from nearfield.embed.base import Embedder
    from nearfield.index.base import Kind


def open(
    path: str | os.PathLike[str],
    *,
    read_only: bool = False,
    build_threads: int | None = None,
    gpu_memory: int | str | None = None,
    memory: int | str | None = None,
    device: str | Sequence[str] = "auto",
    spread: str = "shard",
) -> Database:
    """Opens a database directory, making it if it is missing or empty.

    Args:
        path: the directory.
        read_only: see what another process writes, without the lock; `refresh()` to see more.
        build_threads: of index builds in the background, at idle priority, so that searches hardly feel them; by default they
            take all cores, at a lower priority than searches.
        gpu_memory: of each card, such as "20GB", for the vectors that are searched the most; "auto" takes most of what is free.
            None, "none" or 0: no card is used. Where there is no card, searches go by the processor, and `tiers()` says so.
        memory: for segments in memory, such as "16GB"; the rest is opened on use. None: not limited.
        device: "auto", every card there is; or names of those to use, such as "cuda:0" or ["cuda:0", "cuda:1"].
        spread: over several cards: "shard" deals the rows out, "replicate" puts all of them on each.

    Raises:
        Locked: another process has it open for writing.
        InvalidInput: the directory holds something else, or a format this version cannot read.
        NotFound: read_only and there is nothing.
        ReadOnly: the directory cannot be written.
        InvalidInput: a budget that is none, a device that is not there but was named, a device or spread without `gpu_memory`.
        MissingDependency: a device was named, and PyTorch is not installed.
    """
    if build_threads is not None:
        inputs.whole(build_threads, "build_threads", 1)
    db = Database(Path(path), read_only=read_only, build_threads=build_threads)
    try:
        db._keep_tiers(gpu_memory, memory, device, spread)
    except BaseException:
        db.close()
        raise
    return db


class Database(Reembedding):
    """An open directory of collections; a context manager. Made by `nearfield.open`."""

    def __init__(self, path: Path, *, read_only: bool, build_threads: int | None = None) -> None:
        self.path, self.read_only, self._build_threads = path, read_only, build_threads
        self._pid = os.getpid()
        self._open: dict[int, Collection] = {}
        self._generations = Keeper(self)
        self._closing: list[Callable[[], None]] = []
        self._mutex = threading.RLock()
        self._closed = False
        self._lock: files.DirectoryLock | None = None
        self._tiers: TierKeeper | None = None
        if not read_only:
            directory.prepare(path)
            self._lock = files.DirectoryLock(path / layout.LOCK)
        try:
            if not read_only and not (path / layout.DATABASE).exists():
                Names.create(path)
            if not (path / layout.DATABASE).exists():
                raise NotFound(f"there is no database in {path}", field="path", received=str(path))
            self._names = Names(path, read_only=read_only)
            if not read_only:
                self._sweep()
        except BaseException:
            if self._lock is not None:
                self._lock.release()
            raise

    def _sweep(self) -> None:
        """Removes directories that no name leads to: leavings of a killed create or drop."""
        self._generations.sweep(opening=True)
        named = set(self._names.all()[0].values()) | {kept.number for kept in self._names.kept() if kept.state != GONE}
        for found in (self.path / layout.COLLECTIONS).iterdir():
            if not found.name.isdigit() or int(found.name) not in named:
                files.remove_tree(found)

    # -- tiers

    def _keep_tiers(
        self, gpu_memory: int | str | None, memory: int | str | None, device: str | Sequence[str], spread: str
    ) -> None:
        self._tiers = budgets.keeper(self._engines, gpu_memory, memory, device, spread)
        if self._tiers is None and not self.read_only:
            self._tiers = TierKeeper(self._engines, None, None)  # a collection may be pinned to files without a budget
        if self._tiers is not None:
            self._tiers.start()

    def _engines(self) -> builtins.list[tuple[int, str, LocalEngine]]:
        with self._mutex:
            return [(number, one.name, one._engine) for number, one in self._open.items()]

    def tiers(self) -> Tiers:
        """Where segments of the open collections are kept: on cards, in memory, in files; budgets, moves and alarms."""
        self._check_open()
        return (self._tiers or TierKeeper(self._engines, None, None)).report()

    # -- collections

    def create(
        self,
        name: str,
        *,
        embedder: str | Embedder | None = "minilm",
        dim: int | None = None,
        metric: str | Metric = "cosine",
        index: str | Kind = "auto",
        recall: float = 0.95,
        fields: Mapping[str, str] | None = None,
        keyword: str | None = "english",
        passages: Passages | None = None,
        vectors: Mapping[str, VectorField] | None = None,
    ) -> Collection:
        """Makes a collection.

        Args:
            name: 1 to 128 letters, digits, '.', '_', '-'; case does not matter.
            embedder: a name for `nearfield.embed.load`, an embedder object, or None to bring vectors.
            dim: numbers in each vector; needed, and only allowed to differ from the embedder's, without an embedder.
            metric: "cosine", "ip" or "l2".
            index: "auto" (by size, with a reason in stats), or a kind such as nearfield.Hnsw(links=32).
            recall: what searches hold unless they ask for another, in (0, 1].
            fields: metadata fields with a declared type: {"day": "timestamp"} compares RFC 3339 texts as instants.
            keyword: how texts are indexed by their words: "english" (stemmed: "tides" finds "tide"), "plain" (as they are
                written), or None (not at all: only dense searches). Chinese, Japanese, Korean, Thai by pairs of letters.
            passages: texts are embedded passage by passage, such as nearfield.Passages(tokens=200, overlap=40); hits are of
                documents, and show the passage.
            vectors: several vectors for each document, by name, each a nearfield.VectorField(...).

        Raises:
            AlreadyExists: a collection or alias has the name.
            InvalidInput: anything else that is wrong.
        """
        self._check_writable()
        words = words_of(keyword)
        settings = settings_of(embedder, dim, metric, index, recall, fields, passages, vectors)
        with self._mutex:
            if self._names.find(inputs.name(name)) is not None:
                raise AlreadyExists("a collection or alias has this name", field="name", received=name)
            number = self._names.take_number()
            directory.make_collection(self.path, number, settings, words)
            try:
                self._names.add(name, number)
            except BaseException:
                files.remove_tree(layout.collection(self.path, number))
                raise
            return self._collection(name, number, None if isinstance(embedder, str) else embedder, vectors or {})

    def get_or_create(self, name: str, **options: Any) -> Collection:
        """The collection if it is there, else a new one with `options` of `create`.

        Raises:
            InvalidInput: it is there with another dim, metric or embedder than `options` say.
        """
        with self._mutex:
            if self._names.find(inputs.name(name)) is None:
                return self.create(name, **options)
            embedder = options.get("embedder", "minilm")
            found = self.get(name, embedder=None if isinstance(embedder, str) else embedder)
        given = {"dim": options.get("dim"), "metric": options.get("metric")}
        for field, (wanted, actual) in {
            "dim": (given["dim"], found.dim),
            "metric": (given["metric"], found.metric.value),
            "embedder": (getattr(embedder, "name", embedder) if "embedder" in options else None, found.embedder),
        }.items():
            if wanted is not None and wanted != actual:
                raise InvalidInput(f"{name!r} exists with another {field}", field=field, expected=repr(actual), received=wanted)
        return found

    def __getitem__(self, name: str) -> Collection:
        return self.get(name)

    def get(self, name: str, *, embedder: Embedder | None = None) -> Collection:
        """The collection of a name or alias; `embedder` gives an object in place of loading the stored name.

        Raises:
            NotFound: no collection or alias has the name.
            ModelMismatch: `embedder` is not the one that made the stored vectors.
        """
        self._check_open()
        with self._mutex:
            number = self._names.find(inputs.name(name))
            if number is None:
                raise NotFound("no collection has this name", field="name", expected=f"one of {self.list()}", received=name)
            if number not in self._open:
                self._generations.find(number)
            if embedder is None and number in self._open:
                return self._open[number]
            return self._collection(self._names.name_of(number) or name, number, embedder)

    def __contains__(self, name: object) -> bool:
        self._check_open()
        return isinstance(name, str) and self._names.find(name) is not None

    def _collection(
        self, name: str, number: int, given: Embedder | None, named: Mapping[str, VectorField] | None = None
    ) -> Collection:
        if number in self._open and given is None:
            return self._open[number]
        if number in self._open:
            engine, keeper = self._open[number]._engine, self._open[number]._maintainer
        else:
            engine = open_engine(layout.collection(self.path, number), read_only=self.read_only)
            engine.build_threads = self._build_threads
            if self._tiers is not None:
                engine.on_pin, engine.devices = self._tiers.settle, self._tiers.has_devices
            keeper = None if self.read_only else Maintainer(engine)
        settings = engine.settings
        store = None if self.read_only else _store_fingerprint(engine)
        bound = BoundEmbedder(settings.embedder, given, settings.fingerprint, store)
        generation = Generation(number, engine, bound, keeper, wire(engine, bound, named))
        self._open[number] = Collection(name, generation, self._generations)
        self._generations.add(self._open[number])
        if self._tiers is not None:
            self._tiers.look()
        return self._open[number]

    def list(self) -> list[str]:
        """The names of the collections, in order."""
        self._check_open()
        return list(self._names.all()[0])

    def aliases(self) -> dict[str, str]:
        """Each alias, with the name it leads to."""
        self._check_open()
        names, aliases = self._names.all()
        by_number = {number: name for name, number in names.items()}
        return {alias: by_number[number] for alias, number in aliases.items()}

    def alias(self, alias: str, name: str) -> None:
        """Makes `alias` lead to the collection `name`, in one step; an alias that exists is moved."""
        self._check_writable()
        number = self._names.find(inputs.name(name))
        if number is None:
            raise NotFound("no collection has this name", field="name", received=name)
        self._names.add(inputs.name(alias, "alias"), number, alias=True)

    def unalias(self, alias: str) -> None:
        """Takes an alias away."""
        self._check_writable()
        self._names.drop_alias(inputs.name(alias, "alias"))

    def rename(self, old: str, new: str) -> None:
        """Renames a collection; what holds it keeps it."""
        self._check_writable()
        with self._mutex:
            self._names.rename(inputs.name(old, "old"), inputs.name(new, "new"))
            number = self._names.find(new)
            if number is not None and number in self._open:
                self._open[number].name = new

    def drop(self, name: str) -> None:
        """Removes a collection, its aliases, its other generations and all files."""
        self._check_writable()
        if (running := self._names.find(inputs.name(name))) is not None:
            self._generations.stop(running)
        with self._mutex:
            number = self._names.find(name)
            if number is None or self._names.name_of(number) is None:
                raise NotFound("no collection has this name", field="name", received=name)
            if name.lower() != (self._names.name_of(number) or "").lower():
                raise InvalidInput(
                    "this is an alias; drop the collection by its name, or use unalias", field="name", received=name
                )
            others = [kept.number for kept in self._generations.kept(number)]
            self._names.drop(name)
            for each in (number, *others):
                self._close(each)
                files.remove_tree(layout.collection(self.path, each))

    def copy(self, source: str, target: str) -> Collection:
        """Copies a collection, consistent, under a new name; files that never change are linked, not copied."""
        self._check_writable()
        from nearfield.store import backup

        with self._mutex:
            number = self._names.find(inputs.name(source))
            if number is None:
                raise NotFound("no collection has this name", field="source", received=source)
            origin = layout.collection(self.path, number)
            if self._names.find(inputs.name(target, "target")) is not None:
                raise AlreadyExists("a collection or alias has this name", field="target", received=target)
            number = self._names.take_number()
            directory = layout.collection(self.path, number)
            backup.copy_collection(origin, directory, link=True)
            files.sync_directory(directory.parent)
            self._names.add(target, number)
            return self._collection(target, number, None)

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Writes a consistent, checksummed copy of everything into a new directory, while writes go on."""
        self._check_open()
        from nearfield.store import backup

        backup.database(self.path, Path(path))

    # -- closing

    def _close(self, number: int) -> None:
        collection = self._open.pop(number, None)
        if collection is not None:
            if collection._maintainer is not None:
                collection._maintainer.close()
            for view in collection._engine.snapshot.segments:
                view.place.leave()
            collection._engine.close()

    def close(self) -> None:
        """Finishes what was submitted and gives the lock back. Nothing acknowledged depends on it."""
        if os.getpid() == self._pid:
            self._generations.stop()
        with self._mutex:
            if self._closed:
                return
            self._closed = True
        try:
            if os.getpid() == self._pid:
                if self._tiers is not None:
                    self._tiers.close()
                with self._mutex:
                    for number in list(self._open):
                        self._close(number)
                    self._names.close()
        finally:
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("the database is closed; open it again")
        if os.getpid() != self._pid:
            raise Closed("a database cannot be used after a fork; open it in the new process")

    def _check_writable(self) -> None:
        self._check_open()
        if self.read_only:
            raise ReadOnly("this was opened with read_only=True; open it without to write")


def _store_fingerprint(engine: LocalEngine) -> Callable[[dict[str, Any]], None]:
    def store(value: dict[str, Any]) -> None:
        import msgspec

        engine.write_settings(msgspec.structs.replace(engine.settings, fingerprint=value))

    return store
