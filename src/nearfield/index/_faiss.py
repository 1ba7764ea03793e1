"""The only `import faiss`. Sets what must be set once: deserialisation limits, before any file is read.

Knows FAISS; every other module of the package imports it from here.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from nearfield.core.errors import Corrupt, MissingDependency

faiss: Any
try:
    faiss = importlib.import_module("faiss")
except ImportError as error:
    raise MissingDependency(
        "indexes need FAISS; run: pip install 'nearfield[cpu]' (or 'nearfield[gpu]', never both)", field="faiss"
    ) from error

for _name in ("set_deserialization_vector_byte_limit",):
    if hasattr(faiss, _name):
        getattr(faiss, _name)(1 << 40)


def version() -> str:
    """The FAISS version."""
    return str(faiss.__version__)


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


def set_threads(n: int) -> None:
    """Bounds FAISS's threads in this thread's context."""
    faiss.omp_set_num_threads(n)


__all__ = ["faiss", "read", "set_threads", "version", "write"]
