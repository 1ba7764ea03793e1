"""Asks recorded searches again, of another build or machine: are the answers the same, are they right, are they as quick?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from nearfield.core.errors import InvalidInput, NotFound
from nearfield.load.openloop import overlap, quantiles
from nearfield.load.targets import Target


@dataclass(frozen=True, slots=True)
class Recorded:
    """One line of a slow-query log."""

    collection: str
    request: dict[str, Any]
    ids: list[str]
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of asking again.

    Attributes:
        asked, failed: how many; errors by code.
        overlap: mean share of the recorded ids that came back, in any order.
        same: share of answers with the same ids in the same order.
        recall: mean recall@k of the new answers against the exact ones.
        before, now: quantiles of seconds, as recorded and now.
        worst: the recorded requests with the least overlap: (overlap, request), at most ten.
    """

    asked: int
    failed: dict[str, int]
    overlap: float
    same: float
    recall: float
    before: dict[str, float]
    now: dict[str, float]
    worst: list[tuple[float, dict[str, Any]]]


def read(path: Path) -> list[Recorded]:
    """The searches of a log that `nearfield serve --slow-log FILE --slow 0` wrote; the last line may be cut short.

    Raises:
        NotFound: no such file.
        InvalidInput: a line is none of such a log.
    """
    if not path.is_file():
        raise NotFound("no such file", field="log", received=str(path))
    out: list[Recorded] = []
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            told = msgspec.json.decode(line)
            out.append(Recorded(told["collection"], told["request"], told["ids"], told["milliseconds"]))
        except (msgspec.DecodeError, KeyError, TypeError, UnicodeDecodeError):
            if number < len(lines) or not out:
                raise InvalidInput(
                    f"line {number} is no recorded search", field="log", expected="a file of nearfield serve --slow-log"
                ) from None
    return out


async def replay(
    target: Target, recorded: list[Recorded], *, exact: bool = True, progress: Callable[[int], None] | None = None
) -> Compared:
    """Asks each search again, one at a time; with `exact` also exactly."""
    shares: list[float] = []
    same: list[bool] = []
    recalls: list[float] = []
    failed: dict[str, int] = {}
    times: list[float] = []
    asked = 0
    for each in recorded:
        asked += 1
        answer = await target.ask(each.request)
        if progress is not None:
            progress(asked)
        if answer.error:
            failed[answer.error] = failed.get(answer.error, 0) + 1
            shares.append(0.0)
            continue
        times.append(answer.seconds)
        shares.append(len(set(answer.ids) & set(each.ids)) / len(each.ids) if each.ids else float(not answer.ids))
        same.append(answer.ids == each.ids)
        if exact:
            plain = {key: value for key, value in each.request.items() if key not in ("recall", "effort")}
            truth = await target.ask({**plain, "exact": True})
            if not truth.error:
                recalls.append(overlap(answer, truth, int(each.request.get("k", 10))))
    worst = sorted(zip(shares, recorded, strict=True), key=lambda pair: pair[0])[:10]
    return Compared(
        asked,
        failed,
        float(np.mean(shares)) if shares else 1.0,
        float(np.mean(same)) if same else 0.0,
        float(np.mean(recalls)) if recalls else float("nan"),
        quantiles([r.milliseconds / 1000 for r in recorded]),
        quantiles(times),
        [(share, r.request) for share, r in worst if share < 1],
    )
