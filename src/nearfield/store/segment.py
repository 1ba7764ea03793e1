"""A segment: an immutable directory of vectors, row numbers, documents and filter columns, memory-mapped when read.

Knows files and positions; nothing of which rows are dead (the catalog does) or how to search. Positions run from 0 in
ascending row order. A finished segment never changes; only an index may be put beside its files.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearfield.core.errors import Corrupt, InvalidInput
from nearfield.core.metric import Metric, Vectors
from nearfield.core.types import Document
from nearfield.store import files, identifiers, layout, metadata
from nearfield.store.arrow import Sink
from nearfield.store.catalog import FileRecord, SegmentRecord
from nearfield.store.columns import Columns
from nearfield.store.documents import BATCH, SCHEMA

Rows = npt.NDArray[np.int64]


class Manifest(msgspec.Struct, frozen=True):
    """What a segment is, in manifest.json."""

    format: int
    dim: int
    dtype: str
    metric: str
    rows: int


class SegmentBuilder:
    """Writes a new segment directory, part by part; `finish` makes it durable, `abort` removes it."""

    def __init__(self, directory: Path, number: int, dim: int, metric: Metric, seed: int) -> None:
        files.make_directory(directory)
        self.directory = directory
        self._number, self._dim, self._metric, self._seed = number, dim, metric, seed
        self._files: dict[str, FileRecord] = {}
        self._vectors = files.Writer(directory / layout.VECTORS)
        self._norms = files.Writer(directory / layout.NORMS) if metric is Metric.COSINE else None
        self._documents = files.Writer(directory / layout.DOCUMENTS)
        self._arrow = pa.ipc.new_file(Sink(self._documents), SCHEMA)
        self._waiting: list[pa.RecordBatch] = []
        self._rows: list[Rows] = []
        self._hashes: list[identifiers.Hashes] = []

    def add(self, rows: Rows, vectors: Vectors, norms: npt.NDArray[np.float32] | None, documents: pa.RecordBatch) -> None:
        """Appends rows, ascending: int64 (n,), prepared float32 (n, dim), their lengths under cosine, documents."""
        self._vectors.write(np.ascontiguousarray(vectors, dtype=np.float32))
        if self._norms is not None and norms is not None:
            self._norms.write(np.ascontiguousarray(norms, dtype=np.float32))
        self._rows.append(np.asarray(rows, dtype=np.int64))
        self._hashes.append(identifiers.hash_many(documents.column(0), self._seed))
        self._waiting.append(documents)
        self._write_documents(last=False)

    def _write_documents(self, *, last: bool) -> None:
        waiting = sum(len(b) for b in self._waiting)
        if waiting < BATCH and not last:
            return
        whole = pa.Table.from_batches(self._waiting, SCHEMA).combine_chunks()
        stop = waiting if last else waiting - waiting % BATCH
        for start in range(0, stop, BATCH):
            piece = whole.slice(start, min(BATCH, stop - start)).combine_chunks()
            self._arrow.write_batch(piece.to_batches()[0])
        rest = whole.slice(stop)
        self._waiting = rest.to_batches() if len(rest) else []

    def finish(self, columns: Columns) -> SegmentRecord:
        """Writes what remains, syncs every file and the directories; returns what to put into the catalog."""
        self._write_documents(last=True)
        self._arrow.close()
        rows = np.concatenate(self._rows)
        hashes, positions = identifiers.sort(np.concatenate(self._hashes))
        self._record(layout.VECTORS, self._vectors.commit())
        if self._norms is not None:
            self._record(layout.NORMS, self._norms.commit())
        self._record(layout.DOCUMENTS, self._documents.commit())
        self._record(layout.ROWS, files.write_file(self.directory / layout.ROWS, rows))
        lookup = files.Writer(self.directory / layout.LOOKUP)
        lookup.write(hashes)
        lookup.write(positions)
        self._record(layout.LOOKUP, lookup.commit())
        self._record(layout.COLUMNS, files.write_file(self.directory / layout.COLUMNS, columns.to_bytes()))
        manifest = Manifest(layout.FORMAT, self._dim, "float32", str(self._metric), len(rows))
        encoded = msgspec.json.encode(manifest)
        self._record(layout.MANIFEST, files.write_file(self.directory / layout.MANIFEST, encoded))
        files.sync_directory(self.directory)
        files.sync_directory(self.directory.parent)
        return SegmentRecord(self._number, len(rows), int(rows[0]), int(rows[-1]), self._files)

    def _record(self, name: str, written: tuple[int, str]) -> None:
        self._files[name] = FileRecord(*written)

    def abort(self) -> None:
        """Closes and removes everything."""
        for writer in (self._vectors, self._norms, self._documents):
            if writer is not None:
                writer.abort()
        files.remove_tree(self.directory)


class Segment:
    """An open segment; every file is opened here, so that it stays readable after its names are gone.

    Attributes:
        vectors: prepared float32 (n, dim), memory-mapped.
        norms: float32 (n,) under cosine, else None.
        rows: int64 (n,), ascending.
    """

    def __init__(self, directory: Path, record: SegmentRecord, dim: int, metric: Metric, seed: int) -> None:
        self.directory, self.record, self.number = directory, record, record.number
        self._seed = seed
        manifest = _read_manifest(directory / layout.MANIFEST)
        if (manifest.rows, manifest.dim, manifest.metric) != (record.rows, dim, str(metric)):
            raise Corrupt(f"{directory / layout.MANIFEST} does not describe this segment; run: nearfield repair")
        n = record.rows
        self.vectors: Vectors = _map(directory, layout.VECTORS, record, np.float32, n * dim).reshape(n, dim)
        self.norms: npt.NDArray[np.float32] | None = None
        if metric is Metric.COSINE:
            self.norms = _map(directory, layout.NORMS, record, np.float32, n)
        self.rows: Rows = _map(directory, layout.ROWS, record, np.int64, n)
        lookup = _map(directory, layout.LOOKUP, record, np.uint8, 12 * n)
        self.hashes: identifiers.Hashes = lookup[: 8 * n].view(np.uint64)
        self.by_hash: npt.NDArray[np.uint32] = lookup[8 * n :].view(np.uint32)
        _check_size(directory, layout.DOCUMENTS, record)
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(directory / layout.DOCUMENTS)))
            batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        except (pa.ArrowException, OSError) as error:
            raise Corrupt(f"{directory / layout.DOCUMENTS} is damaged ({error}); run: nearfield repair") from error
        self._ids = [b.column(0) for b in batches]
        self._texts = [b.column(1) for b in batches]
        self._metadata = [b.column(2) for b in batches]
        self.batches: Sequence[pa.RecordBatch] = batches
        _check_size(directory, layout.COLUMNS, record)
        self.columns = Columns.open(directory / layout.COLUMNS)

    def __len__(self) -> int:
        return self.record.rows

    def id(self, position: int) -> str:
        """The id at a position."""
        return str(self._ids[position // BATCH][position % BATCH].as_py())

    def ids(self, positions: list[int]) -> list[str]:
        """The ids at positions, in that order."""
        return [self._ids[p // BATCH][p % BATCH].as_py() for p in positions]

    def ids_array(self) -> pa.ChunkedArray:
        """All ids, by position."""
        return pa.chunked_array(self._ids, pa.large_string())

    def metadata_bytes(self, position: int) -> bytes:
        """The metadata JSON at a position."""
        found: bytes = self._metadata[position // BATCH][position % BATCH].as_py()
        return found

    def text(self, position: int) -> str | None:
        """The text at a position."""
        found: str | None = self._texts[position // BATCH][position % BATCH].as_py()
        return found

    def textless(self) -> npt.NDArray[np.bool_]:
        """Bool (n,), True where there is no text."""
        nulls = [texts.is_null().to_numpy(zero_copy_only=False) for texts in self._texts]
        return np.concatenate(nulls) if nulls else np.empty(0, np.bool_)

    def vector(self, position: int) -> npt.NDArray[np.float32]:
        """The caller's vector at a position, as a copy: under cosine the unit vector times its length."""
        vector = np.array(self.vectors[position])
        return vector if self.norms is None else vector * self.norms[position]

    def take_documents(self, positions: npt.NDArray[np.int64]) -> pa.RecordBatch:
        """The documents at ascending positions, as one record batch."""
        pieces = []
        for number in np.unique(positions // BATCH).tolist():
            inside = positions[(positions >= number * BATCH) & (positions < (number + 1) * BATCH)] - number * BATCH
            pieces.append(self.batches[number].take(pa.array(inside)))
        return pa.Table.from_batches(pieces, SCHEMA).combine_chunks().to_batches()[0]

    def document(self, position: int, *, vector: bool = False) -> Document:
        """The document at a position."""
        batch, offset = divmod(position, BATCH)
        return Document(
            self._ids[batch][offset].as_py(),
            self._texts[batch][offset].as_py(),
            metadata.decode(self._metadata[batch][offset].as_py()),
            self.vector(position) if vector else None,
        )

    def documents(self, positions: npt.NDArray[np.int64], *, vectors: bool = False) -> Iterator[Document]:
        """The documents at ascending positions, read together."""
        batch = self.take_documents(positions)
        columns = (batch.column(i).to_pylist() for i in range(3))
        for position, document_id, text, encoded in zip(positions.tolist(), *columns, strict=True):
            vector = self.vector(position) if vectors else None
            yield Document(document_id, text, metadata.decode(encoded), vector)

    def position_of_id(self, document_id: str) -> int:
        """The position of an id, dead or alive; -1 if it is not here."""
        wanted = identifiers.hash_one(document_id, self._seed)
        at = int(np.searchsorted(self.hashes, np.uint64(wanted)))
        while at < len(self.hashes) and int(self.hashes[at]) == wanted:
            position = int(self.by_hash[at])
            if self.id(position) == document_id:
                return position
            at += 1
        return -1

    def positions_of_rows(self, rows: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The positions of those of `rows` that are here."""
        wanted = np.asarray(rows, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.rows, wanted), len(self.rows) - 1)
        return np.asarray(at[self.rows[at] == wanted], dtype=np.int64)

    def shared_ids(self, other: Segment) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Positions (here, in `other`) of ids that both hold, pairwise."""
        mine, theirs = identifiers.matches(self.hashes, other.hashes)
        here = self.by_hash[mine].astype(np.int64)
        there = other.by_hash[theirs].astype(np.int64)
        if not len(here):
            return here, there
        import pyarrow.compute as pc

        same = pc.equal(self.ids_array().take(pa.array(here)), other.ids_array().take(pa.array(there)))
        keep = np.asarray(same.to_numpy(zero_copy_only=False) if isinstance(same, pa.Array) else same.to_numpy(), bool)
        return here[keep], there[keep]

    def check(self, *, full: bool) -> list[str]:
        """Compares the files with the catalog's record: sizes, or with `full` every byte. Returns the problems."""
        problems = []
        for name, expected in self.record.files.items():
            path = self.directory / name
            try:
                size = path.stat().st_size
                if size != expected.size:
                    problems.append(f"{path} has {size} bytes, not {expected.size}")
                elif full and files.sha256(path) != expected.sha256:
                    problems.append(f"{path} is not what was written: its SHA-256 differs")
            except FileNotFoundError:
                problems.append(f"{path} is missing")
        return problems


def _read_manifest(path: Path) -> Manifest:
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise
    except (msgspec.DecodeError, OSError) as error:
        raise Corrupt(f"{path} is damaged ({error}); run: nearfield repair") from error
    if manifest.format != layout.FORMAT:
        raise InvalidInput(
            f"{path} was written in a format this nearfield cannot read",
            field="format",
            expected=str(layout.FORMAT),
            received=manifest.format,
        )
    return manifest


def _check_size(directory: Path, name: str, record: SegmentRecord) -> None:
    size = os.stat(directory / name).st_size
    if name not in record.files or size != record.files[name].size:
        raise Corrupt(
            f"{directory / name} has the wrong size; run: nearfield repair",
            field=name,
            expected=f"{record.files[name].size} bytes" if name in record.files else "an entry in the catalog",
            received=f"{size} bytes",
        )


def _map(directory: Path, name: str, record: SegmentRecord, dtype: Any, count: int) -> npt.NDArray[Any]:
    """Maps a raw file read-only as an array of `count` values."""
    _check_size(directory, name, record)
    with open(directory / name, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if len(mapped) != count * np.dtype(dtype).itemsize:
        raise Corrupt(f"{directory / name} does not hold {count} values; run: nearfield repair")
    return np.frombuffer(mapped, dtype=dtype)
