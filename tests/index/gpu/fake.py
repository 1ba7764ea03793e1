"""A FAISS with a graphics card that is not there: FAISS's own classes on the processor behind the names of those for cards.

It holds what a card holds its callers to: one thread for each resources object, the limits of selection, copies that own
nothing of the source but what FAISS's do. `calls` records what was asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import faiss
import numpy as np

OUT_OF_MEMORY = "StandardGpuResources: alloc fail (cudaMalloc error out of memory [2])"
LOST = "CUDA error 700 an illegal memory access was encountered"


class Fake:
    """Stands for the module `faiss`. `fail`: called before each search and add, to raise what a card would."""

    INDICES_CPU, INDICES_IVF, INDICES_32_BIT, INDICES_64_BIT = range(4)

    def __init__(self, cards: int = 1, cuvs: bool = True) -> None:
        self._cards = cards
        self.calls: list[tuple[str, Any]] = []
        self.fail: Callable[[str], Any] = lambda what: None
        self.GpuClonerOptions = self.GpuIndexIVFPQConfig = self.GpuIndexIVFFlatConfig = SimpleNamespace
        self.GpuIndexIVFScalarQuantizerConfig = self.GpuIndexCagraConfig = self.SearchParametersCagra = SimpleNamespace
        if cuvs:
            self.GpuIndexCagra: Callable[..., Any] = self._cagra

    def __getattr__(self, name: str) -> Any:
        return getattr(faiss, name)

    def get_num_gpus(self) -> int:
        return self._cards

    def StandardGpuResources(self) -> Resources:
        return Resources(self)

    def index_cpu_to_gpu(self, resources: Resources, device: int, index: Any, options: Any) -> CardIndex:
        resources.check()
        self.calls.append(("clone", (device, vars(options))))
        self.fail("clone")
        assert isinstance(index, (faiss.IndexFlat, faiss.IndexIVF, faiss.IndexHNSWCagra)), "not implemented on GPU"
        if isinstance(index, faiss.IndexIVF):
            assert isinstance(faiss.downcast_index(index.quantizer), faiss.IndexFlat), "allowCpuCoarseQuantizer"
        if isinstance(index, faiss.IndexIVFPQ) and not options.use_cuvs:
            assert index.pq.M <= 48 or options.useFloat16
        copy = faiss.deserialize_index(faiss.serialize_index(index))  # clone_index makes an IndexHNSW of a graph of CAGRA's
        return CardIndex(self, resources, copy, options.use_cuvs)

    def index_gpu_to_cpu(self, index: CardIndex) -> Any:
        index.resources.check()
        self.calls.append(("down", index.inner.ntotal))
        return faiss.clone_index(index.inner)

    def _lists(self, resources: Resources, dim: int, compared: int, make: Callable[[Any], Any], config: Any) -> CardIndex:
        resources.check()
        flat = faiss.IndexFlat(dim, compared)
        inner = make(flat)
        inner.own_fields = True
        flat.this.disown()
        self.calls.append((type(inner).__name__, dict(vars(config))))
        return CardIndex(self, resources, inner, config.use_cuvs)

    def GpuIndexIVFFlat(self, resources: Resources, dim: int, lists: int, compared: int, config: Any) -> CardIndex:
        return self._lists(resources, dim, compared, lambda q: faiss.IndexIVFFlat(q, dim, lists, compared), config)

    def GpuIndexIVFScalarQuantizer(
        self, resources: Resources, dim: int, lists: int, kind: int, compared: int, residual: bool, config: Any
    ) -> CardIndex:
        return self._lists(
            resources, dim, compared, lambda q: faiss.IndexIVFScalarQuantizer(q, dim, lists, kind, compared, residual), config
        )

    def GpuIndexIVFPQ(
        self, resources: Resources, dim: int, lists: int, parts: int, bits: int, compared: int, config: Any
    ) -> CardIndex:
        assert bits == 8
        return self._lists(resources, dim, compared, lambda q: faiss.IndexIVFPQ(q, dim, lists, parts, bits, compared), config)

    def _cagra(self, resources: Resources, dim: int, compared: int, config: Any) -> CardGraph:
        resources.check()
        self.calls.append(("cagra", dict(vars(config))))
        assert config.guarantee_connectivity
        return CardGraph(self, resources, dim, compared, config.graph_degree)


class Resources:
    """The resources of one card: every call on them comes from the thread that made them."""

    def __init__(self, fake: Fake) -> None:
        self.fake, self.thread = fake, threading.get_ident()

    def check(self) -> None:
        assert threading.get_ident() == self.thread, "a card is used from another thread than its owner's"

    def setTempMemory(self, size: int) -> None:
        self.check()
        self.fake.calls.append(("temporary", size))


class CardIndex:
    """An index on the card."""

    def __init__(self, fake: Fake, resources: Resources, inner: Any, cuvs: bool) -> None:
        self.fake, self.resources, self.inner, self.cuvs = fake, resources, inner, cuvs

    def __del__(self) -> None:
        self.resources.check()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def train(self, x: Any) -> None:
        self.resources.check()
        self.fake.fail("train")
        self.fake.calls.append(("train", len(x)))
        self.inner.train(x)

    def add(self, x: Any) -> None:
        self.resources.check()
        self.fake.fail("add")
        self.fake.calls.append(("add", len(x)))
        self.inner.add(x)

    def search_c(self, m: int, x: Any, k: int, distances: Any, labels: Any, parameters: Any) -> None:
        self._searched(k, parameters)
        if isinstance(self.inner, faiss.IndexHNSWCagra):
            parameters = faiss.SearchParametersHNSW(efSearch=parameters.itopk_size)
        self.inner.search_c(m, x, k, distances, labels, parameters)

    def search_ex(self, m: int, x: Any, kind: int, k: int, distances: Any, labels: Any, parameters: Any) -> None:
        assert kind == faiss.Float16 == self.inner.get_numeric_type()
        self._searched(k, parameters)
        assert parameters.itopk_size >= k
        halves = np.frombuffer((np.ctypeslib.ctypes.c_uint16 * (m * self.inner.d)).from_address(int(x)), np.float16)
        whole = np.ascontiguousarray(halves.reshape(m, -1), np.float32)
        parameters = faiss.SearchParametersHNSW(efSearch=parameters.itopk_size)
        self.inner.search_c(m, faiss.swig_ptr(whole), k, distances, labels, parameters)

    def _searched(self, k: int, parameters: Any) -> None:
        self.resources.check()
        self.fake.fail("search")
        most = 16_384 if self.cuvs else 2048
        if k > most or getattr(parameters, "nprobe", 1) > most:
            raise RuntimeError("GPU index only supports min/max-K selection up to 2048")
        assert not isinstance(parameters, faiss.SearchParametersPreTransform)
        self.fake.calls.append(("search", (m_of(parameters), k)))


def m_of(parameters: Any) -> int:
    """The knob of a search: nprobe, itopk_size, or 0."""
    return int(getattr(parameters, "nprobe", getattr(parameters, "itopk_size", 0)))


class CardGraph:
    """A graph that is built on the card: here by comparing all with all."""

    def __init__(self, fake: Fake, resources: Resources, dim: int, compared: int, degree: int) -> None:
        self.fake, self.resources, self.dim, self.compared, self.degree = fake, resources, dim, compared, degree

    def train(self, x: Any, *, numeric_type: int) -> None:
        self.resources.check()
        self.fake.fail("train")
        assert x.dtype == (np.float16 if numeric_type == faiss.Float16 else np.float32)
        assert x.flags.c_contiguous
        self.x, self.kind = x, numeric_type
        self.fake.calls.append(("train", len(x)))

    def copyTo(self, out: Any) -> None:
        self.resources.check()
        assert out.base_level_only
        x = np.ascontiguousarray(self.x, np.float32)
        found = faiss.knn(x, x, self.degree + 1, metric=self.compared)[1][:, 1:]
        for number, step in enumerate((1, 7, 49, 343)):  # so that all of it can be reached
            found[:, -1 - number] = (np.arange(len(x)) + step) % len(x)
        halves = self.kind == faiss.Float16
        qtype = faiss.ScalarQuantizer.QT_fp16
        stored = (
            faiss.IndexScalarQuantizer(self.dim, qtype, self.compared) if halves else faiss.IndexFlat(self.dim, self.compared)
        )
        out.d, out.metric_type, out.is_trained = self.dim, self.compared, True
        out.set_numeric_type(self.kind)
        out.storage, out.own_fields, out.keep_max_size_level0 = stored, True, True
        stored.this.disown()
        out.hnsw.reset()
        out.hnsw.assign_probas.clear()
        out.hnsw.cum_nneighbor_per_level.clear()
        out.hnsw.set_default_probas(self.degree // 2, 1.0 / np.log(self.degree // 2))
        out.hnsw.prepare_level_tab(len(x), False)
        stored.add(x)
        out.ntotal = len(x)
        links, starts = faiss.vector_to_array(out.hnsw.neighbors), faiss.vector_to_array(out.hnsw.offsets)
        links[starts[:-1, None].astype(np.int64) + np.arange(self.degree)] = found
        faiss.copy_array_to_vector(links, out.hnsw.neighbors)
