"""Filtered searches, first use and repeated, against the same collection without a filter, exact scans, FAISS and peers.

Shares drawn at random, long and high-cardinality filters, filters related to the query and filters that rule out what is near
it. "First use": no filter is asked twice, on a collection just reopened. "Repeated": one filter, other queries. Ids and scores
are asked for, no documents, one query at a time; truth is by numpy alone.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import nearfield as nf
from benchmarks.common import Skipped, peer, report, row, seconds
from benchmarks.filter_cases import Case, Data, Filter, K, with_minilm, with_sift

PROMISE = 0.95
FIRST, TURN = 200, 10
"""Queries of each filter's first use, and how many go one way before the others have their turn."""
ROUNDS, BLOCK = 5, 20
"""Rounds of repeated use, and queries of each."""
PAUSE = 0.05
"""Seconds between the ways: a scan's threads spin on for a while when it has ended."""
REPEATED = {"half": 0.4, "a tenth": 0.2, "a hundredth": 0.4, "a thousandth": 0.4}
SLOWER = 1.2
"""The most that a first use, or a filter that rules out what is near, may take over the better exact way."""


@dataclass
class Judge:
    """Counts what answers were worth."""

    recalls: list[float] = field(default_factory=list)
    whole: list[bool] = field(default_factory=list)
    methods: Counter[str] = field(default_factory=Counter)

    def add(self, data: Data, query: int, mask: np.ndarray, hits: nf.Hits) -> None:
        """Compares an answer with the truth: allowed rows only, as many as there are, and how many of the best."""
        least, k = data.least(query, mask)
        found = np.array([int(i[1:]) for i in hits.ids], np.int64)
        self.whole.append(len(found) == k and bool(hits.complete) and bool(mask[found].all()) and len(set(found)) == k)
        self.recalls.append(float((data.scores[query][found] >= least).sum()) / k if k else 1.0)
        self.methods.update(s.method for s in hits.plan.segments)


def main(scale: float = 1.0) -> None:
    """Both data sets."""
    rows: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    for load in (with_sift, with_minilm):
        try:
            data, cases = load(scale)
        except Skipped as reason:
            facts[load.__name__] = str(reason)
            continue
        _one(data, cases, rows, facts)
    if not rows:
        raise Skipped("there is no data set")
    report("filters", rows, facts)


