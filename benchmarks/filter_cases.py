"""The filters that `filters` measures: data sets with metadata columns, and kinds of filters over them.

Knows filters and which rows they allow; nothing is searched or timed here.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from benchmarks.common import DATA, SEED, minilm, sift

K, CLUSTERS = 10, 64
GROUPS = 3
"""Filters of a case that are repeated, where filters belong to queries."""
LEAST_ROWS = 30_000
"""Fewer rows get no index."""
SHARES = {"half": 0.5, "a tenth": 0.1, "a hundredth": 0.01, "a thousandth": 0.001}

Filter = dict[str, Any]
Made = tuple[Filter, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A kind of filter: `make(anchor, number)` is another filter for each number; `groups` are the queries of each anchor."""

    name: str
    make: Callable[[Any, int], Made]
    groups: dict[Any, list[int]]
    against: bool = False
    asked: Iterator[int] = field(default_factory=count)

    def new(self, anchor: Any) -> Made:
        """A filter that was not asked for before, and the rows it allows."""
        return self.make(anchor, next(self.asked))

    def pairs(self, most: int) -> list[tuple[int, Any]]:
        """(query, anchor) of up to `most` queries, as they come."""
        return sorted((i, anchor) for anchor, queries in self.groups.items() for i in queries)[:most]

    def largest(self) -> list[tuple[Any, list[int]]]:
        """The anchors with the most queries."""
        return sorted(self.groups.items(), key=lambda g: -len(g[1]))[:GROUPS]


@dataclass(frozen=True)
class Data:
    """Vectors, queries, metadata columns, and the score of every row for every query: higher is better."""

    name: str
    metric: str
    x: np.ndarray
    queries: np.ndarray
    columns: dict[str, Any]
    scores: np.ndarray

    def least(self, query: int, mask: np.ndarray) -> tuple[float, int]:
        """The score that the k best allowed rows reach, a little less for rounding, and how many there should be."""
        allowed = self.scores[query][mask]
        if not len(allowed):
            return np.inf, 0
        k = min(K, len(allowed))
        worst = float(np.partition(allowed, len(allowed) - k)[len(allowed) - k])
        return worst - 1e-5 * max(1.0, abs(worst)), k


def with_sift(scale: float) -> tuple[Data, list[Case]]:
    x, queries = sift()
    x, queries = x[_some(len(x), scale)], queries[::5]
    scores = 2 * queries @ x.T - np.einsum("ij,ij->i", x, x) - np.einsum("ij,ij->i", queries, queries)[:, None]
    data = Data("SIFT", "l2", x, queries, _columns(len(x)), scores)
    return data, _cases(data)


def with_minilm(scale: float) -> tuple[Data, list[Case]]:
    x, queries = minilm()
    chosen = _some(len(x), scale)
    x, queries, words = x[chosen], queries[::5], _words(chosen)
    columns = _columns(len(x)) | {name: np.array([w[name] for w in words]) for name in ("lexname", "pos")}
    data = Data("MiniLM", "cosine", x, queries, columns, queries @ x.T)
    nearest = data.scores.argmax(1)
    lexname, pos = columns["lexname"], columns["pos"]

    def same(anchor: str, number: int) -> Made:
        return {"lexname": {"$in": [anchor, f"none-{number}"]}}, lexname == anchor

    def other(anchor: str, number: int) -> Made:
        return {"pos": {"$in": [anchor, f"none-{number}"]}}, pos == anchor

    nouns = np.flatnonzero(pos[nearest] == "noun").tolist()
    return data, [
        *_cases(data),
        Case("own lexname", same, _grouped(lexname[nearest].tolist())),
        Case("adverbs, asked by nouns", other, {"adv": nouns}, against=True),
    ]


def _some(n: int, scale: float) -> np.ndarray:
    """Rows evenly spread: the order of a data set may mean something."""
    return np.unique(np.linspace(0, n - 1, max(LEAST_ROWS, int(n * scale))).astype(int))


def _words(chosen: np.ndarray) -> list[dict[str, Any]]:
    with gzip.open(DATA / "wordnet.jsonl.gz", "rt") as file:
        found = [json.loads(line) for line in file]
    return [found[i] for i in np.load(DATA / "minilm_base_rows.npy")[chosen]]


