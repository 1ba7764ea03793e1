"""Documents as Arrow record batches: the shape of documents.arrow, and how batches are made and put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearfield.core.errors import InvalidInput

BATCH = 65_536
"""Rows in each record batch of documents.arrow, the last one excepted: position -> (batch, offset) is a division."""

SCHEMA = pa.schema([("id", pa.large_string()), ("text", pa.large_string()), ("metadata", pa.large_binary())])
Batch = Any
"""A pyarrow.RecordBatch of SCHEMA."""


def batch(ids: Any, texts: Any, metadata: Any) -> Batch:
    """A record batch from parallel sequences or Arrow arrays; `texts` None: no document has one."""
    n = len(ids)
    return pa.record_batch(
        [
            _array(ids, pa.large_string()),
            pa.nulls(n, pa.large_string()) if texts is None else _array(texts, pa.large_string()),
            _array(metadata, pa.large_binary()),
        ],
        schema=SCHEMA,
    )


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array):
        return values if values.type == kind else values.cast(kind)
    return pa.array(values, kind)


def as_list(values: Any, field: str) -> list[Any]:
    """A Python list of a list, tuple, numpy or Arrow array of values."""
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return list(values.to_pylist())
    if isinstance(values, np.ndarray):
        return list(values.tolist())
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise InvalidInput("not a sequence", field=field, expected="a list or array", received=type(values).__name__)
    return list(values)


def combine(pieces: Sequence[Batch], places: Sequence[npt.NDArray[np.int64]]) -> Batch:
    """One batch of several; `places` are the row numbers that each piece's rows take in it."""
    documents = pa.Table.from_batches(pieces, SCHEMA).combine_chunks().to_batches()[0]
    if len(pieces) == 1:
        return documents
    return documents.take(pa.array(np.argsort(np.concatenate(places), kind="stable")))
