"""Bytes that FAISS's indexes take on a graphics card, before anything is put there. Pure arithmetic over FAISS's own layouts.

Read in FAISS 1.15: impl/FlatIndex.cu, impl/IVFFlat.cu and impl/IVFPQ.cu (getGpuVectorsEncodingSize_), impl/IVFBase.cu (two
allocations for each list), utils/DeviceVector.cuh (how a list grows), StandardGpuResources.cpp (256-byte allocations, temporary
memory); and in cuVS: ivf_pq.hpp and ivf_flat.hpp (list_spec), common.hpp (rows of a graph's vectors padded to 16 bytes).
What the driver keeps for itself (some hundred MB for each process that uses a card) is not in it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric
from nearfield.index import coarse
from nearfield.index.base import Kind
from nearfield.index.cagra import Cagra
from nearfield.index.flat import Flat
from nearfield.index.gpu.limits import Options
from nearfield.index.ivf import Ivf
from nearfield.index.ivfpq import IvfPq

ALIGN = 256
"""Every allocation is rounded up to it."""
GROUP = 32
"""Vectors in lists are interleaved by groups of so many: a list is rounded up to whole ones."""
DOUBLED, BY_A_QUARTER = 4 << 20, 128 << 20
"""A list that grows takes the next power of two up to the first, a quarter more up to the second, then just what it needs."""
CUVS_STEP = 1024
"""Rows by which cuVS grows a list; below it takes the next power of two."""
CUVS_CHUNK = 16
"""Bytes of a code that cuVS keeps together."""
CAGRA_ROW = 16
"""The rows of a graph's vectors are padded to it."""
TEMPORARY = 256 << 20
"""Bytes that FAISS is given on a card to work in while it only searches there; builds take `temporary`, as FAISS has it."""
Sizes = npt.NDArray[np.int64]


def aligned(nbytes: int, to: int = ALIGN) -> int:
    """Rounded up."""
    return -(-nbytes // to) * to


def temporary(memory: int) -> int:
    """Bytes that FAISS keeps for itself on a card of `memory` bytes: 1.5 GiB; on small cards 1 GiB or 512 MiB."""
    if memory <= 4 << 30:
        return 512 << 20
    return 1 << 30 if memory <= 8 << 30 else 1536 << 20


def grown(nbytes: int) -> int:
    """The capacity of a list of `nbytes` that grew by being added to; a power of two takes the next one."""
    if nbytes <= DOUBLED:
        return 1 << nbytes.bit_length() if nbytes else 0
    return nbytes + (nbytes >> 2) if nbytes <= BY_A_QUARTER else nbytes


def on_card(kind: Kind, n: int, dim: int, metric: Metric, options: Options, sizes: Sizes | None = None) -> tuple[int, int]:
    """Least and most bytes on a card of a finished index of n vectors; the same where the lists' sizes are given.

    Args:
        kind: one that `limits.choose` has options for.
        n: vectors.
        dim: numbers in each.
        metric: which comparison.
        options: how it is kept there.
        sizes: int64 (lists,), vectors in each list, if they are known.
    """
    if isinstance(kind, Flat):
        return (aligned(4 * n * dim) + aligned(4 * n),) * 2
    if isinstance(kind, Cagra):
        return (n * aligned(kind.number_bytes * dim, CAGRA_ROW) + 4 * n * kind.graph_degree,) * 2
    assert isinstance(kind, (Ivf, IvfPq))
    lists = len(sizes) if sizes is not None else coarse.count(kind.lists, n)
    fixed = _fixed(kind, lists, dim, metric, options)
    if sizes is not None:
        return (fixed + _lists(kind, sizes, dim, options),) * 2
    least, most = _between(kind, n, min(lists, n), dim, options)
    return fixed + least, fixed + most


def building(kind: Kind, n: int, dim: int, metric: Metric, options: Options) -> int:
    """Most bytes on a card while an index of n vectors is filled there, block by block: its lists grow to twice their bytes."""
    if isinstance(kind, Cagra):
        # The graph before it is pruned and the one after; a third more for the search of neighbours (cuVS advises 20 to 30 %).
        return int(1.3 * (on_card(kind, n, dim, metric, options)[1] + 4 * n * kind.intermediate_graph_degree))
    most = on_card(kind, n, dim, metric, options)[1]
    lists = coarse.count(kind.lists, n) if isinstance(kind, (Ivf, IvfPq)) else 0
    fixed = _fixed(kind, lists, dim, metric, options) if isinstance(kind, (Ivf, IvfPq)) else 0
    return fixed + 2 * (most - fixed)


def _fixed(kind: Ivf | IvfPq, lists: int, dim: int, metric: Metric, options: Options) -> int:
    """What does not grow with vectors: centroids and their lengths, three numbers for each list, codebooks in two orders."""
    inner = kind.inner_dim(dim) if isinstance(kind, IvfPq) else dim
    total = aligned(4 * lists * inner) + aligned(4 * lists) + 3 * aligned(8 * grown(lists))
    if isinstance(kind, IvfPq):
        total += 2 * aligned(4 * inner << kind.bits)
        if options.use_cuvs:
            total += 4 * lists * (aligned(inner + 1, 8) + inner) + 4 * inner * inner
    elif kind.storage == "int8" and metric is Metric.IP:
        total += 2 * aligned(4 * dim)
    return total


def _code(kind: Ivf | IvfPq, dim: int, options: Options) -> tuple[int, int]:
    """Bytes of a vector in a list, and vectors to which a list is rounded up."""
    if isinstance(kind, Ivf):
        return {"float32": 4, "float16": 2, "int8": 1}[kind.storage] * dim, GROUP
    if options.use_cuvs:
        return CUVS_CHUNK * -(-kind.parts(dim) // (8 * CUVS_CHUNK // kind.bits)), GROUP
    return kind.parts(dim), 1


def _lists(kind: Ivf | IvfPq, sizes: Sizes, dim: int, options: Options) -> int:
    """Bytes of codes and ids in lists of known sizes: two allocations for each that holds something."""
    sizes = np.asarray(sizes, np.int64)
    sizes = sizes[sizes > 0]
    code, group = _code(kind, dim, options)
    if options.use_cuvs:
        powers = 2 ** np.ceil(np.log2(np.maximum(sizes, GROUP))).astype(np.int64)
        sizes = np.where(sizes < CUVS_STEP, powers, -(-sizes // CUVS_STEP) * CUVS_STEP)
    codes = -(-sizes // group) * group * code
    ids = options.id_bytes * sizes
    return int((-(-codes // ALIGN) * ALIGN).sum() + (-(-ids // ALIGN) * ALIGN).sum())


def _between(kind: Ivf | IvfPq, n: int, filled: int, dim: int, options: Options) -> tuple[int, int]:
    """Least and most bytes of n codes and ids, however they are spread over at most `filled` lists."""
    code, group = _code(kind, dim, options)
    each = code + options.id_bytes
    padding = 2 * (ALIGN - 1) * filled
    if options.use_cuvs:
        rows = min(2 * n + GROUP * filled, n + (CUVS_STEP - 1) * filled)
        return n * each, rows * each + padding
    return n * each, (n + (group - 1) * filled) * code + n * options.id_bytes + padding
