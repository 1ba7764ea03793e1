"""A finished index on a graphics card, usable where an Index is: the same lists and codes, the same order, the same scores.

The card ranks; filters, order and scoring from the raw vectors are Ranking's, on the host. What a card cannot be asked (see
limits.py), and what it fails at, the index on the processor answers; how often, and why, is counted.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections import Counter
from typing import Any

import numpy as np

from nearfield.core.config import format_size
from nearfield.core.errors import Closed
from nearfield.core.metric import Positions, Scores, Vectors
from nearfield.device import _torch
from nearfield.device.scan import DeviceFull, DeviceLost
from nearfield.index import _faiss
from nearfield.index.base import Allow, Effort, Found, depth
from nearfield.index.cagra import Cagra
from nearfield.index.gpu import limits, match, sizes
from nearfield.index.gpu.clone import clone
from nearfield.index.gpu.limits import Options
from nearfield.index.gpu.owner import Held, Owner
from nearfield.index.probe import Probe
from nearfield.index.ranking import Ranking
from nearfield.index.wrapper import FaissIndex

log = logging.getLogger("nearfield.index")
CARD = "card"
FAILURES = (DeviceLost, DeviceFull, Closed, RuntimeError)
"""What a card may answer with instead of candidates; FAISS's own errors are RuntimeErrors."""


