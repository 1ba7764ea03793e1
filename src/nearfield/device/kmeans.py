"""Lloyd's k-means in PyTorch, on any device. Knows rows of numbers; no index, no file.

As FAISS's (faiss/Clustering.cpp): random rows to start from, a fixed number of rounds, an empty cluster takes half of another.
Scores are made tile by tile, so that the matrix of rows x centroids is never there; a tile that finds no room is halved.
Sums are float32; on a card their order is not fixed, so that two runs agree up to rounding only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Vectors
from nearfield.device import _torch, cards

WORKSPACE = 256 << 20
"""Bytes of scores that are there at one time."""
WIDEST = 16_384
"""Centroids in a tile: more are gone through part by part, so that a tile keeps enough rows for the product to be quick."""
SHIFT = 1 / 1024
"""Two halves of a split cluster lie apart by so much of each number, up and down in turn; as in FAISS."""

Progress = Callable[[int, int], None]
"""Called with (rounds done, rounds in all)."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """What k-means found.

    Attributes:
        centroids: float32 (k, dim), C order, on the host.
        objective: of each round's assignment, before its centroids moved: the sum of squared distances (falls), or under
            `by_product` of inner products (higher is better).
        splits: clusters that were empty, over all rounds.
    """

    centroids: Vectors
    objective: tuple[float, ...]
    splits: int


def kmeans(
    rows: Any,
    k: int,
    *,
    rounds: int = 10,
    by_product: bool = False,
    spherical: bool = False,
    seed: int = 0,
    device: str = "cpu",
    initial: Vectors | None = None,
    workspace: int = WORKSPACE,
    progress: Progress | None = None,
) -> Clusters:
    """Centroids of rows.

    Args:
        rows: float32 (n, dim), NumPy or a PyTorch tensor on any device. Rows on another device are sent over at once where
            they take at most half of what is free there, and otherwise tile by tile in each round.
        k: how many centroids, 1 to n.
        rounds: of assigning and moving, at least 1.
        by_product: assign a row to the centroid of the highest inner product; by default to the one of least distance.
        spherical: centroids are brought to unit length in each round.
        seed: of the rows to start from and of the splits.
        device: as PyTorch names it.
        initial: float32 (k, dim) to start from; by default k rows drawn at random.
        workspace: bytes of scores that are there at one time.
        progress: called after each round.

    Raises:
        InvalidInput: k is not 1 to n, rounds is not positive, `initial` has another shape, or rows are not finite.
        MissingDependency: PyTorch is not installed.
        RuntimeError: PyTorch's own, where the device is lost, or has no room for the centroids or for the smallest tile.
    """
    torch = _torch.torch()
    n, dim = rows.shape
    if isinstance(k, bool) or not 1 <= k <= n:
        raise InvalidInput("not a number of clusters", field="k", expected=f"1 to {n}, the number of rows", received=k)
    if rounds < 1:
        raise InvalidInput("not a number of rounds", field="rounds", expected="at least 1", received=rounds)
    if initial is not None and initial.shape != (k, dim):
        raise InvalidInput("not centroids to start from", field="initial", expected=f"({k}, {dim})", received=initial.shape)
    with torch.inference_mode():
        source = _Source(torch, rows, device)
        if k == n and initial is None:
            found = _copied(torch, source, by_product, spherical)
        else:
            rng = np.random.default_rng(seed)
            first = source.some(rng.choice(n, k, replace=False)) if initial is None else initial
            found = _lloyd(torch, source, first, rounds, by_product, spherical, rng, workspace, progress)
        del source
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    return found


def _copied(torch: Any, source: _Source, by_product: bool, spherical: bool) -> Clusters:
    """Every row its own cluster: nothing to find out."""
    rows = source.block(0, len(source))
    centroids = _adjusted(torch, rows, spherical)
    products = float((rows * centroids).sum(dtype=torch.float64).item())
    _check(products)
    distances = float((rows - centroids).square().sum(dtype=torch.float64).item())
    return Clusters(_host(centroids), (products if by_product else distances,), 0)


def _lloyd(
    torch: Any,
    source: _Source,
    first: Any,
    rounds: int,
    by_product: bool,
    spherical: bool,
    rng: np.random.Generator,
    workspace: int,
    progress: Progress | None,
) -> Clusters:
    """Rounds of assigning and moving, from `first`."""
    centroids = _adjusted(torch, source.sent(first), spherical)
    tile = _Tile.of(len(centroids), centroids.shape[1], workspace)
    objective: list[float] = []
    splits = 0
    for number in range(rounds):
        found = _assign(torch, source, centroids, by_product, tile)
        _check(found.objective)
        objective.append(found.objective)
        tile = found.tile
        centroids = found.sums.div_(found.counts.clamp(min=1).unsqueeze(1))
        splits += _split(torch, centroids, found.counts.cpu().numpy(), rng)
        centroids = _adjusted(torch, centroids, spherical)
        if progress is not None:
            progress(number + 1, rounds)
    return Clusters(_host(centroids), tuple(objective), splits)


def _check(objective: float) -> None:
    if not np.isfinite(objective):
        raise InvalidInput("rows or their distances are not finite numbers", field="rows", expected="finite float32")


def _host(centroids: Any) -> Vectors:
    return np.array(centroids.cpu().numpy(), np.float32, order="C")


@dataclass(frozen=True, slots=True)
class _Tile:
    """Rows and centroids that are compared at one time."""

    rows: int
    width: int

    @classmethod
    def of(cls, k: int, dim: int, workspace: int) -> _Tile:
        width = max(1, min(k, WIDEST, workspace // 4))
        return cls(max(1, workspace // (4 * max(width, dim))), width)

    def halved(self) -> _Tile:
        return _Tile(self.rows // 2, self.width) if self.rows > 1 else _Tile(1, max(1, self.width // 2))

    @property
    def smallest(self) -> bool:
        return self.rows == 1 and self.width == 1


@dataclass(frozen=True, slots=True)
class _Round:
    """One assignment: sums float32 (k, dim) and counts int64 (k,) of each cluster's rows, on the device."""

    sums: Any
    counts: Any
    objective: float
    tile: _Tile