def _columns(n: int) -> dict[str, Any]:
    """`lot`: 0 to n - 1 in random order; `name`: each row's own; `group`: of about ten rows."""
    rng = np.random.default_rng(SEED)
    groups = rng.integers(0, max(1, n // 10), n)
    return {"lot": rng.permutation(n), "name": [f"name-{i:07d}" for i in range(n)], "group": [f"group-{g:06d}" for g in groups]}


def _grouped(anchors: Sequence[Any]) -> dict[Any, list[int]]:
    out: dict[Any, list[int]] = {}
    for i, anchor in enumerate(anchors):
        out.setdefault(anchor, []).append(i)
    return out


def _cases(data: Data) -> list[Case]:
    """The filters of both data sets; adds the column `cluster`."""
    import faiss

    n, lot = len(data.x), data.columns["lot"]
    group = np.array(data.columns["group"])
    means = faiss.Kmeans(data.x.shape[1], CLUSTERS, seed=1, niter=10)
    means.train(data.x)
    cluster = means.index.search(data.x, 1)[1][:, 0]
    data.columns["cluster"] = cluster
    order = np.argsort(((means.centroids[:, None] - means.centroids[None]) ** 2).sum(2), axis=1)
    sizes = np.bincount(cluster, minlength=CLUSTERS)
    of_query = _grouped(means.index.search(data.queries, 1)[1][:, 0].tolist())
    everyone = {0: list(range(len(data.queries)))}

    def share_of(share: float) -> Callable[[Any, int], Made]:
        def make(_: Any, number: int) -> Made:
            wide = max(1, round(n * share))
            start = int(np.random.default_rng([SEED, wide, number]).integers(0, n - wide))
            return {"lot": {"$gte": start, "$lt": start + wide}}, (lot >= start) & (lot < start + wide)

        return make

    def names(_: Any, number: int) -> Made:
        chosen = np.random.default_rng([SEED, number]).choice(n, min(10_000, n // 10), replace=False)
        mask = np.zeros(n, np.bool_)
        mask[chosen] = True
        return {"name": {"$in": [f"name-{i:07d}" for i in chosen]}}, mask

    def alternatives(_: Any, number: int) -> Made:
        rng, wide, mask = np.random.default_rng([SEED, number]), n // 400, np.zeros(n, np.bool_)
        parts: list[Filter] = []
        for start, g in zip(rng.integers(0, n - wide, 20).tolist(), rng.choice(group, 20).tolist(), strict=True):
            parts += [{"lot": {"$gte": start, "$lt": start + wide}}, {"group": g}]
            mask |= ((lot >= start) & (lot < start + wide)) | (group == g)
        return {"$or": parts}, mask

    def equal(_: Any, number: int) -> Made:
        value = str(group[np.random.default_rng([SEED, number]).integers(n)])
        return {"group": value}, group == value

    def near(anchor: int, number: int) -> Made:
        chosen = order[anchor, :3]
        return {"cluster": {"$in": [*chosen.tolist(), -1 - number]}}, np.isin(cluster, chosen)

    def away(anchor: int, number: int) -> Made:
        chosen = order[anchor, :30]
        return {"cluster": {"$nin": [*chosen.tolist(), -1 - number]}}, ~np.isin(cluster, chosen)

    def farthest(anchor: int, number: int) -> Made:
        back = order[anchor, ::-1]
        chosen = back[: 1 + int(np.searchsorted(np.cumsum(sizes[back]), n / 10))]
        return {"cluster": {"$in": [*chosen.tolist(), -1 - number]}}, np.isin(cluster, chosen)

    return [
        *(Case(name, share_of(share), everyone) for name, share in SHARES.items()),
        Case("$in of 10,000", names, everyone),
        Case("40 alternatives", alternatives, everyone),
        Case("equality, ten rows", equal, everyone),
        Case("own 3 of 64 clusters", near, of_query),
        Case("all but the 30 nearest clusters", away, of_query, against=True),
        Case("the farthest tenth", farthest, of_query, against=True),
    ]
