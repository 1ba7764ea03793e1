"""One segment searched under one filter: which way is cheapest, and whether its answer may be kept.

Ways: a scan by the device that holds the segment's vectors, which is exact too; an exact scan of the rows allowed (of their
codes, where the filter is asked for again); the index at the cheapest setting whose bound was measured to keep the promise
among such a share of rows. An index that finds too few allowed rows near a query is asked again for more, and then the scan
decides. A filter that rules out what is near a query therefore costs at most a failed try, which is only made where it is cheap
beside the scan.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import Corrupt, DeadlineExceeded
from nearfield.core.filters import Filter
from nearfield.core.metric import Metric, Vectors, scores
from nearfield.core.types import SegmentPlan
from nearfield.device.failures import DeviceFull, DeviceLost
from nearfield.engine.matches import Allowed
from nearfield.engine.snapshot import OpenIndex, SegmentView
from nearfield.index import exact, rates
from nearfield.index.base import Allow, Effort
from nearfield.index.base import Found as Answer
from nearfield.index.curve import Point

log = logging.getLogger("nearfield.engine")
TRY = 0.12
"""The most that a try of the index may cost beside the scan it may not spare."""
START = 40e-6
"""Seconds of a scan that do not depend on rows."""
DEVICE_MOST = 1 << 14
"""Hits beyond which a device is not asked: its maxima would tell nothing."""
BLOCK_SHARE, BLOCK_LEAST, BLOCK_MOST = 0.1, 4 << 20, 32 << 20
"""The bytes that the codes of one filter's rows may take: a share of the segment's vectors' bytes, within bounds."""

Found = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]
"""(final scores, positions) of one query in one part, best first."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of every query of a call.

    Attributes:
        k: how many hits, at least 1.
        recall: the recall to hold, in (0, 1]; 1.0 searches exactly.
        condition: the parsed filter, or None.
        exact: search exactly, whatever the recall.
        documents: whether to fetch documents.
        vectors: whether the documents carry their vectors.
        offset: leading hits to leave out.
        deadline: `time.monotonic()` after which to give up, or None.
        effort: a setting chosen by the caller instead of by recall, or None.
        passages: how many passages of each document are shown, where documents have them.
        name: which of several named vectors is searched; "" where there are none.
        promise: for how many of the k hits the recall is held; None: for all.
    """

    k: int
    recall: float
    condition: Filter | None = None
    exact: bool = False
    documents: bool = True
    vectors: bool = False
    offset: int = 0
    deadline: float | None = None
    effort: Effort | None = None
    passages: int = 1
    name: str = ""
    promise: int | None = None


def check_deadline(request: Request) -> None:
    """Raises DeadlineExceeded once the request's time is over."""
    if request.deadline is not None and time.monotonic() > request.deadline:
        raise DeadlineExceeded("the search did not finish in the time given; give it more, or a lower k or recall")


def nothing() -> Found:
    """No hits."""
    return np.empty(0, np.float32), np.empty(0, np.int64)


def search(view: SegmentView, queries: Vectors, k: int, request: Request, metric: Metric) -> tuple[list[Found], SegmentPlan]:
    """The k best live rows that match, for each of m prepared queries, and what was done."""
    segment, n = view.segment, len(view.segment)
    allowed = view.allowed(request.condition)
    tier = view.place.touch(len(queries))
    plan = SegmentPlan(segment.number, n, allowed.count, "exact", tier=tier)
    if allowed.count == 0:
        return [nothing()] * len(queries), plan
    k = min(k, allowed.count)
    point = _point(view, allowed, k, request, metric)
    scanned = _by_device(view, allowed, point, queries, k, request)
    if scanned is not None:
        return scanned[0], replace(plan, device=scanned[1])
    if point is None or view.index is None:
        found = _scan(view, allowed, queries, k, request, metric)
    else:
        try:
            found, method = _by_index(view, view.index, allowed, point, queries, k, request, metric)
        except (IndexError, Corrupt, OSError) as error:
            log.error("the index of segment %d is damaged and passed over: %s; run: nearfield repair", segment.number, error)
            return _scan(view, allowed, queries, k, request, metric), plan
        clone = view.place.clone(view.index.record.number)
        device = None if clone is None else clone.device
        plan = replace(plan, method=method, kind=view.index.kind, effort=point.effort.to_dict(), device=device)
        if request.effort is None:
            plan = replace(plan, recall=point.recall, bound=point.bound, source=point.source)
    if request.condition is not None and allowed.uses <= 2:
        view.filters.trim(segment.vectors.nbytes)
    return found, plan


def _point(view: SegmentView, allowed: Allowed, k: int, request: Request, metric: Metric) -> Point | None:
    """The setting to search the index with, or None where a scan of what is allowed is the better way."""
    index = view.index
    if index is None or request.exact or index.file.broken is not None:
        return None
    if request.effort is not None:
        return Point(k, index.setting(request.effort), 0.0, 0.0, 0, "")
    if request.recall >= 1:
        return None
    point = index.point_for(request.recall, min(k, request.promise or k), allowed.share)
    if point is None or request.condition is None:
        return point
    if allowed.in_vain():
        return None
    vectors = view.segment.vectors
    by_codes = START + allowed.count * vectors.shape[1] / rates.measured().coded
    if by_codes < point.seconds and _coding(view, allowed, metric) and allowed.coded(vectors, metric) is not None:
        return None
    return point if point.seconds < TRY * _scan_seconds(view, allowed) else None


