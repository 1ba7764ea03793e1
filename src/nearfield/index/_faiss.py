"""The only `import faiss`. Sets what must be set once: deserialisation limits, before any file is read.

Knows FAISS; every other module of the package imports it from here.
"""

from __future__ import annotations

import importlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import Corrupt, MissingDependency
from nearfield.index import fastscan

faiss: Any
try:
    faiss = importlib.import_module("faiss")
except ImportError as error:
    raise MissingDependency(
        "indexes need FAISS; run: pip install 'nearfield[cpu]' (or, for a graphics card, 'nearfield[gpu]', or faiss-gpu-cuvs; "
        "only ever one of them: they install the same folder)",
        field="faiss",
    ) from error

for _name in ("set_deserialization_vector_byte_limit",):
    if hasattr(faiss, _name):
        getattr(faiss, _name)(1 << 40)


def version() -> str:
    """The FAISS version."""
    return str(faiss.__version__)


def cards() -> int:
    """The graphics cards that FAISS can use here; 0 in a build for processors."""
    if not hasattr(faiss, "StandardGpuResources"):
        return 0
    return int(faiss.get_num_gpus())


def has_cuvs() -> bool:
    """Whether FAISS was built with cuVS, which Cagra is built by."""
    return hasattr(faiss, "GpuIndexCagra")


def read(path: Path, n: int, dim: int) -> Any:
    """Opens an index file as views into a memory map; raises Corrupt if it is not one of n vectors of dim."""
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY)
    except RuntimeError as error:
        raise Corrupt(f"{path} is damaged; it is built again ({str(error)[:120]})", field=path.name) from error
    if index.ntotal != n or index.d != dim:
        raise Corrupt(
            f"{path} is another index; it is built again", expected=f"{n} x {dim}", received=f"{index.ntotal} x {index.d}"
        )
    return index


def write(index: Any, path: Path) -> None:
    """Writes an index file; the caller syncs it."""
    faiss.write_index(index, str(path))


def list_sizes(index: Any) -> npt.NDArray[np.int64] | None:
    """Vectors in each list of an index that has lists, perhaps behind a transform; None for others."""
    inner = faiss.downcast_index(index.index) if isinstance(index, faiss.IndexPreTransform) else index
    if not isinstance(inner, faiss.IndexIVF):
        return None
    return np.array([inner.get_list_size(i) for i in range(inner.nlist)], np.int64)


def untransformed(index: Any) -> tuple[list[Any], Any]:
    """The transforms that come before an index, in order, and the index behind them."""
    if not isinstance(index, faiss.IndexPreTransform):
        return [], index
    chain = [faiss.downcast_VectorTransform(index.chain.at(i)) for i in range(index.chain.size())]
    return chain, faiss.downcast_index(index.index)


def takes_codes(index: Any) -> bool:
    """Whether an index stores bytes as they come, so that its input must go through a codec."""
    inner = faiss.downcast_index(index.storage) if isinstance(index, faiss.IndexHNSW) else index
    quantizer = getattr(inner, "sq", None)
    return quantizer is not None and quantizer.qtype == faiss.ScalarQuantizer.QT_8bit_direct


def ids_in_list(index: Any, number: int) -> npt.NDArray[np.int64]:
    """The ids in one list of an IndexIVF, as a copy."""
    lists = index.invlists
    size, pointer = lists.list_size(number), lists.get_ids(number)
    found = np.array(faiss.rev_swig_ptr(pointer, size)) if size else np.empty(0, np.int64)
    lists.release_ids(number, pointer)
    return found


def heap_bytes(index: Any) -> int:
    """Bytes of memory of an index that was read into it: pages of codes that are touched, ids, centroids, the transform."""
    inner = faiss.downcast_index(index.index) if isinstance(index, faiss.IndexPreTransform) else index
    sizes = list_sizes(inner)
    if sizes is None:
        return int(index.ntotal) * int(index.sa_code_size())
    blocks = int(faiss.downcast_InvertedLists(inner.invlists).block_size)
    total = fastscan.touched(sizes, blocks) + 8 * int(sizes.sum()) + 4 * int(inner.d) * int(inner.nlist)
    return total + (0 if index is inner else 4 * int(index.d) * int(inner.d))


def table_bytes(index: Any) -> int:
    """Bytes of the tables that IVF-PQ keeps in memory beside its file under l2."""
    inner = faiss.downcast_index(index.index) if isinstance(index, faiss.IndexPreTransform) else index
    return 4 * int(inner.precomputed_table.size()) if hasattr(inner, "precomputed_table") else 0


def scores_at(
    query: npt.NDArray[np.float32], x: npt.NDArray[np.float32], positions: npt.NDArray[np.int64], by_distance: bool
) -> npt.NDArray[np.float32]:
    """Products of a query (dim,) with rows of x, or minus their squared distances: float32 (r,); -inf at position -1."""
    out = np.empty(len(positions), np.float32)
    call = faiss.fvec_L2sqr_by_idx if by_distance else faiss.fvec_inner_products_by_idx
    query, positions = np.ascontiguousarray(query), np.ascontiguousarray(positions)
    use_threads(1)
    pointer = faiss.swig_ptr
    call(pointer(out), pointer(query), pointer(x.view(np.ndarray)), pointer(positions), x.shape[1], 1, len(positions))
    return np.negative(out, out=out) if by_distance else out


SMALL = 1 << 17
"""Numbers of a matrix up to which a product with one vector is not worth a second thread."""


def products(matrix: npt.NDArray[np.float32], vector: npt.NDArray[np.float32], out: npt.NDArray[np.float32]) -> None:
    """Writes matrix (r, dim) @ vector (dim,) into `out`, on one thread where it is small; all C-ordered float32."""
    if matrix.size > SMALL:
        np.dot(matrix, vector, out=out)
        return
    pointer = faiss.swig_ptr
    faiss.fvec_inner_products_ny(pointer(out), pointer(vector), pointer(matrix), matrix.shape[1], len(matrix))


_most = int(faiss.omp_get_max_threads())
_mine = threading.local()


def set_threads(n: int) -> None:
    """Bounds the threads that FAISS may use for one call."""
    global _most
    _most = n


def most_threads() -> int:
    """The bound."""
    return _most


def use_threads(work: int) -> None:
    """Before a call that handles `work` queries or vectors: one alone is not shared among threads.

    FAISS opens a parallel region even then, whose threads wait for each other: on a busy machine for a time slice each.
    OpenMP keeps the number for each calling thread, so it is set where it differs.
    """
    wanted = 1 if work == 1 else _most
    if getattr(_mine, "threads", 0) != wanted:
        faiss.omp_set_num_threads(wanted)
        _mine.threads = wanted


__all__ = [
    "cards",
    "faiss",
    "has_cuvs",
    "heap_bytes",
    "ids_in_list",
    "list_sizes",
    "products",
    "most_threads",
    "read",
    "scores_at",
    "set_threads",
    "table_bytes",
    "takes_codes",
    "untransformed",
    "use_threads",
    "version",
    "write",
]
