"""The filter columns of a segment: every metadata path as a typed column, in one memory-mapped file.

Knows columns and filters; nothing of vectors. The file is a JSON header and plain arrays, each opened when a filter first
asks for it (FORMAT.md).
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearfield.core.errors import Corrupt
from nearfield.core.filters import And, Filter, Not, Or
from nearfield.store import column as columnar
from nearfield.store import column_masks, tables
from nearfield.store.column import Column

MAGIC = b"NFCOLS01"
Mask = npt.NDArray[np.bool_]
_Found = dict[tuple[str, ...], tuple[list[int], list[Any]]]
"""By path, the documents that have it and their values."""
_TYPES = {"at": "<i8", "kinds": "u1", "ints": "<i8", "floats": "<f8", "codes": "<i4", "starts": "<i8", "odd_at": "<i8"}


class Columns:
    """n documents' metadata as columns by path; a path that is not here is missing everywhere."""

    def __init__(self, n: int, loaders: Mapping[tuple[str, ...], Callable[[], Column]]) -> None:
        self._n = n
        self._loaders = dict(loaders)
        self._columns: dict[tuple[str, ...], Column] = {}

    def __len__(self) -> int:
        return self._n

    @property
    def paths(self) -> list[tuple[str, ...]]:
        """All paths, sorted."""
        return sorted(self._loaders)

    def column(self, path: tuple[str, ...]) -> Column | None:
        """The column of a path, opened now if need be."""
        if path not in self._columns:
            if path not in self._loaders:
                return None
            self._columns[path] = self._loaders[path]()
        return self._columns[path]

    @classmethod
    def of(cls, n: int, columns: Mapping[tuple[str, ...], Column]) -> Columns:
        """Columns that are in memory."""
        out = cls(n, dict.fromkeys(columns))  # type: ignore[arg-type]
        out._columns = dict(columns)
        return out

    @classmethod
    def build(cls, rows: Sequence[Mapping[str, Any]]) -> Columns:
        """Columns of decoded metadata, one mapping a document."""
        found: _Found = {}
        for i, row in enumerate(rows):
            _collect(found, (), i, row)
        return cls.of(len(rows), {path: columnar.build(len(rows), at, v) for path, (at, v) in found.items()})

    @classmethod
    def from_table(cls, table: pa.Table) -> Columns:
        """Columns of a table, nulls missing; flat columns without touching rows one by one."""
        table = tables.flat(table)
        columns: dict[tuple[str, ...], Column] = {}
        found: _Found = {}
        for name in table.column_names:
            array = tables.whole(table.column(name))
            if tables.is_flat(array.type):
                columns[(name,)] = columnar.from_arrow(array)
                continue
            for i, value in enumerate(tables.values(name, array)):
                if value is not None:
                    _collect(found, (), i, {name: value})
        columns |= {path: columnar.build(len(table), at, v) for path, (at, v) in found.items()}
        return cls.of(len(table), columns)

    @classmethod
    def gather(cls, parts: Sequence[tuple[Columns, npt.NDArray[np.int64]]]) -> Columns:
        """The documents at the given positions of each part, one part after the other."""
        total = sum(len(positions) for _, positions in parts)
        columns = {}
        for path in sorted({path for part, _ in parts for path in part.paths}):
            whole = columnar.gather([(part.column(path), positions) for part, positions in parts])
            if whole is not None:
                columns[path] = whole
        return cls.of(total, columns)

    def mask(self, condition: Filter) -> Mask:
        """Bool (n,): which documents match."""
        if isinstance(condition, And):
            out = np.ones(self._n, np.bool_)
            for part in condition.parts:
                out &= self.mask(part)
            return out
        if isinstance(condition, Or):
            out = np.zeros(self._n, np.bool_)
            for part in condition.parts:
                out |= self.mask(part)
            return out
        if isinstance(condition, Not):
            return ~self.mask(condition.part)
        column = self.column(condition.path)
        if column is None:
            return np.zeros(self._n, np.bool_)
        found = column_masks.mask(column, condition)
        if column.at is None:
            return found
        out = np.zeros(self._n, np.bool_)
        out[column.at] = found
        return out

    def to_bytes(self) -> bytes:
        """The file's bytes."""
        writer = _Writer()
        entries = []
        for path in self.paths:
            column = self.column(path)
            if column is not None:
                entries.append({"path": path, **writer.add(column)})
        header = msgspec.json.encode({"n": self._n, "columns": entries})
        lead = MAGIC + len(header).to_bytes(8, "little") + header
        return lead + bytes(-len(lead) % 64) + b"".join(writer.pieces)

    @classmethod
    def open(cls, path: Path) -> Columns:
        """Maps a file; each column is read when first used. Raises Corrupt if it is not one."""
        try:
            with open(path, "rb") as file:
                data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            if bytes(data[:8]) != MAGIC:
                raise ValueError("wrong magic")
            size = int.from_bytes(data[8:16], "little")
            header = msgspec.json.decode(data[16 : 16 + size])
            base = 16 + size + -(16 + size) % 64
            for entry in header["columns"]:
                _check(entry, len(data) - base)
            loaders = {tuple(entry["path"]): _loader(data[base:], entry) for entry in header["columns"]}
            return cls(int(header["n"]), loaders)
        except (ValueError, KeyError, TypeError, msgspec.DecodeError) as error:
            raise Corrupt(f"{path} is damaged ({error}); run: nearfield repair") from error