class _Source:
    """Rows, block by block on the device: all are there from the start where they fit."""

    def __init__(self, torch: Any, rows: Any, device: str) -> None:
        self._torch, self._device, self._rows = torch, device, rows
        array = isinstance(rows, np.ndarray)
        if device == "cpu":
            if array and rows.flags.writeable and rows.flags.c_contiguous and rows.dtype == np.float32:
                self._rows = torch.from_numpy(rows)
        elif array or rows.device != torch.device(device):
            if 4 * rows.shape[0] * rows.shape[1] > cards.free_bytes(device) // 2:
                return
            try:
                self._rows = self.sent(rows)
            except Exception as error:
                if not _torch.out_of_memory(error):
                    raise

    def __len__(self) -> int:
        return int(self._rows.shape[0])

    def sent(self, rows: Any) -> Any:
        """Rows as float32 on the device. Of an array a copy is made first: it may be read-only, which PyTorch's are not."""
        if isinstance(rows, np.ndarray):
            rows = self._torch.from_numpy(np.array(rows, np.float32, order="C"))
        return rows.to(self._device, self._torch.float32)

    def block(self, start: int, stop: int) -> Any:
        """Rows as float32 (stop - start, dim) on the device."""
        return self.sent(self._rows[start:stop])

    def some(self, which: npt.NDArray[np.int64]) -> Any:
        """The rows at positions, wherever they are."""
        if isinstance(self._rows, np.ndarray):
            return np.ascontiguousarray(self._rows[which], np.float32)
        return self._rows[self._torch.from_numpy(which).to(self._rows.device)]


def _assign(torch: Any, source: _Source, centroids: Any, by_product: bool, tile: _Tile) -> _Round:
    """Sums and counts of the rows nearest to each centroid. A tile that finds no room is halved and tried again."""
    k = len(centroids)
    bias = None if by_product else (centroids * centroids).sum(1).mul_(-0.5)
    sums, counts = torch.zeros_like(centroids), torch.zeros(k, dtype=torch.int64, device=centroids.device)
    total = torch.zeros((), dtype=torch.float64, device=centroids.device)
    start = 0
    while start < len(source):
        stop = min(len(source), start + tile.rows)
        try:
            rows = source.block(start, stop)
            nearest, scores = _nearest(torch, rows, centroids, bias, tile.width)
            gain = scores if by_product else (rows - centroids[nearest]).square_().sum(1)
            gain, ones = gain.sum(dtype=torch.float64), torch.ones_like(nearest)
        except Exception as error:
            if tile.smallest or not _torch.out_of_memory(error):
                raise
            tile = _Tile(stop - start, tile.width).halved()
            continue
        total += gain
        sums.index_add_(0, nearest, rows)
        counts.index_add_(0, nearest, ones)
        start = stop
    return _Round(sums, counts, float(total.item()), tile)


def _nearest(torch: Any, rows: Any, centroids: Any, bias: Any, width: int) -> tuple[Any, Any]:
    """The best centroid of each row, int64 (n,), and its score: the product, less half of the centroid's squared length.

    That is half of the squared distance, turned, but for what is the same for all centroids of a row.
    """
    best = where = None
    for start in range(0, len(centroids), width):
        some = centroids[start : start + width]
        scores = rows @ some.T if bias is None else torch.addmm(bias[start : start + width], rows, some.T)
        value, at = scores.max(dim=1)
        if best is None:
            best, where = value, at
        else:
            better = value > best
            best, where = torch.where(better, value, best), torch.where(better, at + start, where)
    return where, best


def _split(torch: Any, centroids: Any, counts: npt.NDArray[np.int64], rng: np.random.Generator) -> int:
    """Gives each empty cluster half of another, drawn by size; returns how many there were.

    Clusters are split in passes, each cluster once in a pass. There is one to split as long as one is empty: rows are at
    least as many as clusters.
    """
    sizes = counts.astype(np.float64)
    empty = np.flatnonzero(counts == 0)
    turn = torch.where(torch.arange(centroids.shape[1], device=centroids.device) % 2 == 0, SHIFT, -SHIFT)
    left = empty
    while len(left):
        weights = np.maximum(sizes - 1, 0)
        take = min(len(left), int((weights > 0).sum()))
        donors = rng.choice(len(sizes), take, replace=False, p=weights / weights.sum())
        now, left = left[:take], left[take:]
        sizes[now] = sizes[donors] / 2
        sizes[donors] -= sizes[now]
        to, of = (torch.from_numpy(part).to(centroids.device) for part in (now, donors))
        centroids[to] = centroids[of] * (1 + turn)
        centroids[of] = centroids[of] * (1 - turn)
    return len(empty)


def _adjusted(torch: Any, centroids: Any, spherical: bool) -> Any:
    """The centroids, at unit length if asked for; one of zeros stays."""
    return torch.nn.functional.normalize(centroids, dim=1, eps=1e-30) if spherical else centroids
