"""Vectors made on a device from a seed, block by block: the same rows whenever and in whatever pieces they are asked for.

A row is the centre of one of many clusters and what lies around it. Clusters lie around fewer centres of their own; their sizes
differ by Zipf's law. In each cluster a row spreads in all directions, by a strength that falls from one direction to the next,
in another order in each cluster: as in descriptors of pictures, what is near depends on where one is, and few numbers say most
of it. `python -m benchmarks.gpu.generator` compares how hard it is for lists with SIFT. Knows tensors; no index, no file.

A seed gives the same rows on devices of one kind: PyTorch's generators of the processor and of cards differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

BLOCK = 1 << 18
"""Rows that are made at once: a seed of their own, so that any block can be made alone."""
SHAPE, ROWS, QUERIES = 0, 1, 2
"""What a seed is drawn for."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How rows are made.

    Attributes:
        dim: numbers of a row.
        clusters: how many.
        families: centres that clusters lie around.
        apart: length of the way from a family to its cluster, from the middle to a family as 1.
        around: the same from a cluster to its rows, on average.
        falls: the strength of direction i is 1 / (1 + i) ** falls.
        uneven: the share of cluster i is about 1 / (1 + i) ** uneven.
        unit: rows are brought to unit length.
    """

    dim: int
    clusters: int = 1 << 16
    families: int = 256
    apart: float = 0.9
    around: float = 1.3
    falls: float = 0.7
    uneven: float = 0.3
    unit: bool = False


class Made:
    """n rows on a device that are made when they are looked at: `made[start:stop]` is a float32 tensor there.

    Args:
        n: rows.
        recipe: how they are made.
        device: as PyTorch names it.
        seed: of everything random.
        what: ROWS or QUERIES: two draws of the same distribution.
    """

    def __init__(self, n: int, recipe: Recipe, device: str, seed: int, what: int = ROWS) -> None:
        self.shape, self.device, self._recipe, self._seed, self._what = (n, recipe.dim), device, recipe, seed, what
        self._held: tuple[int, Any] = (-1, None)
        draw = self._random(SHAPE, 0)
        families = _directions(recipe.families, recipe, draw, device)
        of = torch.randint(recipe.families, (recipe.clusters,), generator=draw, device=device)
        self._centres = families[of] + recipe.apart * _directions(recipe.clusters, recipe, draw, device)
        strength = _strength(recipe, device)
        order = torch.rand((recipe.clusters, recipe.dim), generator=draw, device=device).argsort(dim=1)
        self._strength = recipe.around * strength[order]
        turned = torch.randn((recipe.dim, recipe.dim), generator=draw, device=device)
        self._turn = torch.linalg.qr(turned)[0].contiguous()
        shares = (1.0 + torch.arange(recipe.clusters, device=device, dtype=torch.float64)) ** -recipe.uneven
        self._edges = (shares / shares.sum()).cumsum(0)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, where: slice) -> Any:
        """Rows as a float32 tensor (stop - start, dim); the last block is kept, since the next slice often begins in it."""
        start, stop, step = where.indices(self.shape[0])
        if step != 1:
            raise ValueError("rows are made in order, without leaving any out")
        parts = []
        for block in range(start // BLOCK, -(-stop // BLOCK)):
            rows = self._block(block)
            parts.append(rows[max(0, start - block * BLOCK) : stop - block * BLOCK])
        if not parts:
            return torch.empty((0, self.shape[1]), device=self.device)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def whole(self) -> Any:
        """All rows, float32 (n, dim)."""
        return self[0 : len(self)]

    def _block(self, number: int) -> Any:
        if self._held[0] != number:
            draw = self._random(self._what, number)
            count = min(BLOCK, self.shape[0] - number * BLOCK)
            drawn = torch.rand(BLOCK, generator=draw, device=self.device, dtype=torch.float64)
            of = torch.searchsorted(self._edges, drawn).clamp_(max=self._recipe.clusters - 1)
            rows = torch.randn((BLOCK, self.shape[1]), generator=draw, device=self.device)
            rows = rows[:count].mul_(self._strength[of[:count]]).add_(self._centres[of[:count]]) @ self._turn
            self._held = number, torch.nn.functional.normalize(rows, dim=1) if self._recipe.unit else rows
        return self._held[1]

    def _random(self, what: int, number: int) -> Any:
        return torch.Generator(self.device).manual_seed((self._seed * 3 + what) * 1_000_003 + number)


def _strength(recipe: Recipe, device: str) -> Any:
    """Float32 (dim,), of unit length: how far rows spread in each direction."""
    falling = (1.0 + torch.arange(recipe.dim, device=device, dtype=torch.float32)) ** -recipe.falls
    return falling / falling.norm()


def _directions(count: int, recipe: Recipe, draw: Any, device: str) -> Any:
    """Float32 (count, dim), of length about 1, spread alike in all directions but for the falling strength."""
    return torch.randn((count, recipe.dim), generator=draw, device=device) * _strength(recipe, device)
