"""Reads documents from files, folders and standard input, one row at a time, whatever their size. Knows no collection.

Each row carries where it came from, so that an error can name file and line. Lines are decoded strictly as UTF-8.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from nearfield.cli import arrays
from nearfield.cli.rows import Names, Row, make_row
from nearfield.core.errors import InvalidInput, NotFound
from nearfield.core.scalars import typed

MAX_LINE = 64 << 20
"""Bytes of one line, so that a file without line ends does not fill the memory."""
TEXT_SUFFIXES = (".txt", ".md", ".rst", ".text")
FORMATS = ("jsonl", "csv", "tsv", "parquet", "npy", "text")
STANDARD_INPUT = "-"

_SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".npy": "npy",
    **dict.fromkeys(TEXT_SUFFIXES, "text"),
}


@dataclass(frozen=True, slots=True)
class Source:
    """Something with rows in it.

    Attributes:
        name: as given on the command line.
        total: in the units of `Row.at` (bytes of a file of lines, rows, or files of a folder); None if not known.
        rows: begins to read, from the start.
    """

    name: str
    total: int | None
    rows: Callable[[], Iterator[Row]]


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read: which fields are what.

    Attributes:
        names: the names of the id, text and vector fields, and whether missing ids are made from the content.
        format: one of FORMATS, or None to go by the file's name.
        strings: keep every value of a CSV file a string, in place of reading numbers, true and false.
        ids: for .npy: a file with one id on each line.
        metadata: for .npy: a .jsonl, .csv or .parquet file with a row for each vector.
    """

    names: Names = field(default_factory=Names)
    format: str | None = None
    strings: bool = False
    ids: Path | None = None
    metadata: Path | None = None


def open_source(given: str, how: Reading) -> Source:
    """The source that `given` names: a file, a folder of texts, or "-" for standard input.

    Raises:
        NotFound: nothing is there.
        InvalidInput: its kind is not known.
    """
    if given == STANDARD_INPUT:
        return _lines("standard input", how.format or "jsonl", how, None)
    path = Path(given)
    if path.is_dir():
        return _folder(path, how)
    if not path.is_file():
        raise NotFound("there is no such file or folder", field="FILE", received=given)
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    kind = how.format or _SUFFIXES.get(plain.suffix.lower())
    if kind is None:
        raise InvalidInput(
            "unknown kind of file; say which with --format", field="FILE", expected=", ".join(_SUFFIXES), received=given
        )
    if kind not in FORMATS:
        raise InvalidInput("unknown format", field="--format", expected=", ".join(FORMATS), received=kind)
    if kind == "parquet":
        return Source(given, arrays.parquet_rows(path), lambda: arrays.read_parquet(path, how.names))
    if kind == "npy":
        return _array(path, how)
    if kind == "text":
        return Source(given, 1, lambda: _texts(path.parent, [path], how.names))
    return _lines(given, kind, how, path)


def _lines(name: str, kind: str, how: Reading, path: Path | None) -> Source:
    if kind not in ("jsonl", "csv", "tsv"):
        raise InvalidInput("this format needs a file", field="--format", expected="jsonl, csv or tsv", received=kind)
    read = {"jsonl": _jsonl, "csv": _csv, "tsv": _tsv}[kind]

    def rows() -> Iterator[Row]:
        if path is None:
            yield from read(name, sys.stdin.buffer, lambda: 0, how)
            return
        with open(path, "rb") as raw:
            if path.suffix == ".gz":
                with gzip.open(raw) as file:
                    yield from read(name, _checked(file, name), raw.tell, how)
            else:
                yield from read(name, raw, raw.tell, how)

    return Source(name, None if path is None else path.stat().st_size, rows)


def _checked(file: Any, name: str) -> Iterator[bytes]:
    """Lines of a gzip file, with its errors as ours."""
    try:
        while line := file.readline(MAX_LINE + 1):
            yield line
    except (OSError, EOFError) as error:
        raise InvalidInput(f"the gzip file is damaged or cut off ({error})", field=name) from None


def _decoded(name: str, file: Any) -> Iterator[tuple[int, str]]:
    """(line number, text) of each line; raises InvalidInput with file and line where it is not UTF-8 or too long."""
    lines = iter(lambda: file.readline(MAX_LINE + 1), b"") if hasattr(file, "readline") else file
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE:
            raise InvalidInput(f"the line is longer than {MAX_LINE >> 20} MiB", field=f"{name}, line {number}")
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            yield number, line.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"invalid UTF-8 at byte {error.start + 1} of the line; convert the file to UTF-8",
                field=f"{name}, line {number}",
                received=repr(line[max(0, error.start - 10) : error.start + 10]),
            ) from None


