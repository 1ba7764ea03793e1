import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nearfield import InvalidInput, NotFound
from nearfield.cli.rows import Names, Row, batches
from nearfield.cli.sources import Reading, open_source


def read(given: object, **how: Any) -> list[Row]:
    return list(open_source(str(given), Reading(**how)).rows())


def plain(rows: list[Row]) -> list[tuple[str, str | None, dict[str, Any]]]:
    return [(row.id, row.text, dict(row.metadata)) for row in rows]


def test_jsonl_fields_besides_id_text_and_vector_are_metadata(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": 7, "text": "t", "vector": [1, 2.5], "year": 1999, "metadata": {"a": [1]}}\n\n{"id": "b"}\n')
    rows = read(path)
    assert plain(rows) == [("7", "t", {"year": 1999, "a": [1]}), ("b", None, {})]
    assert rows[0].vector is not None
    assert rows[0].vector.dtype == np.float32
    assert rows[0].vector.tolist() == [1, 2.5]
    assert rows[1].where == f"{path}, line 3"
    assert rows[1].at == path.stat().st_size


def test_names_of_fields_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson"
    path.write_text('{"key": "a", "body": "t", "id": 3}\n')
    assert plain(read(path, names=Names(id="key", text="body"))) == [("a", "t", {"id": 3})]


def test_gzip_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": "a"}\n' * 3))
    assert len(read(path)) == 3
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(InvalidInput, match="damaged or cut off"):
        read(path)


def test_a_malformed_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": "a"}\n{"id": "b"\n')
    rows = open_source(str(path), Reading()).rows()
    assert next(rows).id == "a"
    with pytest.raises(InvalidInput, match=r"x\.jsonl, line 2: not JSON"):
        next(rows)


@pytest.mark.parametrize("line", ["[1]", '"a"', '{"text": 5, "id": "a"}', '{"id": ""}', '{"id": true}', '{"text": "no id"}'])
def test_a_line_that_is_no_document_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": "a"}\n' + line + "\n")
    with pytest.raises(InvalidInput, match="line 2"):
        read(path)


@pytest.mark.parametrize("vector", ["5", '["a"]', "[[1]]", "[1, [2]]", '{"a": 1}'])
def test_a_vector_that_is_none_is_named(tmp_path: Path, vector: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": "a", "vector": ' + vector + "}\n")
    with pytest.raises(InvalidInput, match=r"line 1.*vector is not a list of numbers"):
        read(path)


def test_invalid_utf8_names_file_line_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"id,text\na,good\nb,caf\xe9\n")
    with pytest.raises(InvalidInput, match=r"x\.csv, line 3: invalid UTF-8 at byte 6"):
        read(path)


def test_ids_can_be_made_from_texts(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "same"}\n{"text": "other"}\n{"text": "same"}\n')
    a, b, c = read(path, names=Names(hash_ids=True))
    assert a.id == c.id != b.id


def test_csv_reads_numbers_as_json_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('\ufeffid,text,n,f,zip,yes,none\n1,"a, ""b""\nc",-3,2.5e3,007,true,\n', encoding="utf-8")
    assert plain(read(path)) == [("1", 'a, "b"\nc', {"n": -3, "f": 2500.0, "zip": "007", "yes": True})]
    assert plain(read(path, strings=True))[0][2] == {"n": "-3", "f": "2.5e3", "zip": "007", "yes": "true"}


def test_tsv(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("id\ttext\na\tone, two\n")
    assert plain(read(path)) == [("a", "one, two", {})]


@pytest.mark.parametrize(("text", "said"), [("id,id\n", "line 1"), ("id,a\n1,2\n1\n", "line 3"), ('id,a\n"x"y,1\n', "line 2")])
def test_csv_that_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=said):
        read(path)


def test_parquet_columns_json_and_vectors(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    vectors = pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2))
    day = pa.array([0, None], pa.date32())
    table = {"id": [1, 2], "text": ["a", None], "vector": vectors, "metadata": ['{"n": 1}', None], "day": day}
    pq.write_table(pa.table(table), path)
    rows = read(path)
    assert plain(rows) == [("1", "a", {"day": "1970-01-01", "n": 1}), ("2", None, {})]
    assert [row.vector.tolist() for row in rows if row.vector is not None] == [[1, 2], [3, 4]]
    assert open_source(str(path), Reading()).total == 2


