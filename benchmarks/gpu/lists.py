"""Indexes of lists by FAISS, made and searched on the device alone: rows come block by block and are never on the host.

On a processor FAISS's own indexes of the same kinds stand in, so that all of this runs there too. Knows FAISS and PyTorch's
tensors; measures nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.common import Skipped
from benchmarks.gpu import truth

KINDS = ("ivfpq", "ivf16", "ivf32")
"""Lists of product codes of `parts` bytes; of float16 numbers; of float32 numbers (FAISS's IVF-Flat)."""
ADDED = 1 << 20
"""Rows added at a time."""
TRAINED = 64
"""Rows to a list that means are computed from."""
CODED = 1 << 16
"""Rows that codebooks are computed from, at least."""
MOST_PROBES = 2048
"""Lists that FAISS's own kernels look at, at most."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One index.

    Attributes:
        kind: of KINDS.
        lists: how many.
        parts: bytes of a product code.
    """

    kind: str
    lists: int
    parts: int = 64

    def code(self, dim: int) -> int:
        """Bytes of a vector in a list."""
        return {"ivfpq": self.parts, "ivf16": 2 * dim, "ivf32": 4 * dim}[self.kind]

    def needs(self, n: int, dim: int) -> int:
        """About the bytes on a card: a list grows to the next power of two, so that codes take up to twice their size."""
        return 2 * n * (self.code(dim) + 4) + 8 * self.lists * dim


class Lists:
    """An index that is filled, with its centroids and the sizes of its lists on the device.

    Args:
        faiss: the module, with PyTorch's tensors in its calls.
        spec: which index.
        rows: float32 (n, dim), a tensor on the device or what gives slices of one.
        device: where.
    """

    def __init__(self, faiss: Any, spec: Spec, rows: Any, device: str) -> None:
        self.spec, self._faiss, self._device = spec, faiss, device
        n, dim = rows.shape
        self._resources = faiss.StandardGpuResources() if device.startswith("cuda") else None
        self.index = self._empty(dim)
        self.index.train(sample(rows, max(CODED, TRAINED * spec.lists)))
        for start in range(0, n, ADDED):
            self.index.add(rows[start : min(start + ADDED, n)].contiguous())
        self.sizes = torch.tensor([self._size(i) for i in range(spec.lists)], device=device)
        self.centroids = self._centroids(dim)

    def search(self, queries: Any, k: int, probes: int) -> Any:
        """Positions int64 (m, k) on the device; -1 for none."""
        self.index.nprobe = probes
        return torch.as_tensor(self.index.search(queries if self._resources else queries.numpy(), k)[1])

    def probed(self, queries: Any, probes: int) -> npt.NDArray[np.int64]:
        """Vectors in the lists that each query looks at, int64 (m,)."""
        half = 0.5 * self.centroids.square().sum(dim=1)
        near = (queries @ self.centroids.T - half).topk(probes, dim=1).indices
        return np.asarray(self.sizes[near].sum(dim=1).cpu().numpy(), np.int64)

    def close(self) -> None:
        """Gives the device's memory back."""
        del self.index, self.sizes, self.centroids, self._resources

    def _empty(self, dim: int) -> Any:
        faiss, spec = self._faiss, self.spec
        if self._resources is None:
            coarse = faiss.IndexFlatL2(dim)
            if spec.kind == "ivfpq":
                made = faiss.IndexIVFPQ(coarse, dim, spec.lists, spec.parts, 8)
            elif spec.kind == "ivf16":
                made = faiss.IndexIVFScalarQuantizer(coarse, dim, spec.lists, faiss.ScalarQuantizer.QT_fp16)
            else:
                made = faiss.IndexIVFFlat(coarse, dim, spec.lists)
            made.own_fields = True
            coarse.this.disown()
        else:
            made = self._on_card(dim)
        made.cp.max_points_per_centroid, made.cp.min_points_per_centroid, made.cp.niter = TRAINED, 1, 10
        return made

    def _on_card(self, dim: int) -> Any:
        faiss, spec, metric = self._faiss, self.spec, self._faiss.METRIC_L2
        names = {"ivfpq": "GpuIndexIVFPQConfig", "ivf16": "GpuIndexIVFScalarQuantizerConfig", "ivf32": "GpuIndexIVFFlatConfig"}
        config = getattr(faiss, names[spec.kind])()
        config.device = torch.device(self._device).index or 0
        config.indicesOptions = faiss.INDICES_32_BIT
        config.use_cuvs = False
        if spec.kind == "ivfpq":
            config.useFloat16LookupTables = True
            return faiss.GpuIndexIVFPQ(self._resources, dim, spec.lists, spec.parts, 8, metric, config)
        if spec.kind == "ivf16":
            half = faiss.ScalarQuantizer.QT_fp16
            return faiss.GpuIndexIVFScalarQuantizer(self._resources, dim, spec.lists, half, metric, False, config)
        return faiss.GpuIndexIVFFlat(self._resources, dim, spec.lists, metric, config)

    def _size(self, number: int) -> int:
        if self._resources is None:
            return int(self.index.invlists.list_size(number))
        return int(self.index.getListLength(number))

    def _centroids(self, dim: int) -> Any:
        """Float32 (lists, dim), by way of the host: some megabytes."""
        out = np.empty((self.spec.lists, dim), np.float32)
        self._faiss.downcast_index(self.index.quantizer).reconstruct_n(0, self.spec.lists, out)
        return torch.from_numpy(out).to(self._device)


def sample(rows: Any, wanted: int) -> Any:
    """About `wanted` rows, from all over: some of each of up to 64 stretches."""
    n = rows.shape[0]
    if n <= wanted:
        return rows[0:n].contiguous()
    stretches = min(64, max(1, n // ADDED))
    each = -(-wanted // stretches)
    starts = [n // stretches * i for i in range(stretches)]
    return torch.cat([rows[start : min(start + each, n)] for start in starts]).contiguous()


def rescored(found: Any, queries: Any, codes: Any, factor: float, k: int) -> Any:
    """The k best of found positions (m, w), by float32 differences from float16 rows (n, dim) on the device."""
    out = []
    step = max(1, (1 << 28) // (found.shape[1] * codes.shape[1] * 4))
    for start in range(0, len(found), step):
        some = found[start : start + step]
        scores = truth.direct(codes[some.clamp(min=0)].float() * factor, queries[start : start + step], True)
        scores[some < 0] = float("-inf")
        out.append(some.gather(1, scores.topk(k, dim=1).indices))
    return torch.cat(out)


def check(spec: Spec, n: int, dim: int, room: int) -> None:
    """Raises Skipped where an index has no room, or FAISS's kernels have no such code."""
    if spec.kind == "ivfpq" and dim % spec.parts:
        raise Skipped(f"{dim} numbers are not {spec.parts} parts of one size")
    if spec.needs(n, dim) > room:
        raise Skipped(f"it takes up to {spec.needs(n, dim) / 1e9:.1f} GB and {room / 1e9:.1f} are free")
