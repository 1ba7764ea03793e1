"""What is like some documents and unlike others: two formulas over vectors. Knows no collection.

average: the mean of the liked, moved away from the mean of the disliked by what parts them: m+ + (m+ - m-), or m+ without
dislikes; one vector, searched as any other. The form of Rocchio's relevance feedback (J. Rocchio in "The SMART Retrieval
System", 1971) that Qdrant's `average_vector` has.

best: a candidate's score is s(max+) where its nearest like is nearer than its nearest dislike, else -s(max-), with
s(x) = (x / (1 + |x|) + 1) / 2, which keeps the order and lies between 0 and 1. Qdrant's `best_score`, which has it since 1.6:
whatever is nearer to a dislike comes after all that is not, and the farther from it the better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nearfield.core import inputs
from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Metric, Scores, Vectors, prepare, scores
from nearfield.core.ranked import Text

STRATEGIES = ("average", "best")
MOST = 1_000
"""Examples that one call may give."""


@dataclass(frozen=True, slots=True)
class Examples:
    """What is liked, or disliked, by kind; `order` has (kind, place among its kind) of each as given.

    Attributes:
        ids: of documents.
        texts: to embed as queries are.
        vectors: float32 (dim,) each, as given.
    """

    ids: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    vectors: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return len(self.ids) + len(self.texts) + len(self.vectors)


def examples(given: Any, dim: int, field: str) -> Examples:
    """Tells ids, texts and vectors apart: a str is an id, a `Text` a text, an array or list of numbers a vector.

    Args:
        given: one of these, or several in a list; an array (n, dim) is n vectors.
        dim: numbers in each vector.
        field: "like" or "unlike", for messages.

    Raises:
        InvalidInput, DimensionMismatch: something else.
    """
    if isinstance(given, (str, Text)) or (isinstance(given, np.ndarray) and given.ndim == 1):
        given = [given]
    if not isinstance(given, (Sequence, np.ndarray)):
        raise InvalidInput(
            "not examples", field=field, expected="ids, nf.Text(...) and vectors, in a list", received=type(given).__name__
        )
    if len(given) > MOST:
        raise InvalidInput("too many examples", field=field, expected=f"at most {MOST:,}", received=len(given))
    ids, texts, vectors = [], [], []
    for i, one in enumerate(given):
        where = f"{field}[{i}]"
        if isinstance(one, str):
            ids.append(inputs.document_id(one, where))
        elif isinstance(one, Text):
            texts.append(inputs.text(one.text, where))
        elif isinstance(one, (int, float, np.number)):
            raise InvalidInput("a vector is one example: put it in a list", field=field, expected=f"{field}=[vector]")
        else:
            vectors.append(inputs.vector(one, dim, where)[0])
    return Examples(tuple(dict.fromkeys(ids)), tuple(texts), tuple(vectors))


def average(likes: Vectors, dislikes: Vectors, metric: Metric) -> Vectors:
    """The query (1, dim), prepared, for prepared likes (n, dim) and dislikes (m, dim); see the module for the formula.

    Raises:
        InvalidInput: no likes; or they and the dislikes cancel out, under cosine.
    """
    if not len(likes):
        raise InvalidInput("nothing is liked: strategy='best' can do with dislikes alone", field="like", received=0)
    middle = likes.mean(axis=0, dtype=np.float64)
    if len(dislikes):
        middle = 2 * middle - dislikes.mean(axis=0, dtype=np.float64)
    found = middle.astype(np.float32)[None, :]
    if metric is Metric.COSINE and not np.linalg.norm(middle) > 1e-6:
        raise InvalidInput("likes and dislikes cancel out; give others, or strategy='best'", field="like", received="zero")
    return prepare(found, metric)[0]


def best(candidates: Vectors, likes: Vectors, dislikes: Vectors, metric: Metric) -> Scores:
    """Scores of candidates, float32 (k,), by the nearest like and the nearest dislike; see the module for the formula.

    Args:
        candidates: float32 (k, dim), prepared.
        likes: float32 (n, dim), prepared; may be none.
        dislikes: float32 (m, dim), prepared; may be none.
        metric: how they are compared.
    """
    nearest, averse = _highest(candidates, likes, metric), _highest(candidates, dislikes, metric)
    return np.where(nearest > averse, squashed(nearest), -squashed(averse))


def _highest(candidates: Vectors, given: Vectors, metric: Metric) -> Scores:
    out = np.full(len(candidates), -np.inf, np.float32)
    for one in given:
        np.maximum(out, scores(one, candidates, metric), out=out)
    return out


def squashed(values: Scores) -> Scores:
    """(x / (1 + |x|) + 1) / 2, float32, computed in float64; 0 for minus infinity."""
    wide = values.astype(np.float64)
    finite = np.where(np.isfinite(wide), wide, 0.0)
    return np.where(np.isfinite(wide), (finite / (1 + np.abs(finite)) + 1) / 2, 0.0).astype(np.float32)
