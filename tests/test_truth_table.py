"""docs/FILTERS.md is normative: every cell of its tables, in every evaluator, on pending rows and on sealed segments."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import nearfield as nf
from nearfield.core import filters, matching
from nearfield.store.columns import Columns

PAGE = Path(__file__).parent.parent / "docs" / "FILTERS.md"


class Table(NamedTuple):
    documents: list[dict[str, Any]]
    rows: list[tuple[Any, list[bool]]]
    fields: dict[str, str]


def tables() -> list[Table]:
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", PAGE.read_text(encoding="utf-8"), re.M):
        head, _, *body = [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in block.splitlines()]
        name = re.fullmatch(r"`(\w+)` is →", head[0])
        if name is None:
            continue
        documents = [{} if cell == "missing" else {name[1]: json.loads(cell.strip("`"))} for cell in head[1:]]
        assert all(cell in ("yes", "no") for row in body for cell in row[1:])
        rows = [(json.loads(row[0].strip("`")), [cell == "yes" for cell in row[1:]]) for row in body]
        assert all(len(expected) == len(documents) for _, expected in rows)
        found.append(Table(documents, rows, {"day": "timestamp"} if name[1] == "day" else {}))
    return found


TABLES = tables()
CASES = [pytest.param(t, f, e, id=json.dumps(f)) for t in TABLES for f, e in t.rows]


def test_every_operator_is_in_the_table_and_on_the_page() -> None:
    asked = json.dumps([f for t in TABLES for f, _ in t.rows])
    page = PAGE.read_text(encoding="utf-8")
    for operator in {*filters.OPERATORS, *filters.LOGICAL}:
        assert f'"{operator}"' in asked
        assert f"`{operator}`" in page
    assert len(TABLES) == 2


@pytest.mark.parametrize(("table", "value", "expected"), CASES)
def test_the_reference(table: Table, value: Any, expected: list[bool]) -> None:
    condition = filters.parse(value, table.fields)
    assert [matching.matches(condition, d) for d in table.documents] == expected


@pytest.mark.parametrize(("table", "value", "expected"), CASES)
def test_columns(table: Table, value: Any, expected: list[bool], tmp_path: Path) -> None:
    condition = filters.parse(value, table.fields)
    columns = Columns.build(table.documents)
    assert columns.mask(condition).tolist() == expected
    assert [bool(Columns.build([d]).mask(condition)[0]) for d in table.documents] == expected
    backwards = np.arange(len(expected))[::-1]
    gathered = Columns.gather([(columns, backwards), (columns, backwards[::-1])])
    assert gathered.mask(condition).tolist() == expected[::-1] + expected
    (tmp_path / "columns").write_bytes(columns.to_bytes())
    assert Columns.open(tmp_path / "columns").mask(condition).tolist() == expected


def _answers(collection: nf.Collection, table: Table, value: Any) -> list[list[bool]]:
    n = len(table.documents)
    found = collection.search(vector=np.ones(2, np.float32), k=n, filter=value)
    assert found.complete
    assert collection.count(filter=value) == len(found)
    scanned = {d.id for d in collection.scan(filter=value)}
    return [[str(i) in ids for i in range(n)] for ids in (set(found.ids), scanned)]


def test_a_collection_pending_and_sealed(tmp_path: Path) -> None:
    with nf.open(tmp_path / "data") as db:
        for number, table in enumerate(TABLES):
            collection = db.create(f"c{number}", embedder=None, dim=2, fields=table.fields)
            documents = [nf.Document(str(i), metadata=m) for i, m in enumerate(table.documents)]
            collection.upsert(documents, vectors=np.ones((len(documents), 2), np.float32))
            for state in ("pending", "sealed"):
                if state == "sealed":
                    collection.optimize()
                for value, expected in table.rows:
                    assert _answers(collection, table, value) == [expected, expected], (state, value)