def _collect(found: _Found, path: tuple[str, ...], i: int, row: Mapping[str, Any]) -> None:
    for key, value in row.items():
        here = (*path, key)
        at, values = found.setdefault(here, ([], []))
        at.append(i)
        values.append(value)
        if isinstance(value, Mapping):
            _collect(found, here, i, value)


class _Writer:
    """Lays arrays out one after the other, each at a multiple of 64 bytes."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self._size = 0

    def put(self, data: bytes) -> list[int]:
        start = self._size
        self.pieces += [data, bytes(-len(data) % 64)]
        self._size += len(data) + -len(data) % 64
        return [start, len(data)]

    def add(self, column: Column) -> dict[str, Any]:
        entry: dict[str, Any] = {}
        for name in _TYPES:
            array = getattr(column, name)
            if array is not None:
                entry[name] = self.put(np.ascontiguousarray(array, _TYPES[name]).tobytes())
        for name, strings in (("words", column.words), ("odd", column.odd)):
            if strings is not None:
                whole = pa.concat_arrays([strings])
                offsets = np.frombuffer(whole.buffers()[1], np.int64)[whole.offset : whole.offset + len(whole) + 1]
                text = b"" if whole.buffers()[2] is None else bytes(whole.buffers()[2][offsets[0] : offsets[-1]])
                entry[name] = [self.put((offsets - offsets[0]).tobytes()), self.put(text)]
        if column.child is not None:
            entry["child"] = self.add(column.child)
        return entry


def _check(entry: Mapping[str, Any], size: int) -> None:
    """Raises ValueError unless every stretch an entry names lies in the file."""
    stretches = [entry[name] for name in _TYPES if name in entry]
    stretches += [stretch for name in ("words", "odd") if name in entry for stretch in entry[name]]
    if not all(start >= 0 and length >= 0 and start + length <= size for start, length in stretches):
        raise ValueError("it is cut short")
    if "child" in entry:
        _check(entry["child"], size)


def _loader(data: memoryview, entry: Mapping[str, Any]) -> Callable[[], Column]:
    return lambda: _read(data, entry)


def _read(data: memoryview, entry: Mapping[str, Any]) -> Column:
    arrays: dict[str, Any] = {}
    for name in _TYPES:
        if name in entry:
            start, size = entry[name]
            arrays[name] = np.frombuffer(data[start : start + size], _TYPES[name])
    for name in ("words", "odd"):
        if name in entry:
            (first, many), (start, size) = entry[name]
            buffers = [None, pa.py_buffer(data[first : first + many]), pa.py_buffer(data[start : start + size])]
            arrays[name] = pa.LargeStringArray.from_buffers(many // 8 - 1, buffers[1], buffers[2])
    child = _read(data, entry["child"]) if "child" in entry else None
    return Column(child=child, **arrays)
