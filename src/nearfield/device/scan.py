"""Exact search on a device: coded vectors are scanned, survivors scored again in float32, and the answer is proven.

A scan keeps of each group of rows the largest upper bound of a score (no score matrix is ever written), looks at the rows of
the groups with the largest, and scores the `width` rows with the largest bounds again from the float32 vectors. The k-th best
of those is at most the true k-th best; so where no other row's bound reaches it, the answer is exact. Where one does, all rows
whose bound reaches it are scored. Knows vectors, positions and bitmaps; no segment, no budget.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, Positions, Scores, Vectors, scores
from nearfield.device import _torch, blocks, kernel
from nearfield.device.codes import Asked, Codes, ask, encode
from nearfield.device.failures import DeviceFull, DeviceLost, at_work
from nearfield.device.layout import BITMAPS, GROUP, TILE, Dtype

log = logging.getLogger("nearfield.device")
Bitmap = npt.NDArray[np.uint8]
SPARE = {"float16": 22, "int8": 118}
"""Rows scored again beyond k: so many that the answer is nearly always proven by them."""
WHOLE_FROM, WHOLE_TO = 1 << 22, 256
"""Rows from which a maximum covers a whole tile and not a group, and hits up to which: fewer maxima to write and read, but more
rows to look at again. For 32 rows of dim 128 the traffic, 8 n / group + 32 x 256 x group bytes, crosses about there.
"""
AT_ONCE = 4096
"""Queries of a batch at most."""
FOLD = 32
"""Maxima that are looked at together when the largest are chosen."""
LEAST_WORK = 8 << 20
"""Bytes of workspace below which a scan gives up instead of halving it once more."""


class Passes(Protocol):
    """The two passes: plain PyTorch (blocks.py) or kernels (kernel.py)."""

    def maxima(self, codes: Codes, asked: Asked, bits: Any, group: int, room: int) -> Any:
        """See blocks.maxima."""
        ...

    def rows_of(self, codes: Codes, asked: Asked, bits: Any, groups: Any, group: int, room: int) -> Any:
        """See blocks.rows_of."""
        ...


@dataclass(slots=True)
class Survivors:
    """What remains of a scan of b queries, on the device.

    Attributes:
        positions: int64 (b, w), by falling upper bound; -1 for none.
        beyond: float32 (b,), an upper bound of the score of every other row, without the query's base.
        maxima: float32 (groups, b).
        group: rows of a group.
    """

    positions: Any
    beyond: Any
    maxima: Any
    group: int


@cache
def passes_for(device: str) -> Passes:
    """The kernels where they run on a device, tried once in each process; else plain PyTorch, which is slower."""
    if not kernel.usable(device):
        return blocks
    rng = np.random.default_rng(0)
    few, queries = rng.standard_normal((300, 24)).astype(np.float32), rng.standard_normal((20, 24)).astype(np.float32)
    try:
        codes = encode(few, Metric.L2, device)
        asked = ask(queries, codes)
        pairs = [(kernel.maxima(codes, asked, None, g), blocks.maxima(codes, asked, None, g)) for g in (GROUP, TILE)]
        right = all(bool(((one == other) | ((one - other).abs() <= 1e-2)).all()) for one, other in pairs)
    except Exception as error:  # Triton compiles now: no C compiler, no headers, a card it does not know
        if _torch.out_of_memory(error) or _torch.lost(error):
            raise
        log.warning("the kernels do not run on %s, so that plain PyTorch scans, more slowly: %s", device, error)
        return blocks
    if not right:
        log.warning("the kernels compute wrongly on %s, so that plain PyTorch scans, more slowly", device)
        return blocks
    return kernel


class Scan:
    """Vectors on one device, searched exactly. Safe to use from many threads; one search runs at a time.

    Args:
        codes: the vectors on the device.
        vectors: prepared float32 (n, dim) on the host, perhaps memory-mapped, which final scores come from; None: there are
            none, and `nearest` alone can be asked.
        workspace: bytes that a search may take on the device beyond the codes.
        passes: the two passes; by default the kernels where they run, else plain PyTorch.
        lock: held while a search works on the device: one for all scans that share its workspace.
    """

    def __init__(
        self,
        codes: Codes,
        vectors: Vectors | None,
        workspace: int = 256 << 20,
        passes: Passes | None = None,
        lock: threading.Lock | None = None,
    ) -> None:
        self._codes: Codes | None = codes
        self.device, self.dtype, self.n, self.nbytes = codes.device, codes.dtype, codes.n, codes.nbytes
        self.metric = codes.metric
        self._vectors = None if vectors is None else vectors.view(np.ndarray)
        self._workspace = workspace
        self._passes = passes or passes_for(codes.device)
        self._lock = lock or threading.Lock()
        self._bits: OrderedDict[int, tuple[weakref.ref[Bitmap], Any]] = OrderedDict()
        self.widened = 0
        """Queries so far whose survivors did not prove their answer."""

    @classmethod
    def put(
        cls,
        vectors: Any,
        metric: Metric,
        device: str,
        dtype: Dtype = "float16",
        *,
        raw: bool = False,
        workspace: int = 512 << 20,
        lock: threading.Lock | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Scan:
        """Puts prepared float32 (n, dim) vectors on a device; half of the workspace is for that, half for the searches.

        They may be a tensor, such as an embedder leaves on a card: then nothing comes from the host, or stays there.

        Raises:
            DeviceFull, DeviceLost: the device has no room, or does not work.
        """
        with at_work(device):
            codes = encode(vectors, metric, device, dtype, raw=raw, workspace=workspace // 2, progress=progress)
            return cls(codes, vectors if isinstance(vectors, np.ndarray) else None, workspace // 2, lock=lock)

    def close(self) -> None:
        """Gives the device's memory back, after the search that runs; searches after it raise DeviceFull."""
        with self._lock:
            self._codes = None
            self._bits.clear()
            _give_back(self.device)

    def search(self, queries: Vectors, k: int, allow: Bitmap | None = None) -> tuple[Scores, Positions]:
        """The k best rows for each query, exactly: the same as index.exact.search.

        Args:
            queries: prepared float32 (m, dim).
            k: how many, at least 1.
            allow: uint8 (ceil(n / 8),), little bit order: which rows may be returned; None for all.

        Returns:
            Final scores float32 (m, k) and positions int64 (m, k), best first, equal scores by position; -inf and -1 for none.

        Raises:
            DeviceFull, DeviceLost: the caller searches elsewhere.
        """
        vectors = self._vectors
        if vectors is None:
            raise ValueError("there are no vectors on the host to score by: ask `nearest`")
        values, where = np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), -1, np.int64)
        start = 0
        while start < len(queries):
            with self._lock, at_work(self.device):
                codes = self._held()
                width = min(k + SPARE[codes.dtype], codes.n)
                some = queries[start : start + self._at_once(codes, width, len(queries) - start)]
                try:
                    found = self._survivors(codes, asked := ask(some, codes), self._bitmap(codes, allow), width)
                    positions, beyond = found.positions.cpu().numpy(), (found.beyond + asked.base).cpu().numpy()
                except (RuntimeError, MemoryError) as error:
                    if not _torch.out_of_memory(error) or self._workspace < LEAST_WORK:
                        raise
                    self._workspace //= 2
                    _give_back(self.device)
                    continue
                del found, asked
            for i, query in enumerate(some):
                near = positions[i][positions[i] >= 0]
                final, best = _best(query, vectors, near, k, self.metric)
                if len(best) == k and beyond[i] >= final[-1]:
                    near = self._all_reaching(query, allow, width, float(final[-1]))
                    final, best = _best(query, vectors, near, k, self.metric)
                values[start + i, : len(best)], where[start + i, : len(best)] = final, best
            start += len(some)
        return values, where

    def nearest(self, queries: Any, k: int) -> tuple[Any, Any]:
        """As `search` where float32 vectors are on the device too, without the host: scores and positions as tensors there.

        For who works on the device; a collection's scores come from its files, by `search`.

        Queries may be a tensor on the device. Scores are float32 products; equal ones may come in any order.
        """
        torch = _torch.torch()
        with self._lock, at_work(self.device):
            codes = self._held()
            if codes.raw is None:
                raise ValueError("the float32 vectors are not on the device: put them there with raw=True")
            width = min(k + SPARE[codes.dtype], codes.n)
            step = self._at_once(codes, width, len(queries))
            found = [self._nearest(torch, codes, queries[s : s + step], k, width) for s in range(0, len(queries), step)]
            return torch.cat([values for values, _ in found]), torch.cat([where for _, where in found])

    # -- one batch

    def _all_reaching(self, query: npt.NDArray[np.float32], allow: Bitmap | None, width: int, least: float) -> Positions:
        """Ascending positions of all rows whose upper bound reaches a score, for a query whose survivors proved nothing."""
        with self._lock, at_work(self.device):
            codes = self._held()
            self.widened += 1
            asked, bits = ask(query[None], codes), self._bitmap(codes, allow)
            return self._reaching(codes, asked, bits, self._survivors(codes, asked, bits, width), 0, least)

    def _nearest(self, torch: Any, codes: Codes, queries: Any, k: int, width: int) -> tuple[Any, Any]:
        asked = ask(queries, codes)
        found = self._survivors(codes, asked, None, width)
        values = _rescored(torch, codes, asked, found.positions)
        k = min(k, codes.n)
        best, order = values.topk(k, dim=1)
        where = found.positions.gather(1, order)
        doubtful = (found.beyond + asked.base >= best[:, -1] - _noise(codes, asked)).nonzero()[:, 0].tolist()
        self.widened += len(doubtful)
        for i in doubtful:
            one = asked.part(i, i + 1)
            least = float(best[i, -1] - _noise(codes, one)[0])
            more = torch.from_numpy(self._reaching(codes, one, None, found, i, least))[None].to(codes.device)
            values = _rescored(torch, codes, one, more)
            best[i], order = (t[0] for t in values.topk(k, dim=1))
            where[i] = more[0, order]
        return best, where

    def _survivors(self, codes: Codes, asked: Asked, bits: Any, width: int) -> Survivors:
        """The `width` rows with the largest upper bounds."""
        torch = _torch.torch()
        group = _group(codes, width)
        maxima = self._passes.maxima(codes, asked, bits, group, self._workspace // 2)
        groups, least = _largest(torch, maxima, min(width, len(maxima)))
        bounds = self._passes.rows_of(codes, asked, bits, groups, group, self._workspace // 2)
        values, at = bounds.topk(width, dim=1)
        rows = (groups[:, :, None] * group + torch.arange(group, device=codes.device)).flatten(1)
        positions = torch.where(values > float("-inf"), rows.gather(1, at), -1)
        if width == codes.n:
            beyond = torch.full_like(least, float("-inf"))
        else:
            beyond = torch.maximum(values[:, -1], least) if len(maxima) > width else values[:, -1]
        return Survivors(positions, beyond, maxima, group)

    def _reaching(self, codes: Codes, one: Asked, bits: Any, found: Survivors, i: int, least: float) -> Positions:
        """Ascending positions of all rows whose upper bound reaches a score."""
        least = float(np.nextafter(np.float32(least - float(one.base[0])), np.float32(-np.inf)))
        groups = (found.maxima[:, i] >= least).nonzero()[:, 0]
        step = max(1, self._workspace // (4 * found.group * 16))
        parts = []
        for start in range(0, len(groups), step):
            some = groups[None, start : start + step]
            bounds = self._passes.rows_of(codes, one, bits, some, found.group, self._workspace // 2)[0]
            at = (bounds >= least).nonzero()[:, 0]
            parts.append((some[0, at // found.group] * found.group + at % found.group).cpu().numpy())
        return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)

    # -- what it keeps

    def _held(self) -> Codes:
        if self._codes is None:
            raise DeviceFull("the vectors were moved off the device")
        return self._codes

    def _at_once(self, codes: Codes, width: int, m: int) -> int:
        """Queries of the next batch, by what each takes of the workspace: of m that remain an even part, in whole tiles."""
        group = _group(codes, width)
        groups = codes.rows // group
        looked = min(width, groups) * group
        near = min(width, groups)
        each = 4 * groups  # the maxima
        each += (
            8 * groups // FOLD + 8 * near * FOLD
        )  # the largest of each fold, and the folds that are looked at: values and places
        each += 28 * looked  # rows of the groups looked at: bounds, sorted bounds and their places, positions
        each += 16 * codes.dim  # the query, as it came, scaled, and halved
        each += 4 * width * codes.dim if codes.raw is not None else 0  # vectors scored again there
        most = max(1, min(AT_ONCE, self._workspace // each))
        if most >= TILE:
            most -= most % TILE
        even = -(-m // -(-m // most))
        return min(most, -(-even // TILE) * TILE if even > TILE else even)

    def _bitmap(self, codes: Codes, allow: Bitmap | None) -> Any:
        """The bitmap on the device, padded to whole tiles; remembered while the caller keeps the array."""
        if allow is None:
            return None
        known = self._bits.get(id(allow))
        if known is not None and known[0]() is allow:
            self._bits.move_to_end(id(allow))
            return known[1]
        torch = _torch.torch()
        while len(self._bits) >= BITMAPS:
            self._bits.popitem(last=False)
        whole = np.zeros(codes.rows // 8, np.uint8)
        whole[: len(allow)] = allow
        sent = torch.from_numpy(whole).to(codes.device)
        self._bits[id(allow)] = weakref.ref(allow), sent
        return sent


def _give_back(device: str) -> None:
    """Gives memory that PyTorch keeps for later back to the card; one that is lost has none to give."""
    if device.startswith("cuda"):
        with contextlib.suppress(RuntimeError), at_work(device):
            _torch.torch().cuda.empty_cache()


def _group(codes: Codes, width: int) -> int:
    """Rows that share a maximum, where `width` rows are scored again."""
    return TILE if codes.n >= WHOLE_FROM and width <= WHOLE_TO + SPARE[codes.dtype] else GROUP


def _best(
    query: npt.NDArray[np.float32], vectors: Vectors, where: Positions, k: int, metric: Metric
) -> tuple[Scores, Positions]:
    """Final scores and positions of the k best of some rows, best first."""
    final = scores(query, vectors[where], metric)
    order = np.lexsort((where, -final))[:k]
    return final[order], where[order]


def _largest(torch: Any, maxima: Any, count: int) -> tuple[Any, Any]:
    """The groups (b, count) with the largest maxima, and the least of those maxima (b,). Folds of them are looked at first."""
    groups, batch = (int(s) for s in maxima.shape)
    if groups <= 4 * FOLD or count * FOLD >= groups:
        values, where = maxima.T.topk(count, dim=1)
        return where, values[:, -1]
    whole = groups // FOLD * FOLD
    folded = maxima[:whole].view(-1, FOLD, batch).amax(dim=1).T
    folds = folded.topk(min(count, folded.shape[1]), dim=1).indices
    near = (folds[:, :, None] * FOLD + torch.arange(FOLD, device=maxima.device)).flatten(1)
    if whole < groups:
        rest = torch.arange(whole, groups, device=maxima.device).expand(batch, -1)
        near = torch.cat([near, rest], dim=1)
    values, at = maxima.T.gather(1, near).topk(count, dim=1)
    return near.gather(1, at), values[:, -1]


def _noise(codes: Codes, asked: Asked) -> Any:
    """How far float32 scores on the device may be from true ones, (b,): a sum of dim products, and of squares under l2."""
    sizes = asked.exact.norm(dim=1)
    longest = codes.reach * 1.01
    reach = (sizes + longest).square() if codes.metric is Metric.L2 else sizes * longest
    return reach * ((codes.dim + 8) * 2.0**-24)


def _rescored(torch: Any, codes: Codes, asked: Asked, positions: Any) -> Any:
    """Float32 scores (b, w) of positions by the vectors on the device: direct products or differences; -inf for none."""
    rows = codes.raw[positions.clamp(min=0)]
    if codes.metric is Metric.L2:
        values = -(rows - asked.exact[:, None, :]).square().sum(dim=2)
    else:
        values = (rows * asked.exact[:, None, :]).sum(dim=2)
    return torch.where(positions >= 0, values, float("-inf"))


__all__ = ["DeviceFull", "DeviceLost", "Passes", "Scan", "passes_for"]