def _one(data: Data, cases: list[Case], rows: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "db"
        with nf.open(directory) as db:
            c = db.create("c", embedder=None, dim=data.x.shape[1], metric=data.metric, recall=PROMISE)
            c.load(ids=[f"d{i}" for i in range(len(data.x))], vectors=data.x, metadata=data.columns)
            c.optimize()
        bare = _Bare(data)
        table: dict[str, dict[str, Any]] = {}
        for case in cases:
            table[case.name] = _case(data, directory, case, bare, rows)
            print(f"    {data.name}, {case.name}: {table[case.name]}", flush=True)
        worst = {key: min(t[key] for t in table.values()) for key in ("recall first", "recall repeated")}
        for key, value in worst.items():
            rows.append(row(f"{data.name}, {key} use, the worst filter", value, PROMISE, ""))
        rows.append(
            row(f"{data.name}, answers whole and only of rows allowed", min(t["whole"] for t in table.values()), 1.0, "")
        )
        _peers(data, cases, Path(folder), table)
        facts[f"{data.name}, rows"] = len(data.x)
        facts |= {f"{data.name}, {name}": value for name, value in table.items()}


def _case(data: Data, directory: Path, case: Case, bare: _Bare, rows: list[dict[str, Any]]) -> dict[str, Any]:
    with nf.open(directory) as db:
        c = db["c"]
        found = _first(data, c, case) | _repeated(data, c, case, bare)
    name = f"{data.name}, {case.name}"
    rows.append(row(f"{name}, first use / the better exact way", found["first / exact"], SLOWER, least=False))
    if case.against:
        rows.append(row(f"{name}, repeated / the better exact way", found["repeated / exact"], SLOWER, least=False))
    if case.name in REPEATED:
        rows.append(row(f"{name}, repeated QPS of unfiltered", found["repeated / unfiltered"], REPEATED[case.name]))
    found["whole"] = min(found.pop("whole first"), found.pop("whole repeated"))
    return found


def _first(data: Data, c: nf.Collection, case: Case) -> dict[str, Any]:
    """Each filter new. Queries are put to both exact ways too, with filters as new, in turns of changing order."""
    judge, shares = Judge(), []
    times: dict[str, list[float]] = {"ours": [], "allowed": [], "all": []}
    ratios = []
    plain = [seconds(lambda q=q: _ask(c, q)) for q in data.queries[:BLOCK]]
    pairs = case.pairs(FIRST)
    strange = case.new(pairs[0][1])[0]
    cold = seconds(lambda: _ask(c, data.queries[pairs[0][0]], strange))
    for turn, start in enumerate(range(0, len(pairs), TURN)):
        medians = {}
        for way in np.roll(list(times), turn).tolist():
            took, answers = [], []
            time.sleep(PAUSE)
            for i, anchor in pairs[start : start + TURN][: 3 if way == "all" else TURN]:
                condition, mask = case.new(anchor)
                began = time.perf_counter()
                hits = _ask(c, data.queries[i], None if way == "all" else condition, exact=way != "ours")
                took.append(time.perf_counter() - began)
                answers += [(i, mask, hits)] if way == "ours" else []
            for i, mask, hits in answers:
                judge.add(data, i, mask, hits)
                shares.append(mask.mean())
            times[way] += took
            medians[way] = float(np.median(took))
        ratios.append(medians["ours"] / min(medians["allowed"], medians["all"]))
    ours, allowed, every = (float(np.median(t)) for t in times.values())
    return {
        "share": round(float(np.mean(shares)), 5),
        "very first ms": _ms(cold),
        "first ms": _ms(ours),
        "first P95 ms": _ms(float(np.percentile(times["ours"], 95))),
        "exact over allowed ms": _ms(allowed),
        "exact over all ms": _ms(every),
        "first / exact": round(float(np.median(ratios)), 3),
        "first / unfiltered": round(float(np.median(plain)) / ours, 3),
        "recall first": round(float(np.mean(judge.recalls)), 4),
        "whole first": float(np.mean(judge.whole)),
        "ways first": dict(judge.methods),
    }


def _repeated(data: Data, c: nf.Collection, case: Case, bare: _Bare) -> dict[str, Any]:
    """One filter and other queries, in blocks that alternate with the same queries unfiltered, exact, and by bare FAISS."""
    judge = Judge()
    of_plain, of_exact, of_bare, ours, near, scans = [], [], [], [], [], []
    for anchor, queries in case.largest():
        condition, mask = case.new(anchor)
        for i in queries[:4]:
            _ask(c, data.queries[i], condition)
        time.sleep(0.3)  # what is prepared for a filter that comes again is made aside
        bits = np.packbits(mask, bitorder="little")
        for round_ in range(ROUNDS):
            block = [queries[(round_ * BLOCK + j) % len(queries)] for j in range(BLOCK)]
            asked = [data.queries[i] for i in block]
            plain = np.median([seconds(lambda q=q: _ask(c, q)) for q in asked])
            took, answers = [], []
            for q in asked:
                start = time.perf_counter()
                answers.append(_ask(c, q, condition))
                took.append(time.perf_counter() - start)
            for i, hits in zip(block, answers, strict=True):
                judge.add(data, i, mask, hits)
            others = [data.queries[queries[(round_ * BLOCK + j) % len(queries)]] for j in range(BLOCK, BLOCK + 10)]
            allowed = np.median([seconds(lambda q=q, f=condition: _ask(c, q, f, exact=True)) for q in others])
            every = np.median([seconds(lambda q=q: _ask(c, q, exact=True)) for q in others[:3]])
            own = float(np.median(took))
            ours.append(own)
            of_plain.append(plain / own)
            of_exact.append(own / min(allowed, every))
            scans.append(np.median([seconds(lambda i=i: bare.scan(data, i)) for i in block[:5]]))
            other, recall = bare.timed(data, block, mask, bits)
            of_bare.append(other / own)
            near.append(recall)
    return {
        "repeated ms": _ms(float(np.median(ours))),
        "repeated / unfiltered": round(float(np.median(of_plain)), 3),
        "repeated / exact": round(float(np.median(of_exact)), 3),
        "QPS of bare FAISS's": round(float(np.median(of_bare)), 3),
        "FAISS exact over all ms": _ms(float(np.median(scans))),
        "recall of bare FAISS": round(float(np.mean(near)), 3),
        "recall repeated": round(float(np.mean(judge.recalls)), 4),
        "whole repeated": float(np.mean(judge.whole)),
        "ways repeated": dict(judge.methods),
    }


def _ask(c: nf.Collection, q: np.ndarray, condition: Filter | None = None, *, exact: bool = False) -> nf.Hits:
    return c.search(vector=q, k=K, filter=condition, exact=exact, documents=False)


def _ms(value: float) -> float:
    return round(1000 * value, 3)


class _Bare:
    """FAISS's HNSW32 with a bitmap of the rows allowed, ready made: what a user without a library would call."""

    def __init__(self, data: Data) -> None:
        import faiss

        self._faiss = faiss
        kind = faiss.METRIC_L2 if data.metric == "l2" else faiss.METRIC_INNER_PRODUCT
        self._index = faiss.IndexHNSWFlat(data.x.shape[1], 32, kind)
        faiss.omp_set_num_threads(2)
        self._index.add(data.x)
        every = np.ones(len(data.x), np.bool_)
        for self._ef in (16, 32, 64, 128, 256, 512):
            found = self._index.search(data.queries, K, params=faiss.SearchParametersHNSW(efSearch=self._ef))[1]
            if np.mean([self._recall(data, i, every, found[i]) for i in range(len(found))]) >= PROMISE:
                break

    def _recall(self, data: Data, i: int, mask: np.ndarray, found: np.ndarray) -> float:
        least, k = data.least(i, mask)
        found = found[found >= 0]
        return float((data.scores[i][found] >= least).sum()) / k if k else 1.0

    def scan(self, data: Data, i: int) -> None:
        """FAISS's exact search over all rows, on one thread."""
        self._faiss.omp_set_num_threads(1)
        self._faiss.knn(data.queries[i : i + 1], data.x, K, metric=self._index.metric_type)

    def timed(self, data: Data, block: list[int], mask: np.ndarray, bits: np.ndarray) -> tuple[float, float]:
        """Median seconds and mean recall of a block of queries."""
        self._faiss.omp_set_num_threads(1)
        chosen = self._faiss.IDSelectorBitmap(bits)
        parameters = self._faiss.SearchParametersHNSW(sel=chosen, efSearch=self._ef)
        took, recalls = [], []
        for i in block:
            q = data.queries[i : i + 1]
            start = time.perf_counter()
            found = self._index.search(q, K, params=parameters)[1][0]
            took.append(time.perf_counter() - start)
            recalls.append(self._recall(data, i, mask, found))
        return float(np.median(took)), float(np.mean(recalls))


def _peers(data: Data, cases: list[Case], folder: Path, table: dict[str, dict[str, Any]]) -> None:
    """The same kinds of filters put to LanceDB and Chroma, each in a process of its own: new ones, and one repeated."""
    np.save(folder / "x.npy", data.x)
    np.save(folder / "queries.npy", data.queries)
    pq.write_table(pa.table({k: pa.array(v) for k, v in data.columns.items()}), folder / "columns.parquet")
    asked = []
    for case in cases:
        anchor, queries = case.largest()[0]
        first = [(i, *case.new(a)) for i, a in case.pairs(BLOCK)]
        same, mask = case.new(anchor)
        repeated = [(i, same, mask) for i in queries[:BLOCK]]
        for use, questions in (("first", first), ("repeated", repeated)):
            leasts = [data.least(i, m) for i, _, m in questions]
            truth = [
                np.flatnonzero(m & (data.scores[i] >= s)).tolist() for (i, _, m), (s, _) in zip(questions, leasts, strict=True)
            ]
            asked.append(
                {
                    "case": case.name,
                    "use": use,
                    "asked": [[i, f] for i, f, _ in questions],
                    "truth": truth,
                    "k": [k for _, k in leasts],
                }
            )
    (folder / "asked.json").write_text(json.dumps(asked))
    for name in ("lancedb", "chroma"):
        try:
            found = peer("filters", name, folder, data.metric)
        except Skipped as reason:
            table[name] = {"skipped": str(reason)}
            continue
        for case_, use, ms, recall in found["cases"]:
            ours = table[case_][f"{use} ms"]
            table[case_][f"{name} {use}"] = f"{ms} ms ({ms / ours:.1f} x ours), recall {recall}"
        table[name] = {key: value for key, value in found.items() if key != "cases"}


if __name__ == "__main__":
    main()
