"""The three metrics: the only place that normalises a vector or flips a sign. Scores are always "higher is better".

Knows nothing of indexes or storage. Under cosine unit vectors are what is stored and searched; their norms are kept
beside them so that the caller's vector can be given back.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import InvalidInput

Vectors = npt.NDArray[np.float32]
"""float32, C order, (n, dim)."""
Scores = npt.NDArray[np.float32]
"""float32; higher is better."""
Positions = npt.NDArray[np.int64]
"""int64 positions inside one segment; -1 means none."""


class Metric(StrEnum):
    """How two vectors are compared.

    COSINE: the cosine of the angle, in [-1, 1].  IP: the inner product.  L2: minus the squared Euclidean distance.
    """

    COSINE = "cosine"
    IP = "ip"
    L2 = "l2"

    @classmethod
    def parse(cls, value: str | Metric) -> Metric:
        """Returns the metric named `value`; raises InvalidInput for any other name."""
        try:
            return cls(value)
        except ValueError:
            raise InvalidInput("unknown metric", field="metric", expected="'cosine', 'ip' or 'l2'", received=value) from None

    @property
    def by_inner_product(self) -> bool:
        """Whether an index ranks prepared vectors by inner product (cosine, ip) rather than by distance (l2)."""
        return self is not Metric.L2


def norms(x: Vectors) -> npt.NDArray[np.float32]:
    """The Euclidean length of each row of `x` (n, dim), float32 (n,), safe against overflow and underflow of squares."""
    squared = np.einsum("ij,ij->i", x, x)
    unsafe = ~((squared > 1e-30) & (squared < 1e30))
    out = np.sqrt(squared)
    if unsafe.any():
        out[unsafe] = np.sqrt(np.einsum("ij,ij->i", *(2 * (x[unsafe].astype(np.float64),))))
    return np.asarray(out, dtype=np.float32)


LONGEST = 1e15
"""Length of a vector under ip and l2: the square of the sum of two such is far from float32's largest number, 3.4e38."""


def prepare(x: Vectors, metric: Metric) -> tuple[Vectors, npt.NDArray[np.float32] | None]:
    """Turns the caller's vectors into what is stored and searched.

    Args:
        x: float32 (n, dim), finite.
        metric: under cosine each row is divided by its length; otherwise `x` is returned as it is.
            Lengths are at most LONGEST then, so that distances and products stay finite in float32.

    Returns:
        The vectors and, under cosine, their lengths (n,); None otherwise.

    Raises:
        InvalidInput: a zero vector under cosine, whose direction is undefined; a vector too long under the others.
    """
    if metric is not Metric.COSINE:
        _check_lengths(x)
        return x, None
    lengths = norms(x)
    if not lengths.all() or not np.isfinite(lengths).all():
        bad = int(np.flatnonzero((lengths == 0) | ~np.isfinite(lengths))[0])
        raise InvalidInput(
            f"vector {bad} has length {lengths[bad]!s}, so it has no direction under the cosine metric; "
            "leave it out or use metric='ip'",
            field="vectors",
            expected="a non-zero, finite length",
            received=x[bad, :8].tolist(),
        )
    return x / lengths[:, None], lengths


def _check_lengths(x: Vectors) -> None:
    with np.errstate(over="ignore"):
        squared = np.einsum("ij,ij->i", x, x)
    if len(squared) and not squared.max() <= LONGEST**2:
        bad = int(np.flatnonzero(~(squared <= LONGEST**2))[0])
        raise InvalidInput(
            f"vector {bad} is so long that distances to it overflow",
            field="vectors",
            expected=f"a length of at most {LONGEST:g}",
            received=x[bad, :8].tolist(),
        )


def prepare_plain(vector: npt.NDArray[np.float32], metric: Metric) -> Vectors | None:
    """The prepared query (1, dim) of one float32 (dim,) vector, the same as `prepare` gives, by a shorter way.

    None where the vector needs a closer look: a length that is zero, not finite, or whose square may have overflowed.
    """
    one = np.ascontiguousarray(vector)[None, :]
    squared = np.einsum("ij,ij->i", one, one)
    if not 1e-30 < float(squared[0]) < 1e30:
        return None
    return one / np.sqrt(squared)[:, None] if metric is Metric.COSINE else one


def scores(query: npt.NDArray[np.float32], x: Vectors, metric: Metric) -> Scores:
    """Scores each row of `x` against one prepared query: the one function that makes every final score.

    Direct product or direct difference, row by row, so that a row's score depends on nothing but the row and the query.

    Args:
        query: float32 (dim,), prepared.
        x: float32 (n, dim), prepared.
        metric: which comparison.

    Returns:
        float32 (n,), higher is better; cosine clipped to [-1, 1].
    """
    if metric is Metric.L2:
        difference = x - query
        out = -np.einsum("ij,ij->i", difference, difference)
    else:
        out = np.einsum("ij,j->i", x, query)
        if metric is Metric.COSINE:
            np.minimum(out, 1.0, out=out)
            np.maximum(out, -1.0, out=out)
    return np.asarray(out, dtype=np.float32)


def pair_scores(a: Vectors, b: Vectors, metric: Metric) -> Scores:
    """Scores row i of `a` against row i of `b`, both prepared float32 (n, dim): bit for bit as `scores` does each pair."""
    if metric is Metric.L2:
        difference = a - b
        out = -np.einsum("ij,ij->i", difference, difference)
    else:
        out = np.einsum("ij,ij->i", a, b)
        if metric is Metric.COSINE:
            np.clip(out, -1.0, 1.0, out=out)
    return np.asarray(out, dtype=np.float32)


def rough_scores(queries: Vectors, x: Vectors, metric: Metric) -> Scores:
    """Scores all pairs by matrix product, (m, n): quick, for choosing candidates, never for a final score.

    For l2 uses 2 q·x - |x|² (the query's own length is left out: it does not change the order within a query).
    """
    product: Scores = queries @ x.T
    if metric is Metric.L2:
        product *= 2
        product -= np.einsum("ij,ij->i", x, x)
    return product


def distance(score: float, metric: Metric) -> float:
    """The usual distance of the field for a score: 1 - cosine, minus the inner product, or the squared distance."""
    if metric is Metric.COSINE:
        return 1.0 - score
    return -score
