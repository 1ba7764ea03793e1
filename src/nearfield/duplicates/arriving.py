"""Which of some new documents are like one that is stored already, or like an earlier one of their own.

Knows an engine and prepared vectors. What is left of a batch is what upserting its documents one by one would leave.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nearfield import intake
from nearfield.core.metric import Vectors
from nearfield.core.types import Like, Written
from nearfield.duplicates import setting, tile, tiled
from nearfield.engine.local import LocalEngine
from nearfield.engine.segment_search import Request

RECALL = 0.99
"""Of the search for the nearest stored document; one that near is found oftener than a tenth neighbour is."""
K, MOST = 4, 1024
BATCH = 1024
BLOCK = 256
"""New documents that are compared with each other at a time: all may be alike, and their pairs are in memory."""

_turns: weakref.WeakKeyDictionary[LocalEngine, threading.Lock] = weakref.WeakKeyDictionary()
_making = threading.Lock()


def turn(engine: LocalEngine) -> threading.Lock:
    """Held from looking to writing, so that two calls with the option do not both find nothing and write the same."""
    with _making:
        return _turns.setdefault(engine, threading.Lock())


def write(
    engine: LocalEngine, checked: intake.Checked, vectors: Vectors, norms: intake.Norms, if_exists: str, above: float
) -> Written:
    """Writes a checked batch but for what is like a stored document or an earlier one of the batch; all or nothing.

    Args:
        engine: where it goes.
        checked: ids, texts, metadata.
        vectors: prepared float32 (n, dim).
        norms: their lengths under cosine, or None.
        if_exists: as in upsert.
        above: the least score of a duplicate.
    """
    with turn(engine):
        staying: set[str] = set()
        if if_exists == "skip":
            staying = {d.id for d in engine.get(checked.ids) if d is not None}
        found = alike(engine, checked.ids, vectors, above, RECALL, staying)
        left = [i for i, like in enumerate(found) if like is None]
        passed = tuple(like for like in found if like is not None)
        if not left:
            return Written(skipped=len(passed), commit=engine.snapshot.commit, alike=passed)
        if not passed:
            return intake.write(engine, checked, vectors, norms, if_exists)
        rest = intake.Checked(
            [checked.ids[i] for i in left], [checked.texts[i] for i in left], [checked.metadata[i] for i in left]
        )
        written = intake.write(engine, rest, vectors[left], None if norms is None else norms[left], if_exists)
        return replace(written, skipped=written.skipped + len(passed), alike=passed)


def alike(
    engine: LocalEngine, ids: Sequence[str], vectors: Vectors, above: float, recall: float, staying: set[str]
) -> list[Like | None]:
    """For each new document the nearest one that it is a duplicate of, or None: then it is to be written.

    Args:
        engine: where they go.
        ids: their ids, none twice.
        vectors: prepared float32 (n, dim).
        above: the least score of a duplicate.
        recall: of the search among stored documents; 1 compares with all.
        staying: ids that are not written because they are there and older ones are kept: their stored vectors count.

    A stored document with the same id does not count, nor one that an earlier document of the batch replaces.
    """
    stored = _stored(engine, vectors, above, recall)
    test = setting.test_of(vectors.__getitem__, len(ids), engine.metric, above, engine.dim)
    out: list[Like | None] = []
    written: dict[str, int] = {}
    for start in range(0, len(ids), BLOCK):
        first, second, scores = _pairs(vectors, np.array(list(written.values()), np.int64), start, test)
        starts = np.searchsorted(second, np.arange(start, start + BLOCK + 1))
        for i, document_id in enumerate(ids[start : start + BLOCK], start):
            if document_id in staying:
                out.append(None)
                continue
            best = _best_stored(engine, stored[i], vectors[i], document_id, written, above)
            for p in range(int(starts[i - start]), int(starts[i - start + 1])):
                other = ids[int(first[p])]
                if other in written and (best is None or float(scores[p]) > best.score):
                    best = Like(document_id, other, float(scores[p]))
                    break
            out.append(best)
            if best is None:
                written[document_id] = i
    return out


def _pairs(vectors: Vectors, written: tile.Places, start: int, test: tile.Test) -> tile.Pairs:
    """Pairs of the block from `start` with each other and with what was written before it, by the second, best first."""
    block = vectors[start : start + BLOCK]
    first, second, scores = tiled.all_pairs(block.__getitem__, len(block), test)
    found = [(first + start, second + start, scores)]
    for at in range(0, len(written), BATCH):
        some = written[at : at + BATCH]
        i, j = tile.hits(test.mask(vectors[some], block))
        found.append(test.sure(vectors.__getitem__, some[i], j + start))
    first, second, scores = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((first, -scores, second))
    return first[order], second[order], scores[order]


Near = tuple[list[str], npt.NDArray[np.float32]]


def _stored(engine: LocalEngine, vectors: Vectors, above: float, recall: float) -> list[Near]:
    out: list[Near] = []
    for start in range(0, len(vectors), BATCH):
        request = Request(K, recall, exact=recall >= 1, documents=False)
        for hits in engine.search(vectors[start : start + BATCH], request):
            enough = int((hits.scores >= above).sum())
            out.append((hits.ids[:enough], hits.scores[:enough]))
    return out


def _best_stored(
    engine: LocalEngine, near: Near, vector: npt.NDArray[np.float32], document_id: str, written: dict[str, int], above: float
) -> Like | None:
    """The nearest that counts; more are asked for where all that came do not count."""
    k = K
    while True:
        for other, score in zip(near[0], near[1].tolist(), strict=True):
            if other != document_id and other not in written:
                return Like(document_id, other, score)
        if len(near[0]) < k or k >= MOST:
            return None
        k *= 4
        near = _deeper(engine, vector, k, above)


def _deeper(engine: LocalEngine, vector: npt.NDArray[np.float32], k: int, above: float) -> Near:
    hits = engine.search(vector[None, :], Request(k, 1.0, exact=True, documents=False))[0]
    enough = int((hits.scores >= above).sum())
    return hits.ids[:enough], hits.scores[:enough]
