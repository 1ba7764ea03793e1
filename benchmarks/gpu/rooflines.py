"""What a card cannot go below or above, as pure functions: bytes over bandwidth, operations over products. Knows no tensor.

A search reads every code once for each batch, however many queries are in it, and multiplies each with each query; lists of an
index are read for each query. Figures of cards are what they do, not what is printed on the box: bandwidth is that of a copy
(bytes read and written), products are of 16-bit numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.device import layout
from nearfield.device.layout import Dtype


@dataclass(frozen=True, slots=True)
class Roof:
    """What a device does at most.

    Attributes:
        bandwidth: bytes a second of a copy, read and written.
        products: operations a second of a matrix product of 16-bit numbers; a multiplication and an addition are two.
    """

    bandwidth: float
    products: float


KNOWN = {"H200": Roof(4.3e12, 790e12), "H100": Roof(3.0e12, 790e12)}
"""Cards by a part of their name; what was measured on them elsewhere and is asked of here."""


def roof(model: str, measured: Roof) -> Roof:
    """The roof that is asked of: the higher of what is known of a card and what was measured in this run."""
    known = next((found for name, found in KNOWN.items() if name in model), measured)
    return Roof(max(known.bandwidth, measured.bandwidth), max(known.products, measured.products))


def code_bytes(n: int, dim: int, dtype: Dtype) -> int:
    """Bytes of n codes: what a scan must read."""
    return n * layout.padded(n, dim)[1] * layout.code_bytes(dtype)


def floor_seconds(n: int, dim: int, dtype: Dtype, bandwidth: float) -> float:
    """The least a scan takes, for one query or a batch: its codes read once."""
    return code_bytes(n, dim, dtype) / bandwidth


def product_seconds(n: int, dim: int, batch: int, products: float) -> float:
    """The least a batch takes by its products alone."""
    return 2.0 * n * dim * batch / products


def scan_qps(n: int, dim: int, dtype: Dtype, batch: int, of: Roof) -> float:
    """The most queries a second of an exact scan in batches: by bytes or by products, whichever takes longer."""
    return batch / max(floor_seconds(n, dim, dtype, of.bandwidth), product_seconds(n, dim, batch, of.products))


def turning_batch(dtype: Dtype, of: Roof) -> float:
    """The batch from which products take longer than reading."""
    return layout.code_bytes(dtype) * of.products / (2 * of.bandwidth)


def torch_qps(n: int, dim: int, dtype: Dtype, batch: int, of: Roof, score_bytes: int = 2, reads: int = 4) -> float:
    """About the most of a matrix product followed by topk: scores are written once and read `reads` times, by bandwidth.

    It explains what is measured and is asked of nobody: reads are those of topk's radix selection (four passes of 8 bits for
    32-bit keys).
    """
    selecting = batch * n * score_bytes * (1 + reads) / of.bandwidth
    return batch / (selecting + batch / scan_qps(n, dim, dtype, batch, of))


def lists_bytes(probed: npt.NDArray[np.int64], code: int, refined: int = 0, row: int = 0) -> float:
    """Mean bytes that a query reads of an index of lists.

    Args:
        probed: int64 (queries,), vectors in the lists that each query looks at.
        code: bytes of a vector in a list.
        refined: candidates that are scored again, for each query.
        row: bytes of each of those.
    """
    return float(np.mean(probed)) * code + refined * row


def lists_qps(nbytes: float, bandwidth: float) -> float:
    """The most queries a second that read so many bytes each."""
    return bandwidth / nbytes


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which (recall, queries a second) no other beats in both, by rising recall."""
    order = sorted(range(len(points)), key=lambda i: (-points[i][0], -points[i][1]))
    kept: list[int] = []
    for i in order:
        if not kept or points[i][1] > points[kept[-1]][1]:
            kept.append(i)
    return kept[::-1]


def needed_share(need: npt.NDArray[np.int64], lists: int, recall: float) -> float:
    """The share of lists that must be looked at for a recall.

    Args:
        need: int64 (queries, k), for each true neighbour how many lists must be looked at, nearest first, to reach it.
        lists: how many there are.
        recall: the share of neighbours to find, over all queries.
    """
    ordered = np.sort(need, axis=None)
    return float(ordered[int(np.ceil(recall * len(ordered))) - 1]) / lists
