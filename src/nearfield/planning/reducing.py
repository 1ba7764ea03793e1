"""Whether a graph may keep fewer numbers of these vectors than they have: by how their variance is spread. Reads a sample.

Measured with ten hits on one thread of a processor with AVX-512 (`make bench`, frontier): the components that keep KEPT of the
variance are 64 of SIFT's 128 and 192 of a sentence model's 384. What is built so is measured like any index.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from nearfield.core.metric import Metric, Vectors
from nearfield.index import codec
from nearfield.index.base import Kind
from nearfield.index.hnsw import Hnsw

KEPT = 0.88
"""Share of the variance that the components kept must hold."""
WORTH = 0.75
"""Share of the numbers above which leaving some out gains too little."""
LARGEST = 2048
"""Dimensions beyond which finding the components takes longer than it is worth."""
BUILD_EFFORT = 200
"""Of a reduced graph: what is saved in comparing is spent on better links."""
ROWS = 10_000


def suited(kind: Kind, x: Vectors, metric: Metric, reason: str) -> tuple[Kind, str]:
    """The kind, its vectors reduced where these, prepared float32 (n, dim), allow it, and the reason with that."""
    found = reduced(kind, x, metric)
    if found is None:
        return kind, reason
    return found, f"{reason}; {found.reduce} principal components of {x.shape[1]} keep {KEPT:.1%} of the variance"


def reduced(kind: Any, x: Vectors, metric: Metric) -> Hnsw | None:
    """The reduced form of a graph with int8 storage for vectors like these; None where it would not pay."""
    n, dim = x.shape
    if not isinstance(kind, Hnsw) or kind.storage != "int8" or kind.reduce or metric is Metric.IP:
        return None
    if dim < 2 * codec.STEP or dim > LARGEST or n < dim:
        return None
    dims = codec.dims_keeping(np.array(x[:: max(1, n // ROWS)][:ROWS], np.float32), KEPT)
    if dims > WORTH * dim:
        return None
    return replace(kind, reduce=dims, build_effort=max(kind.build_effort, BUILD_EFFORT))
