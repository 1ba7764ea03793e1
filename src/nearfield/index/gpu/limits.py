"""Which indexes FAISS can keep on a graphics card, how, and what it can be asked there: rules, each with its reason.

Pure: knows kinds and numbers; no card, no library. Read in FAISS 1.15 (faiss/gpu/GpuCloner.cpp, GpuIndexIVFPQ.cu
verifyPQSettings_, impl/IVFPQ.cu isSupportedPQCodeLength, GpuIndexIVFScalarQuantizer.cu verifySQSettings_, impl/IndexUtils.cu
getMaxKSelection) and in cuVS (search_plan.cuh check_params).
"""

from __future__ import annotations

from dataclasses import dataclass

from nearfield.core.metric import Metric
from nearfield.index import coarse
from nearfield.index.base import Effort, Kind
from nearfield.index.cagra import Cagra
from nearfield.index.flat import Flat
from nearfield.index.ivf import Ivf
from nearfield.index.ivfpq import IvfPq

NATIVE_SELECT, CUVS_SELECT = 2048, 16_384
"""Candidates that a query may ask for, and lists that it may read: FAISS's own kernels, and cuVS."""
NATIVE_PARTS = (1, 2, 3, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96)
"""Subvectors (M) that FAISS's own kernels know."""
SHARED = 48 << 10
"""Bytes of shared memory of a block, where the tables of a query must fit: 256 numbers for each subvector."""
CUVS_BITS = range(4, 9)
CAGRA_WIDTH = 1024
"""Search width (itopk_size) up to which cuVS searches a graph by any of its ways."""
CAGRA_STEP = 32
"""Search widths are multiples of it."""
MOST_ROWS = (1 << 31) - 1
"""Vectors of one index: ids are kept in 32 bits on the card."""


@dataclass(frozen=True, slots=True)
class Options:
    """How an index is kept on a card. The names are those of FAISS's GpuClonerOptions where it has one.

    Attributes:
        use_cuvs: by cuVS instead of FAISS's own kernels: where these cannot, and for a graph.
        useFloat16: the tables of IVF-PQ in half precision, which more than 48 subvectors need; nothing else.
        id_bytes: of one id: 4 (INDICES_32_BIT), or 8 (INDICES_64_BIT), the only one that cuVS knows.
        flat_centroids: the centroids are behind a graph in the file, which no card has (else FAISS asks for
            allowCpuCoarseQuantizer and each query goes to the processor and back): on the card they are laid flat and all
            compared.
    """

    use_cuvs: bool = False
    useFloat16: bool = False
    id_bytes: int = 4
    flat_centroids: bool = False


def choose(kind: Kind, n: int, dim: int, metric: Metric, cuvs: bool) -> Options | str:
    """How an index of n vectors of `dim` can be kept on a card, or why it cannot.

    Args:
        kind: which index.
        n: vectors.
        dim: numbers in each.
        metric: which comparison.
        cuvs: whether the installed FAISS has cuVS.
    """
    behind = isinstance(kind, (Ivf, IvfPq)) and coarse.count(kind.lists, n) >= coarse.GRAPH_FROM
    reason = problem(kind, n, dim, metric, use_cuvs=False)
    if not reason:
        return Options(False, isinstance(kind, IvfPq) and tables_in_half(kind.parts(dim)), 4, behind)
    other = problem(kind, n, dim, metric, use_cuvs=True)
    if not other and cuvs:
        return Options(True, False, 8, behind)
    return (
        reason if other else f"{reason}; a FAISS with cuVS can: pip install faiss-gpu-cuvs in place of the FAISS that is there"
    )


def problem(kind: Kind, n: int, dim: int, metric: Metric, use_cuvs: bool) -> str:
    """Why FAISS's own kernels, or those of cuVS, cannot keep such an index; empty if they can."""
    if n > MOST_ROWS:
        return f"one index holds at most {MOST_ROWS:,} vectors on a card, not {n:,}"
    if isinstance(kind, Flat):
        return ""
    if isinstance(kind, Cagra):
        if n <= kind.graph_degree:
            return f"a graph of {kind.graph_degree} neighbours needs more vectors than that on a card, not {n}"
        return "" if use_cuvs else "Cagra() is searched by cuVS alone"
    if isinstance(kind, Ivf):
        return _lists_problem(kind, dim, metric, use_cuvs)
    if isinstance(kind, IvfPq):
        return _product_problem(kind, dim, use_cuvs)
    known = {
        "hnsw": "no card has HNSW graphs; Cagra() is the graph for cards",
        "rabitq": "FAISS has RaBitQ codes for processors alone",
        "usearch": "USearch has no code for cards",
    }
    return known.get(kind.name, f"FAISS has no {kind.name} for cards")


def _lists_problem(kind: Ivf, dim: int, metric: Metric, use_cuvs: bool) -> str:
    """Lists of vectors: of floats, or of one byte for each number."""
    if kind.storage != "float32" and use_cuvs:
        return f"cuVS clones no lists of {kind.storage}"
    most = SHARED // 8
    if kind.storage == "int8" and metric is Metric.IP and dim >= most:
        return f"the ranges of {dim} dimensions do not fit into shared memory: below {most} do"
    return ""


def _product_problem(kind: IvfPq, dim: int, use_cuvs: bool) -> str:
    """Lists of product codes."""
    if kind.bits == 4:
        return "IvfPq(bits=4) is fast-scan, which FAISS has for processors alone; IvfPq(bits=8) goes to a card"
    return parts_problem(kind.parts(dim), kind.bits, kind.inner_dim(dim), use_cuvs)


def parts_problem(parts: int, bits: int, dim: int, use_cuvs: bool) -> str:
    """Why product codes of so many parts of so many bits cannot be on a card; empty if they can."""
    if dim % parts:
        return f"{parts} subvectors do not divide {dim} dimensions"
    if use_cuvs:
        if bits not in CUVS_BITS:
            return f"cuVS knows codes of 4 to 8 bits, not {bits}"
        return "" if bits * parts % 8 == 0 else f"cuVS needs whole bytes: {parts} x {bits} bits are not"
    if bits != 8:
        return f"FAISS's own kernels know codes of 8 bits, not {bits}"
    if parts not in NATIVE_PARTS:
        return f"FAISS's own kernels know subvectors={', '.join(map(str, NATIVE_PARTS))}, not {parts}"
    return ""


def tables_in_half(parts: int) -> bool:
    """Whether the tables of so many parts fit into shared memory in half precision only (8-bit codes)."""
    return parts * 256 * 4 > SHARED


def search_problem(kind: Kind, width: int, effort: Effort, use_cuvs: bool) -> str:
    """Why a card cannot be asked for `width` candidates at an effort; empty if it can."""
    if isinstance(kind, Cagra):
        wide = max(width, effort.efSearch)
        return "" if wide <= CAGRA_WIDTH else f"a graph is searched up to {CAGRA_WIDTH} wide on a card, not {wide}"
    most = CUVS_SELECT if use_cuvs else NATIVE_SELECT
    if width > most:
        return f"a card ranks up to {most:,} candidates, not {width:,}"
    if effort.nprobe > most and not isinstance(kind, Flat):
        return f"a card reads up to {most:,} lists, not {effort.nprobe:,}"
    return ""
