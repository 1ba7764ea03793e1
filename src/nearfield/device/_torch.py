"""The only `import torch` outside the text embedder, made when it is first needed. Knows which errors mean what."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from nearfield.core.errors import MissingDependency


def torch() -> Any:
    """The module; raises MissingDependency where it is not installed."""
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise MissingDependency(
            "devices are reached through PyTorch; run: pip install 'nearfield[models]'", field="torch"
        ) from error


def installed() -> bool:
    """Whether PyTorch is there, without loading it."""
    return importlib.util.find_spec("torch") is not None


_FULL = ("out of memory", "can't allocate memory", "not enough memory", "status_alloc_failed")
"""As cards, PyTorch's allocator on the processor, and cuBLAS and cuDNN for their workspaces say it."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or this machine, has no room for what was asked."""
    if isinstance(error, MemoryError):
        return True
    module = type(error).__module__.split(".")[0]
    said = str(error).lower()
    return (module == "torch" and "OutOfMemory" in type(error).__name__) or any(words in said for words in _FULL)


_LOST = (
    "cuda error",
    "cuda driver error",
    "error [cuda]",
    "illegal memory access",
    "device-side assert",
    "unspecified launch",
    "driver shutting down",
    "hip error",
    "cudnn error",
    "cudnn_status_execution_failed",
    "cublas_status_execution_failed",
    "cublas_status_internal_error",
    "cublas_status_not_initialized",
)


def lost(error: BaseException) -> bool:
    """Whether an error says that a device no longer works in this process: a CUDA context does not come back from these."""
    return isinstance(error, RuntimeError) and not out_of_memory(error) and any(s in str(error).lower() for s in _LOST)
