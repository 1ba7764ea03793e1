"""How the graph and the lists keep a vector: float32, float16 or one byte for each number. Knows FAISS's names for it."""

from __future__ import annotations

from typing import Any

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Metric, Vectors
from nearfield.index import codec
from nearfield.index.codec import Codec

NAMES = {"float32": "Flat", "float16": "SQfp16", "int8": "SQ8"}
"""Ours, and as FAISS's index_factory writes it."""
STORAGES = tuple(NAMES)
_WIDTH = {"float32": 4, "float16": 2, "int8": 1}


def check(storage: str) -> None:
    """Raises InvalidInput for a storage that there is not."""
    if storage not in STORAGES:
        raise InvalidInput("not a storage", field="storage", expected=f"one of {', '.join(STORAGES)}", received=storage)


def bytes_each(storage: str, dim: int, reduce: int = 0) -> int:
    """Bytes of one vector, of which `reduce` numbers are kept (0: all)."""
    return _WIDTH[storage] * (reduce or dim)


def header_bytes(storage: str, dim: int, reduce: int = 0) -> int:
    """Bytes kept once: the codec, or under inner product FAISS's ranges of each dimension."""
    if storage != "int8":
        return 0
    return codec.nbytes(dim, reduce) if reduce else 8 * dim


def codec_for(storage: str, metric: Metric, sample: Vectors, reduce: int = 0) -> Codec | None:
    """The codec of int8 storage, whose distances are those of whole numbers; None: FAISS takes vectors as they are.

    Inner products of shifted codes are not those of the vectors, so under ip FAISS's own 8-bit quantiser is used.
    """
    return Codec.fit(sample, dims=reduce) if storage == "int8" and metric is not Metric.IP else None


def quantizer(storage: str, metric: Metric) -> Any:
    """FAISS's name for the storage, or None for float32."""
    from nearfield.index._faiss import faiss

    if storage == "float32":
        return None
    if storage == "float16":
        return faiss.ScalarQuantizer.QT_fp16
    return faiss.ScalarQuantizer.QT_8bit if metric is Metric.IP else faiss.ScalarQuantizer.QT_8bit_direct


def metric_type(storage: str, metric: Metric) -> int:
    """FAISS's metric: codes are compared by distance, which under cosine is the same order."""
    from nearfield.index._faiss import faiss

    by_distance = metric is Metric.L2 or (storage == "int8" and metric is Metric.COSINE)
    return int(faiss.METRIC_L2 if by_distance else faiss.METRIC_INNER_PRODUCT)