def _by_device(
    view: SegmentView, allowed: Allowed, point: Point | None, queries: Vectors, k: int, request: Request
) -> tuple[list[Found], str] | None:
    """Exactly the best of what is allowed, and the device that scanned; None where another way is quicker or it fails."""
    resident = view.place.scanner
    if resident is None or request.effort is not None or k > DEVICE_MOST:
        return None
    other = len(queries) * (_scan_seconds(view, allowed) if point is None else point.seconds)
    if resident.seconds(len(queries)) >= other:
        return None
    try:
        values, where = resident.search(queries, k, None if allowed.allow is None else allowed.allow.bits)
    except (DeviceFull, DeviceLost, RuntimeError) as error:
        view.place.failed(resident, error)
        return None
    return [cut(v, p) for v, p in zip(values, where, strict=True)], resident.device


def _scan_seconds(view: SegmentView, allowed: Allowed) -> float:
    """About what an exact scan of the rows allowed takes, by the better of its two ways."""
    found, each = rates.measured(), 4 * view.segment.vectors.shape[1]
    return float(START + min(allowed.count * each / found.scattered, allowed.n * each / found.ordered))


def _coding(view: SegmentView, allowed: Allowed, metric: Metric) -> bool:
    """Whether the rows allowed are, or should be, kept as codes: the filter came before, and they are few."""
    if allowed.block is not None:
        return allowed.block.usable
    nbytes = allowed.count * view.segment.vectors.shape[1]
    most = min(BLOCK_MOST, max(BLOCK_LEAST, BLOCK_SHARE * view.segment.vectors.nbytes))
    return allowed.uses > 0 and metric is not Metric.IP and allowed.mask is not None and nbytes <= most


def _scan(view: SegmentView, allowed: Allowed, queries: Vectors, k: int, request: Request, metric: Metric) -> list[Found]:
    """Exactly the best of what is allowed."""
    vectors = view.segment.vectors
    if request.condition is not None and _coding(view, allowed, metric):
        block = allowed.coded(vectors, metric)
        if block is not None and len(queries) <= exact.ALONE:
            found = [block.search(query, k) for query in queries]
            if None not in found:
                return found  # type: ignore[return-value]
    few = allowed.mask is not None and 2 * allowed.count < allowed.n
    positions = allowed.positions if few else None
    values, where = exact.search(queries, vectors, k, metric, allowed.mask, positions)
    return [cut(v, p) for v, p in zip(values, where, strict=True)]


def cut(values: npt.NDArray[np.float32], positions: npt.NDArray[np.int64]) -> Found:
    """An exact answer without its empty places."""
    count = int(np.count_nonzero(positions >= 0))
    return values[:count], positions[:count]


def _by_index(
    view: SegmentView,
    index: OpenIndex,
    allowed: Allowed,
    point: Point,
    queries: Vectors,
    k: int,
    request: Request,
    metric: Metric,
) -> tuple[list[Found], str]:
    """What the index finds, asked again where it saw too few allowed rows, and scanned where that did not help."""
    answer = _asked(view, index, queries, k, point.effort, allowed.allow)
    found = [_rescored(view, query, row, metric) for query, row in zip(queries, answer.positions, strict=True)]
    if allowed.allow is None:
        doubtful: Sequence[int] = [i for i, (_, where) in enumerate(found) if len(where) < k]
    else:
        scarce = 2 * answer.passed < allowed.share * answer.seen
        doubtful = np.flatnonzero(scarce | (answer.positions[:, -1] < 0)).tolist()
    method, scanned = "index", 0
    for i in doubtful:
        check_deadline(request)
        again = None
        if allowed.allow is not None and request.effort is None and answer.passed[i]:
            again = _wider(
                view, index, allowed, float(answer.passed[i] / answer.seen[i]), queries[i : i + 1], k, request, metric
            )
        method = "index, wider" if again is not None and method == "index" else method
        if again is None:
            method, scanned = "index, then exact", scanned + 1
            again = _scan(view, allowed, queries[i : i + 1], k, replace(request, condition=None), metric)[0]
        found[i] = again
    allowed.tried_index(len(queries), scanned)
    return found, method


def _asked(view: SegmentView, index: OpenIndex, queries: Vectors, k: int, effort: Effort, allow: Allow | None) -> Answer:
    """What the index answers, by its clone on a card where there is one."""
    clone = view.place.clone(index.record.number)
    if clone is None:
        return index.index.search(queries, k, effort, allow)
    answer = clone.index.search(queries, k, effort, allow)
    if clone.lost:
        view.place.failed(clone, DeviceLost(clone.lost, clone.device))
    return answer


def _wider(
    view: SegmentView,
    index: OpenIndex,
    allowed: Allowed,
    share: float,
    query: Vectors,
    k: int,
    request: Request,
    metric: Metric,
) -> Found | None:
    """The index asked at the setting for the share of allowed rows that it saw near the query; None: better a scan."""
    point = index.point_for(request.recall, min(k, request.promise or k), share)
    if point is None or point.seconds > TRY * _scan_seconds(view, allowed) or allowed.allow is None:
        return None
    answer = _asked(view, index, query, k, point.effort, replace(allowed.allow, share=share))
    if answer.positions[0, -1] < 0 or 2 * answer.passed[0] < share * answer.seen[0]:
        return None
    return _rescored(view, query[0], answer.positions[0], metric)


def _rescored(view: SegmentView, query: npt.NDArray[np.float32], row: npt.NDArray[np.int64], metric: Metric) -> Found:
    """Final scores of an index's candidates, best first."""
    if row[-1] < 0:
        row = row[row >= 0]
    final = scores(query, view.segment.vectors[row], metric)
    order = np.lexsort((row, -final))
    return final[order], row[order]
