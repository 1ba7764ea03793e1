"""Files of the BEIR benchmark: corpus.jsonl, queries.jsonl, qrels as tab-separated lines. Errors name file and line.

Knows files and ids; no collection. (Thakur et al., BEIR, NeurIPS 2021, for the layout.)
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfield.core.errors import InvalidInput, NotFound

Qrels = dict[str, dict[str, float]]
"""For each query's id the grades of judged documents, by their ids."""
QUERY = ("_id", "id", "query_id", "query-id")
"""Names of the field of an id, the first that is there."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One document of a corpus. `text` is title and text, the title first, as BEIR's own models are given them."""

    id: str
    title: str
    text: str
    metadata: dict[str, Any]


def corpus(path: str | Path) -> Iterator[Entry]:
    """The documents of a corpus.jsonl: "_id", "text", and where there are such "title" and "metadata"."""
    for where, row in _rows(Path(path)):
        body, title = row.get("text"), row.get("title") or ""
        if not isinstance(body, str) or not isinstance(title, str):
            raise InvalidInput("no text", field=where, expected='a string "text", and "title" a string', received=body)
        metadata = row.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise InvalidInput('"metadata" is not an object', field=where, received=metadata)
        yield Entry(_id(row, where), title, f"{title} {body}".strip(), metadata)


def queries(path: str | Path) -> dict[str, str]:
    """The queries of a queries.jsonl, {"_id", "text"} a line, or of a file of "id<TAB>text" lines (.tsv): text by id."""
    path = Path(path)
    out: dict[str, str] = {}
    for where, key, text in _query_lines(path) if path.suffix in (".tsv", ".txt") else _query_rows(path):
        if not text or text.isspace():
            raise InvalidInput("an empty query", field=where, expected="a text", received=text)
        if key in out:
            raise InvalidInput("a query's id occurs twice", field=where, received=key)
        out[key] = text
    if not out:
        raise InvalidInput("there is no query in it", field=str(path))
    return out


def _query_rows(path: Path) -> Iterator[tuple[str, str, str]]:
    for where, row in _rows(path):
        text = row.get("text", row.get("query"))
        if not isinstance(text, str):
            raise InvalidInput("no text of a query", field=where, expected='a string "text"', received=text)
        yield where, _id(row, where), text


def _query_lines(path: Path) -> Iterator[tuple[str, str, str]]:
    for where, line in _lines(path):
        key, tab, text = line.partition("\t")
        if not tab or not key.strip():
            raise InvalidInput("not a query", field=where, expected="ID<TAB>TEXT", received=line)
        yield where, key.strip(), text


def qrels(path: str | Path) -> Qrels:
    """The judgements of a file: "query-id<TAB>corpus-id<TAB>score" with that heading, or TREC's "query 0 document grade".

    A pair that is judged twice must have the same grade both times.
    """
    path = Path(path)
    out: Qrels = {}
    for number, (where, line) in enumerate(_lines(path)):
        parts = line.split("\t") if "\t" in line else line.split()
        if number == 0 and parts[-1].strip().lower() in ("score", "grade", "relevance", "rel", "label"):
            continue
        if len(parts) == 4:
            parts = [parts[0], parts[2], parts[3]]
        if len(parts) != 3 or not all(part.strip() for part in parts):
            expected = "query-id, corpus-id, score; or query, 0, document, grade"
            raise InvalidInput("not a judgement", field=where, expected=expected, received=line)
        query, document, grade = parts[0].strip(), parts[1].strip(), _grade(parts[2], where)
        before = out.setdefault(query, {}).setdefault(document, grade)
        if before != grade:
            raise InvalidInput(
                "a pair is judged twice and not alike", field=where, expected=f"{before:g} as before", received=line
            )
    if not out:
        raise InvalidInput("there is no judgement in it", field=str(path))
    return out


def _grade(value: str, where: str) -> float:
    try:
        grade = float(value)
    except ValueError:
        grade = math.nan
    if not math.isfinite(grade):
        raise InvalidInput("not a grade", field=where, expected="a number", received=value)
    return grade


def _id(row: dict[str, Any], where: str) -> str:
    found = next((row[name] for name in QUERY if name in row), None)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    if not isinstance(found, str) or not found:
        raise InvalidInput("no id", field=where, expected='"_id": a string', received=found)
    return found


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, line in _lines(path):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(f"not JSON ({error})", field=where, received=line) from None
        if not isinstance(row, dict):
            raise InvalidInput("not a JSON object", field=where, received=line)
        yield where, row


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Lines that are not blank, each with "FILE:NUMBER"."""
    number = 0
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"{path}:{number}", line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"not UTF-8 ({error.reason})", field=f"{path}:{number + 1}") from None
    except OSError as error:
        raise NotFound(f"cannot be read: {error.strerror}", field=str(path)) from None
