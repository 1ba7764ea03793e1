"""Vectors in, an immutable searchable thing out. A new kind is a file here and a line in KINDS."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nearfield.core.errors import Corrupt, InvalidInput
from nearfield.core.metric import Metric
from nearfield.index.base import Index, Kind
from nearfield.index.flat import Flat
from nearfield.index.hnsw import Hnsw
from nearfield.index.ivf import Ivf

KINDS: dict[str, Any] = {kind.name: kind for kind in (Flat, Hnsw, Ivf)}


def encode_kind(kind: Any) -> dict[str, Any]:
    """A kind as JSON values; raises InvalidInput for anything that is not one."""
    if type(kind) not in KINDS.values():
        names = ", ".join(f"nearfield.{k.__name__}()" for k in KINDS.values())
        raise InvalidInput("not an index kind", field="index", expected=f"'auto' or one of {names}", received=kind)
    return {"kind": kind.name, **asdict(kind)}


def decode_kind(value: dict[str, Any]) -> Kind:
    """The kind of `encode_kind`; raises InvalidInput for a kind this version does not have."""
    fields = dict(value)
    name = fields.pop("kind", None)
    if name not in KINDS:
        raise InvalidInput("unknown index kind", field="index", expected=f"one of {', '.join(KINDS)}", received=name)
    kind: Kind = KINDS[name](**fields)
    return kind


def open_index(path: Path, order: Path | None, kind: Kind, metric: Metric, n: int, dim: int) -> Index:
    """Opens an index file, memory-mapped; raises Corrupt if it does not hold n vectors of dim."""
    from nearfield.index import _faiss
    from nearfield.index.wrapper import FaissIndex

    positions = None
    if order is not None:
        positions = np.memmap(order, np.int32, mode="r") if order.stat().st_size else np.empty(0, np.int32)
        if len(positions) != n or not np.array_equal(np.bincount(positions, minlength=n), np.ones(n)):
            raise Corrupt(f"{order} is not an order of {n} positions; the index is built again", field=order.name)
    return FaissIndex(_faiss.read(path, n, dim), kind, metric.by_inner_product, positions)
