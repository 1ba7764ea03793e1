"""What options cost: pages in a plain search, the first sample of a background, and each option beside a plain search."""

from __future__ import annotations

import tempfile
import timeit
from pathlib import Path

import numpy as np

import nearfield as nf
from benchmarks.common import SEED, minilm, per_call, report, row
from nearfield.ranking import pages, sampling
from nearfield.ranking.wanted import Wanted

CALLS = 100


def main(scale: float) -> None:
    base, queries = minilm()
    base = base[: int(scale * len(base))]
    rng = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as place, nf.open(Path(place) / "db") as db:
        small = db.create("small", embedder=None, dim=128, index=nf.Flat())
        x = rng.normal(size=(10_000, 128)).astype(np.float32)
        small.load(ids=[str(i) for i in range(len(x))], vectors=x)
        added, plain = _bookkeeping(small, x)
        made = db.create("words", embedder=None, dim=384, index=nf.Flat())
        kinds = {"kind": [f"k{i}" for i in rng.integers(0, 45, len(base)).tolist()]}
        made.load(ids=[str(i) for i in range(len(base))], vectors=base, metadata=kinds)
        made.search(vector=queries[0])
        first = np.median(per_call(lambda _: sampling.Sampler(made._engine).get(), 9))
        facts = {"10,000 x 128, plain search, median us": round(1e6 * plain, 1), "pages added, us": round(1e6 * added, 2)}
        facts |= _options(made, queries)
        facts |= _kept(made, queries)
    rows = [
        row("pages' share of a plain search, 10,000 x 128", added / plain, 0.03, least=False),
        row(f"background of {len(base):,} x 384, first time", 1000 * first, 100, "ms", least=False),
    ]
    report("ranking", rows, facts)


def _bookkeeping(collection: nf.Collection, x: np.ndarray) -> tuple[float, float]:
    """Seconds that a plain search pays for options it does not use, and that it takes in all."""
    engine, request, query = collection._engine, collection.request(), x[:1].copy()
    hits = collection.search(vector=x[0], documents=False)

    def pay() -> None:
        Wanted.of(10, 0, (), None, None, False, 0.0, None, 1, None, 50, None)
        pages.seen(engine)
        pages.follow(hits, engine, pages.dense(None, query), request)

    added = min(timeit.repeat(pay, number=2000, repeat=9)) / 2000
    return added, float(np.min(per_call(lambda i: collection.search(vector=x[i], documents=False), 500)))


def _options(made: nf.Collection, queries: np.ndarray) -> dict[str, str]:
    """Each option's median beside the plain search's, in turns."""
    token = [made.search(vector=q, k=10).next for q in queries[:CALLS]]
    ways = {
        "plain": lambda i: made.search(vector=queries[i]),
        "exclude 100": lambda i: made.search(vector=queries[i], exclude=[str(j) for j in range(100)]),
        "second page": lambda i: made.search(vector=queries[i], after=token[i]),
        "percentiles": lambda i: made.search(vector=queries[i], percentiles=True),
        "diversity": lambda i: made.search(vector=queries[i], diversity=0.5),
        "groups of 3": lambda i: made.search(vector=queries[i], group_by="kind", group_size=3),
        "recommend, average": lambda i: made.recommend([str(i), str(i + 1)], [str(i + 2)]),
        "recommend, best": lambda i: made.recommend([str(i), str(i + 1)], [str(i + 2)], strategy="best"),
    }
    taken = {name: np.empty(CALLS) for name in ways}
    for i in range(CALLS):
        for name, way in ways.items():
            taken[name][i] = per_call(lambda _, way=way, i=i: way(i), 1)[0]
    plain = np.median(taken["plain"])
    return {name: f"{1000 * np.median(t):.2f} ms, {np.median(t) / plain:.2f} x plain" for name, t in taken.items()}


def _kept(made: nf.Collection, queries: np.ndarray) -> dict[str, str]:
    """The share of documents above a percentile, over held-out queries."""
    n, some = len(made), queries[:50]
    out = {}
    for percent in (99.0, 99.9):
        kept = [len(made.search(vector=q, k=None, min_percentile=percent, documents=False)) / n for q in some]
        out[f"share kept at min_percentile={percent:g}"] = f"{100 * np.mean(kept):.3f} %"
    return out
