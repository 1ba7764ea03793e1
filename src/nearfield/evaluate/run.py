"""Asks queries of several ways of searching, and measures what comes back. Knows a search only as a function."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nearfield.core import inputs
from nearfield.core.errors import InvalidInput
from nearfield.evaluate import beir, metrics
from nearfield.evaluate.bootstrap import DRAWS, LEVEL
from nearfield.evaluate.report import Evaluation, Scored

Search = Callable[[Sequence[str], int], list[list[str]]]
"""Texts and how many hits in; for each text the ids, best first, out."""
Progress = Callable[[str, int, int], None]
"""Called with (the way of searching, queries done, queries in all)."""
Queries = Mapping[str, str] | str | Path
Judgements = Mapping[str, Mapping[str, float]] | str | Path
DEPTH = 100
"""Of Recall at a greater depth."""
_AT_ONCE = 32
"""Queries that are asked at a time."""
_PART = re.compile(r"#\d+$")
"""How the id of a passage ends, after its document's."""


@dataclass(frozen=True, slots=True)
class System:
    """A way of searching, by name."""

    name: str
    search: Search


def evaluate(
    systems: Sequence[System],
    queries: Queries,
    qrels: Judgements,
    *,
    k: int = 10,
    depth: int = DEPTH,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress | None = None,
    about: dict[str, Any] | None = None,
) -> Evaluation:
    """Asks every query of every system; queries without a relevant document are left out, and counted.

    Where no judged id ends as a passage's does ("#" and a number), hits whose ids do are taken for passages: each document
    counts once, at the place of its best passage, and more is asked for until `depth` documents are there.

    Args:
        systems: with names of their own.
        queries: text by id; or a file, see beir.queries.
        qrels: grades by query's and document's id; or a file, see beir.qrels.
        k: where nDCG, MRR, MAP and Recall are cut.
        depth: where Recall is cut besides; at least k. The same as k: it is not.
        level: of confidence.
        draws: of the bootstrap.
        seed: of the bootstrap.
        progress: told now and then.
        about: kept with the result.

    Raises:
        InvalidInput: bad queries or judgements, or no query of one has a relevant document in the other.
    """
    k, depth = inputs.k(k), inputs.whole(depth, "depth", 1)
    if depth < k:
        raise InvalidInput("nothing is measured there", field="depth", expected=f"at least k, {k}", received=depth)
    if not 0 < level < 1:
        raise InvalidInput("not a level of confidence", field="level", expected="between 0 and 1", received=level)
    texts = beir.queries(queries) if isinstance(queries, (str, Path)) else _texts(queries)
    judged = beir.qrels(qrels) if isinstance(qrels, (str, Path)) else _grades(qrels)
    asked = [key for key in texts if metrics.measurable(judged.get(key, {}))]
    if not asked:
        raise InvalidInput(
            "no query has a relevant document by these judgements: are the ids the same?",
            field="qrels",
            expected=f"judgements of queries such as {next(iter(texts), '')!r}",
            received=f"of {next(iter(judged), '')!r}",
        )
    columns = _columns(k, depth)
    whole = not any(_PART.search(document) for grades in judged.values() for document in grades)
    results = []
    for system in systems:
        rankings, seconds = _ranked(system, [texts[key] for key in asked], depth, whole, progress)
        values = np.array(
            [[metric(found, judged[key], at) for _, metric, at in columns] for key, found in zip(asked, rankings, strict=True)]
        )
        results.append(Scored(system.name, values, 1000 * seconds / len(asked)))
    unasked = sum(key not in texts and metrics.measurable(grades) for key, grades in judged.items())
    return Evaluation(
        tuple(name for name, _, _ in columns), tuple(asked), tuple(results), len(texts) - len(asked), unasked,
        dict(about or {}), level, draws, seed,
    )  # fmt: skip


def _columns(k: int, depth: int) -> list[tuple[str, metrics.Metric, int]]:
    out: list[tuple[str, metrics.Metric, int]] = [
        (f"nDCG@{k}", metrics.ndcg, k),
        (f"MRR@{k}", metrics.reciprocal_rank, k),
        (f"MAP@{k}", metrics.average_precision, k),
        (f"Recall@{k}", metrics.recall, k),
    ]
    return out if depth == k else [*out, (f"Recall@{depth}", metrics.recall, depth)]


def _ranked(
    system: System, texts: Sequence[str], depth: int, whole: bool, progress: Progress | None
) -> tuple[list[list[str]], float]:
    """The ids for each text, and the seconds that searching took."""
    out: list[list[str]] = []
    seconds = 0.0
    for start in range(0, len(texts), _AT_ONCE):
        some = texts[start : start + _AT_ONCE]
        began = time.perf_counter()
        out.extend(_documents(system.search, some, depth) if whole else (row[:depth] for row in system.search(some, depth)))
        seconds += time.perf_counter() - began
        if progress is not None:
            progress(system.name, len(out), len(texts))
    return out, seconds


def _documents(search: Search, texts: Sequence[str], depth: int) -> list[list[str]]:
    """Ids of documents; where hits are passages, more are asked for until each text has its documents or no more come."""
    wanted = depth
    while True:
        found = search(texts, wanted)
        rolled = [roll_up(row)[:depth] for row in found]
        short = any(len(row) < depth and len(raw) >= wanted for row, raw in zip(rolled, found, strict=True))
        if not short or wanted >= inputs.MAX_K:
            return rolled
        wanted = min(4 * wanted, inputs.MAX_K)


def roll_up(ids: Iterable[str]) -> list[str]:
    """Documents of passages, each once, in the order of their first passage: "a#2", "b", "a#0" are a, b."""
    return list(dict.fromkeys(_PART.sub("", one) for one in ids))


def _texts(queries: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(queries, Mapping):
        raise InvalidInput("not queries", field="queries", expected="texts by id, or a file", received=queries)
    return {str(key): inputs.text(text, f"queries[{key!r}]") for key, text in queries.items()}


def _grades(qrels: Mapping[str, Mapping[str, float]]) -> beir.Qrels:
    expected = "grades by document's id, by query's id; or a file"
    if not isinstance(qrels, Mapping):
        raise InvalidInput("not judgements", field="qrels", expected=expected, received=qrels)
    out: beir.Qrels = {}
    for key, grades in qrels.items():
        good = isinstance(grades, Mapping) and all(
            isinstance(g, (int, float)) and not isinstance(g, bool) and np.isfinite(g) for g in grades.values()
        )
        if not good:
            raise InvalidInput("not judgements", field=f"qrels[{key!r}]", expected=expected, received=grades)
        out[str(key)] = {str(document): float(grade) for document, grade in grades.items()}
    return out
