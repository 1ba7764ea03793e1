"""QPS at equal measured recall@10: our kinds, FAISS's recipes as its users write them, and other libraries.

Knows what is compared and which figures are promised; `curves` has the method, `contenders` what is built and how it is called.
BENCH_CACHE names a folder that keeps built indexes between runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import contenders, curves
from benchmarks.common import PEERS, SEED, Skipped, minilm, report, row, sift
from benchmarks.contenders import BATCH, THREADS, Data, Own
from benchmarks.curves import CHOOSE, MEASURE, WANTED, Contender, Truth
from nearfield.core.metric import Metric

SETS = (("SIFT", sift, Metric.L2, 1.2), ("MiniLM", minilm, Metric.COSINE, 1.1))
FULL = 10
"""Rounds of a whole run."""
WRAPPED = 0.9
"""Least share of a bare FAISS call's speed that our call with the same parameters keeps."""


def main(scale: float = 1.0) -> None:
    """Both data sets, single queries on one thread and batches on two."""
    rows: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    times = FULL if scale >= 1 else 3
    for name, load, metric, target in SETS:
        try:
            x, queries = load()
        except Skipped as reason:
            facts[name] = str(reason)
            continue
        step = max(1, round(1 / scale))
        queries = queries[: max(200, int(len(queries) * scale))]
        with contenders.cache() as folder, contextlib.ExitStack() as stack:
            _one(Data.of(name, x[::step], queries, metric, folder), stack, target, times, rows, facts)
    if not rows:
        raise Skipped("there is no data set")
    facts["single"] = "queries one by one on one thread"
    facts["batches"] = f"{BATCH:,} queries at once on {THREADS} threads"
    facts["rounds"] = times
    facts["peers"] = "installed" if PEERS.exists() else "not installed; run: make bench-setup"
    report("frontier", rows, facts)


def _one(
    data: Data, stack: contextlib.ExitStack, target: float, times: int, rows: list[dict[str, Any]], facts: dict[str, Any]
) -> None:
    truth = Truth.of(data.x, data.halves, data.metric is not Metric.L2)
    built = [contenders.ours(kind, data) for kind in contenders.own_kinds(data)]
    everyone = [own.contender for own in built] + contenders.stock(data) + contenders.peers(data, stack)
    for contender in everyone:
        print(f"  {data.name}: {contender.name}", flush=True)
        curves.sweep(contender, truth)
    for batch in (False, True):
        how = f"{data.name}, {'batches' if batch else 'single'}"
        queries = BATCH if batch else len(data.halves[MEASURE])
        curves.choose(everyone, batch, BATCH if batch else len(data.halves[CHOOSE]), 3 if times >= FULL else 1)
        timed = curves.worth_timing(everyone)
        qps = curves.rounds(timed, truth, batch, queries, times)
        _table(how, everyone, qps, facts)
        for number, wanted in enumerate(WANTED):
            low = _compare(how, number, timed, qps, facts)
            if not batch:
                rows.append(row(f"{how}, recall {wanted:.2f}: our best / best stock FAISS, low end", low, target))
        for own in (own for own in built if own.bare is not None):
            low = _wrapped(own, truth, batch, times, how, facts)
            if not batch:
                rows.append(row(f"{data.name}, {own.contender.name}: our call / FAISS's", low, WRAPPED))


def _table(how: str, everyone: Sequence[Contender], qps: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
    """QPS at the wanted recalls, and which settings were measured."""

    def written(values: np.ndarray) -> str:
        return " / ".join("-" if np.isnan(v) else f"{v:,.0f}" for v in values)

    facts[f"{how}: QPS at recall"] = " / ".join(f"{w:.2f}" for w in WANTED)
    for c in everyone:
        if c.name in qps:
            said = written(np.exp(np.log(qps[c.name]).mean(0)))
            facts[f"{how}: {c.name}"] = f"{said}  at {_brief(c.front[0])} to {_brief(c.front[-1])}"
        else:
            facts[f"{how}: {c.name}"] = f"{written(c.chosen_at)}  (choosing half only)"


def _brief(setting: Any) -> str:
    values = setting if isinstance(setting, dict) else setting.to_dict()
    return ",".join(f"{key}={value}" for key, value in values.items())


def _best(group: str, number: int, timed: Sequence[Contender], qps: dict[str, np.ndarray]) -> str | None:
    """The quickest of a group at a wanted recall. Ours is picked on the choosing half, a library's where it is measured: any
    luck of the draw is then theirs.
    """
    figures = {}
    for c in timed:
        if c.group == group or (group == "all" and c.group != "ours"):
            measured = np.log(qps[c.name][:, number]).mean()
            figures[c.name] = c.chosen_at[number] if group == "ours" else measured
            if np.isnan(measured) or np.isnan(figures[c.name]):
                del figures[c.name]
    return max(figures, key=lambda name: figures[name]) if figures else None


def _compare(how: str, number: int, timed: Sequence[Contender], qps: dict[str, np.ndarray], facts: dict[str, Any]) -> float:
    """Low end of our best over stock FAISS's best at a wanted recall; the comparisons as facts."""
    rng = np.random.default_rng(SEED)
    own, low = _best("ours", number, timed, qps), 0.0
    for group, said in (("stock", "best stock FAISS"), ("all", "fastest library")):
        other = _best(group, number, timed, qps)
        key = f"{how}, recall {WANTED[number]:.2f}: our best over the {said}"
        if own is None or other is None:
            facts[key] = f"{own or 'none of ours'} / {other or 'none of theirs'}: recall not reached"
            continue
        middle, at, to = curves.ratio(qps[own][:, number], qps[other][:, number], rng)
        facts[key] = f"{middle:.2f} ({at:.2f} to {to:.2f})  {own} / {other}"
        low = at if group == "stock" else low
    return low


def _wrapped(own: Own, truth: Truth, batch: bool, times: int, how: str, facts: dict[str, Any]) -> float:
    """Our call's speed over FAISS's at equal parameters: the least low end among the settings next to the wanted recalls."""
    ours, bare = own.contender, own.bare
    assert bare is not None
    recalls = curves.measured(ours, truth)
    settings = dict.fromkeys(ours.front[int(np.argmin(np.abs(recalls - wanted)))] for wanted in WANTED)
    rng, said, lows = np.random.default_rng(SEED), [], []
    for setting in settings:
        took = np.empty((times, 2))
        for number in range(times):
            for which in (0, 1) if number % 2 else (1, 0):
                if which:
                    took[number, 1] = ours.seconds(setting, MEASURE, batch)
                else:
                    took[number, 0] = bare.seconds(own.as_bare(setting), MEASURE, batch)
        middle, low, high = curves.ratio(took[:, 0], took[:, 1], rng)
        said.append(f"{middle:.3f} ({low:.3f} to {high:.3f}) at {_brief(setting)}")
        lows.append(low)
    facts[f"{how}, {ours.name}: our call / FAISS's, same file"] = "; ".join(said)
    return min(lows)


if __name__ == "__main__":
    main()