class GpuIndex(Ranking):
    """A clone of an opened index on a card.

    Args:
        index: the index on the processor, which stays open: it answers what the card cannot.
        owner: the card's thread.
        room: bytes that the clone may take on the card; None: whatever is free.

    Raises:
        Unsuited: the index cannot be on a card; the message says why.
        DeviceFull: it takes more than `room`, or than the card has.
        DeviceLost: the card does not work any more in this process.
    """

    def __init__(self, index: FaissIndex, owner: Owner, room: int | None = None) -> None:
        self._cpu, self._owner, self._parts = index, owner, index.parts
        parts = self._parts
        n, dim = int(parts.index.ntotal), parts.vectors.shape[1]
        super().__init__(parts.metric, parts.vectors, n, parts.order, parts.kind.refines)
        options = limits.choose(parts.kind, n, dim, parts.metric, _faiss.has_cuvs())
        if isinstance(options, str):
            raise Unsuited(options)
        self.options = options
        self.device_bytes = predicted(index, options)
        if room is not None and self.device_bytes > room:
            raise DeviceFull(
                f"{parts.kind.recipe} of {n:,} vectors takes {format_size(self.device_bytes)} on the card, "
                f"{format_size(self.device_bytes - room)} more than the {format_size(room)} kept for it"
            )
        self._by_distance = parts.index.metric_type == _faiss.faiss.METRIC_L2
        self.answered: Counter[str] = Counter()
        self._lock = threading.Lock()
        try:
            self._number = owner.make(lambda held: clone(held, parts.index, parts.kind, options))
        except (RuntimeError, MemoryError) as error:
            if _torch.out_of_memory(error):
                raise DeviceFull(f"the card has no room for {format_size(self.device_bytes)} ({str(error)[:200]})") from error
            raise
        self._drop = weakref.finalize(self, owner.drop, self._number)
        self._widths = match.widths(index, self._ask_graph) if isinstance(parts.kind, Cagra) else {}

    def close(self) -> None:
        """Lets go of the clone; what is asked after that the processor answers."""
        self._drop()

    def search(self, queries: Vectors, k: int, effort: Effort, allow: Allow | None = None) -> Found:
        """See Index.search."""
        width = depth(k, effort, 1.0 if allow is None else allow.share, self._n)
        if self._may_ask(width, effort):
            try:
                found = super().search(queries, k, effort, allow)
                self._count(CARD)
                return found
            except FAILURES as error:
                self._failed(error)
        return self._cpu.search(queries, k, effort, allow)

    def candidates(self, queries: Vectors, width: int, effort: Effort) -> Positions:
        """See Index.candidates."""
        if self._may_ask(min(width, self._n), effort):
            try:
                found = super().candidates(queries, width, effort)
                self._count(CARD)
                return found
            except FAILURES as error:
                self._failed(error)
        return self._cpu.candidates(queries, width, effort)

    def probe(self, query: Vectors, position: int, effort: Effort) -> Probe:
        """What the same index on the processor makes of a vector: see Probe."""
        return self._cpu.probe(query, position, effort)

    @property
    def resident_bytes(self) -> int:
        """See Index.resident_bytes: of the index on the processor, which stays."""
        return self._cpu.resident_bytes

    @property
    def lost(self) -> str | None:
        """Why the card does not work any more in this process; None while it does."""
        return self._owner.lost

    @property
    def by_processor(self) -> int:
        """Searches that the index on the processor answered; `answered` has them by reason."""
        with self._lock:
            return sum(count for why, count in self.answered.items() if why != CARD)

    def _may_ask(self, width: int, effort: Effort) -> bool:
        reason = limits.search_problem(self._parts.kind, width, effort, self.options.use_cuvs)
        if not reason and isinstance(self._parts.kind, Cagra) and effort.efSearch not in self._widths:
            reason = f"the card's answers were not matched at efSearch={effort.efSearch}"
        if reason:
            self._count(reason)
        return not reason

    def _failed(self, error: BaseException) -> None:
        """Counts a search that the card should have answered; each reason is logged once."""
        why = "the clone was let go of" if isinstance(error, Closed) else f"{type(error).__name__}: {str(error)[:100]}"
        if why not in self.answered and not isinstance(error, (Closed, DeviceLost)):
            log.warning("cuda:%d did not answer, the processor does: %s", self._owner.device, why)
        self._count(why)

    def _count(self, why: str) -> None:
        with self._lock:
            self.answered[why if why in self.answered or len(self.answered) < 100 else "other"] += 1

    def _ranked(self, queries: Vectors, width: int, effort: Effort) -> tuple[Scores, Positions]:
        """See Ranking._ranked."""
        if isinstance(self._parts.kind, Cagra):
            return self._ask_graph(queries, width, max(self._widths[effort.efSearch], width))
        coded = queries if self._parts.codec is None else self._parts.codec.encode(queries)
        return self._ask(coded, width, self._of_processor(effort))

    def _ask_graph(self, queries: Vectors, width: int, itopk: int) -> tuple[Scores, Positions]:
        """The graph's candidates on the card, at a search width of cuVS's."""
        step = limits.CAGRA_STEP
        parameters = _faiss.faiss.SearchParametersCagra()
        parameters.itopk_size = -(-max(itopk, width) // step) * step
        return self._ask(queries, width, parameters)

    def _of_processor(self, effort: Effort) -> Any:
        """FAISS's search parameters of lists; behind a transform, what they are without it: the host transforms."""
        if not effort.nprobe:
            return self._parts.kind.parameters(effort)
        lists = int(_faiss.untransformed(self._parts.index)[1].nlist)
        return _faiss.faiss.SearchParametersIVF(nprobe=min(effort.nprobe, lists))

    def _ask(self, queries: Vectors, width: int, parameters: Any) -> tuple[Scores, Positions]:
        """What the card ranks."""
        chain, _ = _faiss.untransformed(self._parts.index)
        for transform in chain:
            queries = transform.apply(queries)
        m = len(queries)
        half = isinstance(self._parts.kind, Cagra) and self._parts.kind.storage == "float16"
        queries = np.ascontiguousarray(queries, np.float16 if half else np.float32)
        distances, labels = np.empty((m, width), np.float32), np.empty((m, width), np.int64)

        def ask(held: Held) -> None:
            pointer, index = _faiss.faiss.swig_ptr, held.kept.get(self._number)
            if index is None:
                raise Closed("the clone on the card was let go of")
            if half:
                kind = _faiss.faiss.Float16
                index.search_ex(m, pointer(queries), kind, width, pointer(distances), pointer(labels), parameters)
            else:
                index.search_c(m, pointer(queries), width, pointer(distances), pointer(labels), parameters)

        try:
            self._owner.call(ask)
        except (RuntimeError, MemoryError) as error:
            if _torch.out_of_memory(error):
                raise DeviceFull(str(error)[:200]) from error
            raise
        if self._by_distance:
            np.negative(distances, out=distances)
        labels[(labels < 0) | (labels >= self._n)] = -1
        return distances, self._positions(labels)


class Unsuited(Exception):
    """An index that cannot be on a card; the message says why."""


def predicted(index: FaissIndex, options: Options) -> int:
    """Bytes that an opened index takes on a card: exact, from the sizes of its lists."""
    parts = index.parts
    n, dim = int(parts.index.ntotal), parts.vectors.shape[1]
    return sizes.on_card(parts.kind, n, dim, parts.metric, options, _faiss.list_sizes(parts.index))[1]
