"""A threshold from scores of nearest neighbours: the valley between near-duplicates and ordinary neighbours, if any.

Knows scores. The scores are looked at as logarithms of distances (l2: the distance; cosine: the angle's chord; ip: of the
products' own range), where near-duplicates and neighbours are two hills, however different in scale. A valley counts where the
hill on its near side has enough documents, where it is clearly lower than both hills, and where most resamples show it too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nearfield.core.duplicates import Suggestion
from nearfield.core.metric import Metric
from nearfield.duplicates.rows import Rows
from nearfield.duplicates.sampling import nearest

SHARES = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5)
LEAST, LEAST_SHARE = 8, 0.004
"""Documents, and share of the sample, that the hill of near-duplicates must have."""
DEEP = 0.5
"""The valley's height, of the lower hill's, at most."""
RESAMPLES, AGREE = 40, 0.8
"""Resamples of the sample, and the share of them that must have a valley too."""
GRID, BINS = 512, 40

Floats = npt.NDArray[np.float64]


def suggest(rows: Rows, sampled: int, seed: int = 0) -> Suggestion:
    """Looks at the nearest neighbours of `sampled` rows, compared with all others exactly."""
    n = len(rows)
    if n < 100:
        return Suggestion(None, f"{n} documents are too few to say what is usual among them", n)
    random = np.random.default_rng(seed)
    which = np.sort(random.choice(n, min(n, sampled), replace=False))
    scores = np.concatenate([nearest(rows.take, n, which[s : s + 512], rows.metric) for s in range(0, len(which), 512)])
    return of_scores(scores.astype(np.float64), rows.metric, random)


def of_scores(scores: Floats, metric: Metric, random: np.random.Generator) -> Suggestion:
    """The suggestion for scores of nearest neighbours (s,)."""
    quantiles = {share: float(np.quantile(scores, 1 - share)) for share in SHARES}
    counts, edges = np.histogram(scores, BINS)
    histogram = tuple((float(a), float(b), int(c)) for a, b, c in zip(edges[:-1], edges[1:], counts, strict=True))
    logs, back = _logs(scores, metric)
    at = _valley(logs)
    plain = f"1 % of documents have a neighbour that scores {quantiles[0.01]:.4g} or more, half of them {quantiles[0.5]:.4g}"
    if at is None:
        reason = f"no valley between near-duplicates and ordinary neighbours: no threshold stands out; {plain}"
        return Suggestion(None, reason, len(scores), 0.0, quantiles, histogram)
    again = [_valley(random.choice(logs, len(logs))) for _ in range(RESAMPLES)]
    agreeing = np.mean([found is not None for found in again])
    if agreeing < AGREE:
        reason = f"a valley that only {agreeing:.0%} of resamples show, too little to rely on; {plain}"
        return Suggestion(None, reason, len(scores), 0.0, quantiles, histogram)
    above = back(at)
    share = float((scores >= above).mean())
    reason = f"{share:.1%} of documents have a neighbour beyond a valley in the scores at {above:.4g}; {plain}"
    return Suggestion(above, reason, len(scores), share, quantiles, histogram)


def _logs(scores: Floats, metric: Metric) -> tuple[Floats, _Back]:
    """Logarithms of distances, and the way back to a score."""
    if metric is Metric.L2:
        squared, back = -scores, _Back(metric, 0.0)
    elif metric is Metric.COSINE:
        squared, back = 2 - 2 * scores, _Back(metric, 0.0)
    else:
        top = float(scores.max())
        squared, back = top - scores, _Back(metric, top)
    usual = max(float(np.median(squared)), 1e-12)
    return 0.5 * np.log(np.maximum(squared, 1e-6 * usual)), back


class _Back:
    def __init__(self, metric: Metric, top: float) -> None:
        self._metric, self._top = metric, top

    def __call__(self, at: float) -> float:
        squared = float(np.exp(2 * at))
        if self._metric is Metric.COSINE:
            return 1 - squared / 2
        return -squared if self._metric is Metric.L2 else self._top - squared


def _valley(logs: Floats) -> float | None:
    """The lowest place between two hills of the density of logarithms, or None."""
    spread = min(float(logs.std()), float(np.subtract(*np.quantile(logs, [0.75, 0.25]))) / 1.34) or float(logs.std())
    if spread == 0:
        return None
    width = 0.9 * spread * len(logs) ** -0.2
    grid = np.linspace(logs.min() - 3 * width, logs.max() + 3 * width, GRID)
    density = np.zeros(GRID)
    for start in range(0, len(logs), 1024):
        density += np.exp(-0.5 * ((grid[:, None] - logs[None, start : start + 1024]) / width) ** 2).sum(axis=1)
    main = int(density.argmax())
    best, found = DEEP, None
    for i in range(1, main):
        if not density[i - 1] >= density[i] < density[i + 1]:
            continue
        depth = density[i] / max(density[:i].max(), 1e-300)
        below = int((logs <= grid[i]).sum())
        if below >= max(LEAST, LEAST_SHARE * len(logs)) and depth < best:
            best, found = depth, float(grid[i])
    return found