def test_a_file_that_is_not_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_text("no")
    with pytest.raises(InvalidInput, match="not a Parquet file"):
        read(path)


def test_npy_with_ids_and_metadata_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(6, dtype=np.float64).reshape(3, 2))
    assert [row.id for row in read(path)] == ["0", "1", "2"]
    (tmp_path / "x.ids.txt").write_text("a\nb\nc\n")
    (tmp_path / "x.metadata.csv").write_text("text,n\nt,1\nu,2\nv,3\n")
    rows = read(path)
    assert plain(rows) == [("a", "t", {"n": 1}), ("b", "u", {"n": 2}), ("c", "v", {"n": 3})]
    assert rows[2].vector is not None
    assert rows[2].vector.tolist() == [4, 5]
    for name, wrong in (("x.ids.txt", "a\nb\n"), ("x.ids.txt", "a\nb\nc\nd\n")):
        (tmp_path / name).write_text(wrong)
        with pytest.raises(InvalidInput, match="ids"):
            read(path)


def test_npy_ids_from_the_metadata(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.ones((2, 2), np.float32))
    other = tmp_path / "m.jsonl"
    other.write_text('{"id": "p"}\n{"id": "q"}\n')
    assert [row.id for row in read(path, metadata=other)] == ["p", "q"]


@pytest.mark.parametrize("array", [np.ones(3), np.array([["a"]]), np.ones((2, 2), bool)])
def test_arrays_that_are_not_vectors(tmp_path: Path, array: Any) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(InvalidInput, match="not vectors"):
        read(tmp_path / "x.npy")


def test_a_pickled_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidInput, match="not an array"):
        read(tmp_path / "x.npy")


def test_a_folder_of_texts(tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "b.txt").write_text("two\nlines\n")
    (tmp_path / "in" / "sub" / "a.md").write_text("# One")
    (tmp_path / "in" / "blank.txt").write_text(" \n")
    (tmp_path / "in" / "x.png").write_bytes(b"\x89")
    assert plain(read(tmp_path / "in")) == [
        ("b.txt", "two\nlines\n", {"path": "b.txt"}),
        ("sub/a.md", "# One", {"path": "sub/a.md"}),
    ]
    (tmp_path / "in" / "bad.txt").write_bytes(b"ok\n\xff\n")
    with pytest.raises(InvalidInput, match=r"bad\.txt, line 2"):
        read(tmp_path / "in")


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"id": "a"}\nnot\n')))
    source = open_source("-", Reading())
    assert source.total is None
    rows = source.rows()
    assert next(rows).id == "a"
    with pytest.raises(InvalidInput, match="standard input, line 2"):
        next(rows)


def test_what_is_not_there_or_not_known(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read(tmp_path / "none.jsonl")
    (tmp_path / "x.docx").write_text("")
    with pytest.raises(InvalidInput, match="--format"):
        read(tmp_path / "x.docx")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="no text files"):
        read(tmp_path / "empty")


def row(id: str, text: str = "", vector: bool = False) -> Row:
    return Row(id, text, {}, np.ones(2, np.float32) if vector else None, id, 0)


def test_batches_are_bounded_in_rows_and_bytes() -> None:
    assert [len(b) for b in batches((row(str(i)) for i in range(7)), 3, 1 << 30)] == [3, 3, 1]
    big = [row(str(i), "x" * 10_000) for i in range(6)]
    assert [len(b) for b in batches(big, 100, 15_000)] == [2, 2, 2]


def test_batches_read_no_further_than_they_must() -> None:
    taken = []

    def endless() -> Any:
        for i in range(1_000_000):
            taken.append(i)
            yield row(str(i))

    stream = batches(endless(), 10, 1 << 30)
    next(stream)
    assert len(taken) <= 11


def test_an_id_that_comes_again_begins_a_new_batch_and_kinds_stay_apart() -> None:
    assert [[r.id for r in b] for b in batches([row("a"), row("b"), row("a")], 9, 1 << 30)] == [["a", "b"], ["a"]]
    mixed = [row("a"), row("b", vector=True), row("c", vector=True), row("d")]
    assert [[r.id for r in b] for b in batches(mixed, 9, 1 << 30)] == [["a"], ["b", "c"], ["d"]]


def test_a_file_of_one_long_line_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearfield.cli.sources.MAX_LINE", 1000)
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"id": "a", "text": "x" * 5000}) + "\n")
    with pytest.raises(InvalidInput, match="line 1: the line is longer"):
        read(path)
