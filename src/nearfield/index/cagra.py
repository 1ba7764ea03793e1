"""CAGRA: a graph of near neighbours that a graphics card builds, and that a card or a processor searches.

Building needs FAISS with cuVS; the file is a graph of FAISS's own (IndexHNSWCagra, its base level alone), which any FAISS
opens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from nearfield.core.errors import InvalidInput, MissingDependency
from nearfield.core.metric import Metric, Vectors
from nearfield.index import storage as storages
from nearfield.index.base import Building, Effort, Index, check_whole
from nearfield.index.coarse import BUILD_BASE, ORDER_BYTES
from nearfield.index.faiss_kind import FaissKind, Trained

STORAGES = ("float32", "float16")


@dataclass(frozen=True, slots=True)
class Cagra(FaissKind):
    """A graph by CAGRA (https://arxiv.org/abs/2308.15136; FAISS GpuIndexCagra, in its file IndexHNSWCagra).

    Attributes:
        graph_degree: neighbours of each vector, even, 8 to 256; 4 bytes each and vector.
        intermediate_graph_degree: neighbours that are found before the graph is pruned to the best of them, more than
            `graph_degree`, at most 512. More: a better graph, a longer build and more memory on the card while building.
        storage: how the graph keeps vectors: "float32", or "float16", whose candidates are scored again from the raw vectors.
    """

    graph_degree: int = 64
    intermediate_graph_degree: int = 128
    storage: str = "float32"

    name: ClassVar[str] = "cagra"

    def __post_init__(self) -> None:
        check_whole(self, "graph_degree", "intermediate_graph_degree")
        if not 8 <= self.graph_degree <= 256 or self.graph_degree % 2:
            raise InvalidInput(
                "not a number of neighbours", field="graph_degree", expected="8 to 256, even", received=self.graph_degree
            )
        if not self.graph_degree < self.intermediate_graph_degree <= 512:
            raise InvalidInput(
                "not a number of neighbours to choose from",
                field="intermediate_graph_degree",
                expected=f"{self.graph_degree + 1} to 512",
                received=self.intermediate_graph_degree,
            )
        if self.storage not in STORAGES:
            raise InvalidInput("not a storage", field="storage", expected=" or ".join(STORAGES), received=self.storage)

    @property
    def recipe(self) -> str:
        """See Kind: FAISS has no name for it, so the one of the field."""
        return f"CAGRA{self.graph_degree},{storages.NAMES[self.storage]}"

    @property
    def number_bytes(self) -> int:
        """Bytes of one number of a vector."""
        return 4 if self.storage == "float32" else 2

    @property
    def refines(self) -> bool:
        """See Kind."""
        return self.storage != "float32"

    def check(self, dim: int, metric: Metric) -> None:
        """Needs a FAISS that can build it; opening what was built does not."""
        from nearfield.index import _faiss

        if not _faiss.has_cuvs():
            raise MissingDependency(
                "Cagra() is built by FAISS with cuVS on a graphics card; run: pip uninstall -y faiss-cpu faiss-gpu && "
                "pip install faiss-gpu-cuvs (one FAISS only: they install the same folder). A finished one opens with any",
                field="index",
            )

    def nbytes(self, n: int, dim: int) -> int:
        """Bytes of the index's files: vectors, neighbours, the empty upper levels that FAISS's format has, offsets, order."""
        half = self.graph_degree // 2
        each = self.number_bytes * dim + 12 + 4 * self.graph_degree + 4 * half / (half - 1) + ORDER_BYTES
        return int(n * each) + 1500

    def resident(self, n: int, dim: int, metric: Metric) -> tuple[int, int]:
        """All of the files: a graph is read all over."""
        return (self.nbytes(n, dim),) * 2

    def build_bytes(self, n: int, dim: int) -> int:
        """Peak memory of building, on the host: the vectors side by side, the graph as it comes from the card, the index."""
        return n * self.number_bytes * dim + 8 * n * self.graph_degree + self.nbytes(n, dim) + BUILD_BASE

    def training_rows(self, n: int) -> int:
        """None: the graph is built of all vectors at once."""
        return 0

    def train(self, sample: Vectors, n: int, metric: Metric, seed: int) -> Trained:
        """An empty index of FAISS's that a graph is put into: see cagra_graph."""
        from nearfield.index.cagra_graph import empty

        return Trained(empty(self, sample.shape[1], metric))

    def start(self, sample: Vectors, n: int, metric: Metric, seed: int) -> Building:
        """See Kind."""
        from nearfield.index.cagra_graph import CagraBuilding

        self.check(sample.shape[1], metric)
        return CagraBuilding(self, n, sample.shape[1], metric)

    def open(self, place: Path, metric: Metric, vectors: Vectors) -> Index:
        """See Kind."""
        from nearfield.index.cagra_graph import opened

        return opened(FaissKind.open(self, place, metric, vectors), place)

    def efforts(self, n: int) -> Sequence[Effort]:
        """EfSearch on a processor, the search width (itopk_size, in steps of 32) on a card, from 16 up."""
        steps = (16, 32, 64, 96, 128, 192, 256, 384, 512, 1024, 2048)
        return tuple(Effort(efSearch=width) for width in steps if width <= max(16, n))

    def parameters(self, effort: Effort) -> Any:
        """FAISS search parameters, of a processor."""
        from nearfield.index._faiss import faiss

        return faiss.SearchParametersHNSW(efSearch=effort.efSearch)
