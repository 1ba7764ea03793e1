"""A FAISS index as our Index: positions in and out, search parameters per call, nothing shared is ever set.

The wrapper alone knows that FAISS's ids may not be positions: `order` maps one to the other, for answers and bitmaps alike.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Positions, Scores, Vectors
from nearfield.index import _faiss
from nearfield.index.base import Bitmap, Effort, Kind


class FaissIndex:
    """A finished FAISS index.

    Args:
        index: the FAISS index, of n vectors.
        kind: makes search parameters.
        by_inner_product: whether FAISS's distances are scores; otherwise their sign is turned.
        order: int32 or int64 (n,): the position of each FAISS id; None where they are the same.
    """

    def __init__(self, index: Any, kind: Kind, by_inner_product: bool, order: npt.NDArray[Any] | None) -> None:
        self._index, self._kind, self._ip = index, kind, by_inner_product
        self._order = None if order is None else np.asarray(order).view(np.ndarray)
        self._parameters: dict[Effort, Any] = {}
        self._dim = int(index.d)

    def search(self, queries: Vectors, k: int, effort: Effort, allow: Bitmap | None) -> tuple[Scores, Positions]:
        """See Index.search."""
        m = len(queries)
        distances = np.empty((m, k), np.float32)
        labels = np.empty((m, k), np.int64)
        queries = np.ascontiguousarray(queries, np.float32)
        if queries.shape[1] != self._dim:
            raise ValueError(f"queries have {queries.shape[1]} columns, the index {self._dim}")
        selector = None
        if allow is None:
            parameters = self._parameters.get(effort)
            if parameters is None:
                parameters = self._parameters.setdefault(effort, self._kind.parameters(effort, None))
        else:
            bits = allow if self._order is None else self._reordered(allow)
            selector = _faiss.faiss.IDSelectorBitmap(bits)
            parameters = self._kind.parameters(effort, selector)
        pointer = _faiss.faiss.swig_ptr
        self._index.search_c(m, pointer(queries), k, pointer(distances), pointer(labels), parameters)
        if self._order is not None:
            if labels.min() >= 0:
                labels = self._order[labels].astype(np.int64)
            else:
                found = labels >= 0
                labels = np.where(found, self._order[np.where(found, labels, 0)], -1).astype(np.int64)
        if not self._ip:
            np.negative(distances, out=distances)
        return distances, labels

    def _reordered(self, allow: Bitmap) -> Bitmap:
        """The bitmap over FAISS ids for one over positions."""
        assert self._order is not None
        by_position = np.unpackbits(allow, count=len(self._order), bitorder="little")
        return np.packbits(by_position[self._order], bitorder="little")

    def save(self, path: Path) -> None:
        """Writes the index file."""
        _faiss.write(self._index, path)
