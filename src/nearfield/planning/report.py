"""A front as files: JSON, a picture, and one HTML page that refers to nothing outside itself. The only import of matplotlib."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import Any

import msgspec

from nearfield.core.config import format_size
from nearfield.core.errors import InvalidInput, MissingDependency
from nearfield.planning.front import Front, Measured, spelled

FORMATS = (".png", ".svg")
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: .85rem; display: block; overflow-x: auto; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #8886; white-space: nowrap; }
th:first-child, td:first-child, td:last-child { text-align: left; }
tr.best { font-weight: 600; }
img { max-width: 100%; background: white; border-radius: .3rem; }
code { background: #8882; padding: .1rem .3rem; border-radius: .2rem; }
"""


def plot(front: Front, path: Path) -> None:
    """Draws the front into a .png or .svg file; raises InvalidInput for another, MissingDependency without matplotlib."""
    if path.suffix.lower() not in FORMATS:
        raise InvalidInput("not a picture's name", field="path", expected="a name ending in .png or .svg", received=path.name)
    path.write_bytes(picture(front, path.suffix[1:].lower()))


def picture(front: Front, form: str) -> bytes:
    """Recall against QPS for each index at every setting, and bytes for each vector against QPS at the goal's recall."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependency("pictures need matplotlib; run: pip install 'nearfield[plots]'", field="plot") from error
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    whole = [m for m in front.measured if m.whole] or list(front.measured)
    for m in whole:
        recalls = [recall for recall, _, _ in m.points]
        left.plot(recalls, [1 / seconds for _, _, seconds in m.points], marker=".", lw=1.2, label=spelled(m.kind))
        if m.effort is not None:
            right.plot(m.resident / m.rows, 1 / m.seconds, marker="*" if m is front.best.measured else "o", ls="", ms=9)
            right.annotate(str(m.kind["kind"]), (m.resident / m.rows, 1 / m.seconds), xytext=(6, 4), textcoords="offset points")
    left.axvline(front.goal.recall, color="grey", lw=0.8, ls="--")
    left.set(xlabel=f"mean recall@{front.goal.k}", ylabel="single searches a second, one thread", yscale="log")
    if whole and any(m.points for m in whole):
        left.legend(fontsize=7, loc="lower left")
    right.set(xlabel="bytes of memory for each vector", ylabel=f"searches a second at recall {front.goal.recall}", yscale="log")
    for axes in (left, right):
        axes.grid(alpha=0.3, which="both")
    out = io.BytesIO()
    figure.savefig(out, format=form, dpi=130)
    return out.getvalue()


def page(front: Front, apply: str) -> str:
    """The HTML page."""
    image = base64.b64encode(picture(front, "png")).decode()
    about = "".join(f"<tr><td>{html.escape(str(k))}</td><td>{html.escape(str(v))}</td></tr>" for k, v in front.about.items())
    goal = front.goal
    asked = [f"recall@{goal.k} of {goal.recall} or more"]
    asked += [f"P99 within {1000 * goal.latency:g} ms"] if goal.latency is not None else []
    asked += [f"at most {format_size(goal.memory)} of memory"] if goal.memory is not None else []
    rows = "".join(_row(m, front) for m in front.measured)
    state = "" if front.finished else "<b>Not finished: run it again and it goes on.</b>"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>nearfield: tuning</title><style>{_STYLE}</style></head><body>
<h1>Which index?</h1>
<p>Asked for: {html.escape("; ".join(asked))}. {state}</p>
<p><b>{html.escape(front.best.reason)}</b></p>
<p>To apply it: <code>{html.escape(apply)}</code></p>
<img alt="recall and memory against searches a second" src="data:image/png;base64,{image}">
<h2>Measured</h2>
<table><tr><th>index</th><th>rows</th><th>recall</th><th>at least</th><th>P50 ms</th><th>P99 ms</th><th>QPS</th>
<th>QPS, all cores</th><th>bytes</th><th>memory</th><th>build s</th><th></th></tr>{rows}</table>
<p>Recall is the mean over held-out or given queries at the cheapest setting whose one-sided 95 % lower bound ("at least")
reaches the goal. An index that was given up on a sample has no times of all rows.</p>
<h2>Where and when</h2><table>{about}</table>
</body></html>
"""


def _row(m: Measured, front: Front) -> str:
    best = m is front.best.measured
    cells: list[Any] = [spelled(m.kind), f"{m.rows:,}"]
    cells += [f"{m.recall:.3f}", f"{m.bound:.3f}"] if m.effort else ["-", "-"]
    cells += [f"{1000 * (m.p50 or m.seconds):.3f}", f"{1000 * m.p99:.3f}" if m.p99 else "-"]
    cells += [f"{m.qps:,.0f}" if m.qps else "-", f"{m.busy_qps:,.0f}" if m.busy_qps else "-"]
    cells += [format_size(m.nbytes), format_size(m.resident), f"{m.build:.1f}"]
    cells.append("best" if best else m.fits(front.goal) or ("" if m.whole else "given up on a sample"))
    inside = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells)
    return f"<tr{' class=best' if best else ''}>{inside}</tr>"


def write(front: Front, directory: Path, apply: str) -> list[Path]:
    """Writes front.json, front.png and front.html; without matplotlib only the first. Returns what was written."""
    directory.mkdir(parents=True, exist_ok=True)
    written = [directory / "front.json"]
    value = {**front.to_dict(), "apply": apply}
    written[0].write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1))
    try:
        image, text = picture(front, "png"), page(front, apply)
    except MissingDependency:
        return written
    (directory / "front.png").write_bytes(image)
    (directory / "front.html").write_text(text, encoding="utf-8")
    return [*written, directory / "front.png", directory / "front.html"]