def _jsonl(name: str, file: Any, at: Callable[[], int], how: Reading) -> Iterator[Row]:
    decode = msgspec.json.Decoder().decode
    for number, line in _decoded(name, file):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            found = decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidInput(f"not JSON ({error})", field=where, received=line[:80]) from None
        if not isinstance(found, dict):
            raise InvalidInput("not a JSON object", field=where, received=line[:80])
        yield make_row(found, how.names, where, at())


def _tsv(name: str, file: Any, at: Callable[[], int], how: Reading) -> Iterator[Row]:
    return _csv(name, file, at, how, "\t")


def _csv(name: str, file: Any, at: Callable[[], int], how: Reading, delimiter: str = ",") -> Iterator[Row]:
    csv.field_size_limit(MAX_LINE)
    reader = csv.reader((line for _, line in _decoded(name, file)), delimiter=delimiter, strict=True)
    heading: list[str] = []
    while True:
        where = f"{name}, line {reader.line_num + 1}"
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise InvalidInput(f"not CSV ({error})", field=where) from None
        if values is None:
            return
        if not values:
            continue
        if not heading:
            heading = values
            if len(set(heading)) != len(heading):
                raise InvalidInput("a column name occurs twice", field=where, received=", ".join(heading))
            continue
        if len(values) != len(heading):
            expected = f"{len(heading)} columns, as on the first line"
            raise InvalidInput("another number of columns", field=where, expected=expected, received=len(values))
        yield make_row(_fields(heading, values, how), how.names, where, at())


def _fields(heading: list[str], values: list[str], how: Reading) -> dict[str, Any]:
    """A CSV line's fields; empty ones are missing."""
    kept = (how.names.id, how.names.text)
    pairs = zip(heading, values, strict=True)
    return {key: value if how.strings or key in kept else typed(value) for key, value in pairs if value != ""}


def _array(path: Path, how: Reading) -> Source:
    vectors = arrays.open_npy(path)
    ids = how.ids or path.with_suffix(".ids.txt")
    if how.ids is not None and not ids.is_file():
        raise NotFound("there is no such file", field="--ids", received=str(ids))
    metadata = how.metadata
    for suffix in (".metadata.jsonl", ".metadata.csv", ".metadata.parquet") if metadata is None else ():
        metadata = path.with_suffix(suffix) if path.with_suffix(suffix).is_file() else metadata
    beside = None
    if metadata is not None:
        beside = open_source(str(metadata), Reading(replace(how.names, optional=True), strings=how.strings))

    def rows() -> Iterator[Row]:
        names = _ids(ids) if ids.is_file() else None
        yield from arrays.read_npy(path, vectors, names, None if beside is None else beside.rows())

    return Source(str(path), len(vectors), rows)


def _ids(path: Path) -> Iterator[str]:
    with open(path, "rb") as file:
        for _, line in _decoded(str(path), file):
            yield line.rstrip("\r\n")


def _folder(root: Path, how: Reading) -> Source:
    """Every text file below a folder, in the order of their paths; the path is the id. Blank files are passed over."""
    found = sorted(
        Path(directory) / name
        for directory, _, names in os.walk(root)
        for name in names
        if name.lower().endswith(TEXT_SUFFIXES) and not name.startswith(".")
    )
    if not found:
        raise InvalidInput("the folder has no text files", field=str(root), expected="files " + " ".join(TEXT_SUFFIXES))
    return Source(str(root), len(found), lambda: _texts(root, found, how.names))


def _texts(root: Path, paths: list[Path], names: Names) -> Iterator[Row]:
    for at, path in enumerate(paths, 1):
        if path.stat().st_size > MAX_LINE:
            raise InvalidInput(f"the file is larger than {MAX_LINE >> 20} MiB; split it into passages", field=str(path))
        text = "".join(line for _, line in _decoded(str(path), io.BytesIO(path.read_bytes())))
        relative = path.relative_to(root).as_posix()
        if text.strip():
            yield make_row({names.id: relative, names.text: text, "path": relative}, names, str(path), at)
