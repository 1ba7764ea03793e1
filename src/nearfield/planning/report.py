"""A front as files: JSON, a picture, and one HTML page that refers to nothing outside itself. The only import of matplotlib."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from nearfield.core.config import format_size
from nearfield.core.errors import InvalidInput, MissingDependency
from nearfield.planning.front import COLUMNS, Front, spelled

FORMATS = (".png", ".svg")
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: .85rem; display: block; overflow-x: auto; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #8886; white-space: nowrap; }
th:nth-child(-n+3), td:nth-child(-n+3), td:last-child { text-align: left; }
tr.best { font-weight: 600; }
img { max-width: 100%; background: white; border-radius: .3rem; }
code { background: #8882; padding: .1rem .3rem; border-radius: .2rem; }
"""


def plot(front: Front, path: Path) -> None:
    """Draws the front into a .png or .svg file; raises InvalidInput for another, MissingDependency without matplotlib."""
    if path.suffix.lower() not in FORMATS:
        raise InvalidInput("not a picture's name", field="path", expected="a name ending in .png or .svg", received=path.name)
    path.write_bytes(picture(front, path.suffix[1:].lower()))


def empty(width: float, height: float) -> Any:
    """A matplotlib figure of inches; raises MissingDependency without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependency("pictures need matplotlib; run: pip install 'nearfield[plots]'", field="plot") from error
    return Figure(figsize=(width, height), layout="constrained")


def picture(front: Front, form: str) -> bytes:
    """Recall against QPS for each index at every setting, and bytes for each vector against QPS at the goal's recall."""
    figure = empty(12, 5)
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    left, right = figure.subplots(1, 2)
    whole = [m for m in front.measured if m.whole and m.points] or [m for m in front.measured if m.points]
    for m in whole:
        recalls = [recall for recall, _, _ in m.points]
        line = left.plot(recalls, [1 / seconds for _, _, seconds in m.points], marker=".", lw=1.2, label=spelled(m.kind))[0]
        if m.effort is not None:
            best = m is front.best.measured
            at = m.resident / m.rows, m.qps or 1 / m.seconds
            right.plot(*at, marker="*" if best else "o", ls="", ms=14 if best else 8, color=line.get_color())
            said = spelled(m.kind) + (" (best)" if best else "")
            right.annotate(said, at, xytext=(8, 6), textcoords="offset points", fontsize=7)
    left.axvline(front.goal.recall, color="grey", lw=0.8, ls="--")
    left.set(xlabel=f"mean recall@{front.goal.k}", ylabel="single searches a second, one thread", yscale="log")
    if whole:
        left.legend(fontsize=7, loc="lower left")
    right.margins(x=0.35, y=0.2)
    right.set(xlabel="bytes of memory for each vector", ylabel=f"searches a second at recall {front.goal.recall}")
    for axes in (left, right):
        axes.grid(alpha=0.3, which="both")
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    out = io.BytesIO()
    figure.savefig(out, format=form, dpi=130)
    return out.getvalue()


def page(front: Front, image: bytes | None) -> str:
    """The HTML page, with a picture (PNG) if there is one."""
    shown = "<p>Pictures need matplotlib: <code>pip install 'nearfield[plots]'</code></p>"
    if image is not None:
        data = base64.b64encode(image).decode()
        shown = f'<img alt="recall and memory against searches a second" src="data:image/png;base64,{data}">'
    about = "".join(_line("td", [str(k), str(v)]) for k, v in front.about.items())
    goal = front.goal
    asked = [f"recall@{goal.k} of {goal.recall} or more"]
    asked += [f"P99 within {1000 * goal.latency:g} ms"] if goal.latency is not None else []
    asked += [f"at most {format_size(goal.memory)} of memory"] if goal.memory is not None else []
    table = _line("th", COLUMNS)
    table += "".join(_line("td", cells, best=cells[0] == "*") for cells in front.cells())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>nearfield: tuning</title><style>{_STYLE}</style></head><body>
<h1>Which index?</h1>
<p>Asked for: {html.escape("; ".join(asked))}. {html.escape(" ".join(front.notes()))}</p>
<p><b>{html.escape(front.best.reason)}</b></p>
{f"<p>To apply it: <code>{html.escape(front.apply)}</code></p>" if front.best.kind is not None else ""}
{shown if front.measured else ""}
<h2>Measured</h2>
<table>{table}</table>
<p>* the best; + none is both quicker and smaller. Recall is the mean over held-out or real queries at the cheapest setting
whose one-sided 95 % lower bound ("at least") reaches the goal. Times are of the index alone, on one thread; an index that was
given up on a sample has none of all rows.</p>
<h2>Where and when</h2><table>{about}</table>
</body></html>
"""


def _line(tag: str, cells: Sequence[str], *, best: bool = False) -> str:
    inside = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr{' class=best' if best else ''}>{inside}</tr>"


def write(front: Front, directory: Path) -> list[Path]:
    """Writes front.json, front.html, and with matplotlib front.png, over what was there; returns what was written."""
    directory.mkdir(parents=True, exist_ok=True)
    written = [directory / "front.json", directory / "front.html"]
    written[0].write_bytes(msgspec.json.format(msgspec.json.encode(front.to_dict()), indent=1))
    image = None
    if any(m.points for m in front.measured):
        try:
            image = picture(front, "png")
        except MissingDependency:
            image = None
    written[1].write_text(page(front, image), encoding="utf-8")
    if image is not None:
        (directory / "front.png").write_bytes(image)
        written.append(directory / "front.png")
    return written
