"""Errors of devices are told apart: no room, which smaller work mends, and lost, which nothing does."""

import pytest
import torch

from nearfield.device import _torch


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        ),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_no_room(error: Exception) -> None:
    assert _torch.out_of_memory(error)
    assert not _torch.lost(error)


def test_what_the_processor_really_says() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert _torch.out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: unspecified launch failure"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
        RuntimeError("HIP error: invalid device function"),
    ],
)
def test_lost(error: Exception) -> None:
    assert _torch.lost(error)
    assert not _torch.out_of_memory(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("CUDA error"), OSError()]
)
def test_neither(error: Exception) -> None:
    assert not _torch.lost(error)
    assert not _torch.out_of_memory(error)
