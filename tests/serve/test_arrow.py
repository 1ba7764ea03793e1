"""Arrow streams that are more than they seem, and those that are not what they say."""

import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from tests.serve.test_app import failed

DIM, N = 4, 3
KIND = {"content-type": "application/vnd.apache.arrow.stream"}
IDS = pa.array(["a", "b", "c"])
VECTORS = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(DIM * N, np.float32)), DIM)


def stream(batch: pa.RecordBatch, times: int = 1, schema: pa.Schema | None = None, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema or batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for _ in range(times):
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


@pytest.fixture
def c(client: TestClient) -> TestClient:
    assert client.post("/v1/collections", json={"name": "c", "dim": DIM}).status_code == 201
    assert client.post("/v1/collections", json={"name": "t", "embedder": "hash:32"}).status_code == 201
    return client


def posted(client: TestClient, raw: bytes, name: str = "c") -> Any:
    return client.post(f"/v1/collections/{name}/documents", content=raw, headers=KIND)


def batch(**columns: Any) -> pa.RecordBatch:
    return pa.record_batch(list(columns.values()), names=list(columns))


def test_a_small_stream_that_would_be_large_is_refused(c: TestClient) -> None:
    bomb = pa.array(["x" * 10_000_000] * N)
    raw = stream(batch(id=IDS, vector=VECTORS, m=bomb), compression="zstd")
    assert len(raw) < 100_000
    assert "compress" in failed(posted(c, raw), "invalid_input")["received"]


def test_a_schema_is_read_once_and_bounded(c: TestClient) -> None:
    plain = batch(id=IDS, vector=VECTORS)
    wide = plain.schema.with_metadata({"k": "x" * 900_000})
    start = time.monotonic()
    raw = stream(plain.replace_schema_metadata(wide.metadata), 300)
    answer = posted(c, raw).json()
    assert (answer["added"], answer["replaced"]) == (3, 897)
    assert time.monotonic() - start < 120
    huge = plain.replace_schema_metadata({"k": "x" * 2_000_000})
    failed(posted(c, stream(huge)), "too_large")


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({"id": IDS.dictionary_encode(), "vector": VECTORS}, "id"),
        ({"id": IDS, "vector": pa.FixedSizeListArray.from_arrays(pa.array(["x"] * 12), DIM)}, "vector"),
        ({"id": IDS, "vector": pa.array([[1.0] * DIM] * N)}, "vector"),
        ({"vector": VECTORS}, "id"),
        ({"id": IDS, "vector": VECTORS, "m": pa.array([["x"]] * N, pa.list_(pa.dictionary(pa.int8(), pa.string())))}, "body"),
    ],
)
def test_columns_that_do_not_fit_are_named(c: TestClient, columns: dict[str, Any], field: str) -> None:
    assert failed(posted(c, stream(batch(**columns))), "invalid_input")["field"] == field


def test_names_are_there_once(c: TestClient) -> None:
    twice = pa.record_batch([IDS, VECTORS, IDS, IDS], names=["id", "vector", "m", "m"])
    assert failed(posted(c, stream(twice)), "invalid_input")["field"] == "m"


def test_texts_that_are_embedded_have_a_limit(c: TestClient) -> None:
    long = batch(id=IDS, text=pa.array(["x", "y" * 100_001, None]))
    assert failed(posted(c, stream(long), "t"), "invalid_input")["field"] == "text"
    assert posted(c, stream(batch(id=IDS, text=IDS)), "t").json()["added"] == 3


def test_what_follows_the_end_is_not_looked_at(c: TestClient) -> None:
    raw = stream(batch(id=IDS, vector=VECTORS))
    assert posted(c, raw + b"junk" * 100).json()["added"] == 3


def test_bits_that_flip_are_refused_or_read_but_never_break(c: TestClient) -> None:
    raw = stream(batch(id=IDS, vector=VECTORS, m=pa.array([1, 2, 3])))
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(raw), 300).tolist():
        bad = bytearray(raw)
        bad[at] ^= int(rng.integers(1, 256))
        assert posted(c, bytes(bad)).status_code in (200, 400, 413), at
