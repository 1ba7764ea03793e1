"""What commands print: JSON for programs, tables for people, progress on standard error. Knows no verb."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

import typer

from nearfield.core.errors import shorten

PIPED_WIDTH = 200
"""Columns of a table where standard output is not a terminal."""
EVERY = 5.0
"""Seconds between lines of progress where standard error is not a terminal."""


_CONTROLS = {i: f"\\x{i:02x}" for i in (*range(32), *range(127, 160)) if chr(i) not in "\n\t"}


def tame(text: str) -> str:
    """A text without what a terminal would obey: documents, ids and names of files come from anywhere."""
    return text.translate(_CONTROLS)


def as_json(value: Any) -> None:
    """Prints one JSON value on standard output, on one line."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def line(text: str) -> None:
    """Prints one line on standard output."""
    typer.echo(tame(text))


def note(text: str) -> None:
    """Prints one line on standard error: for people, beside the result."""
    typer.echo(tame(text), err=True)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = (), title: str | None = None
) -> None:
    """Prints a table; the columns in `right` are aligned to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        out.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        out.add_row(*[Text(tame(str(value))) for value in row])
    Console(width=None if sys.stdout.isatty() else PIPED_WIDTH).print(out)


def pairs(values: Mapping[str, Any]) -> None:
    """Prints names and values, aligned."""
    width = max(map(len, values), default=0)
    for name, value in values.items():
        typer.echo(tame(f"{name:<{width}}  {value}"))


def document(found: Any) -> dict[str, Any]:
    """A document as JSON values; the vector only where it was fetched."""
    out = {"id": found.id, "text": found.text, "metadata": dict(found.metadata)}
    if found.vector is not None:
        out["vector"] = found.vector.tolist()
    if found.parts:
        out["parts"] = [{"name": p.name, "start": p.start, "end": p.end, "vector": p.vector.tolist()} for p in found.parts]
    return out


def vectors(document: Mapping[str, Any]) -> list[tuple[str, list[float]]]:
    """The vectors of what `document` gives, each with a title; none where they were not fetched."""
    found = [("vector", document["vector"])] if "vector" in document else []
    for i, part in enumerate(document.get("parts", ())):
        place = "" if part["start"] is None else f", {part['start']} to {part['end']}"
        found.append((f"vector {i} {part['name']}".rstrip() + place, part["vector"]))
    return found


def brief(metadata: Mapping[str, Any], limit: int = 60) -> str:
    """Metadata on one short line."""
    return shorten(", ".join(f"{key}={value}" for key, value in metadata.items()), limit)


def duration(seconds: float) -> str:
    """Seconds for people: 0.8 ms, 12.3 s, 4 min 05 s."""
    if seconds < 1:
        return f"{seconds * 1000:.2f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def moment(seconds: float) -> str:
    """A moment, in seconds since 1970, for people: local date and minute, and how long ago that is."""
    ago = max(0.0, time.time() - seconds)
    days, hours = int(ago // 86400), int(ago // 3600)
    said = f"{days} d" if days else f"{hours} h" if hours else f"{int(ago // 60)} min"
    return f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(seconds))} ({said} ago)"


class Meter:
    """Progress on standard error: a bar with rate and remaining time in a terminal, a line every few seconds elsewhere.

    Args:
        title: what is being done.
        total: of the units that `at` counts (bytes, rows or files); None where it is not known.
    """

    def __init__(self, title: str, total: int | None) -> None:
        self.title, self.total = title, total
        self.started = self._last = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Meter:
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.TaskProgressColumn(),
                progress.TextColumn("{task.fields[said]}"),
                progress.TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self.title, total=self.total, said="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, at: int, documents: int) -> None:
        """Shows that `at` of the total is read, and `documents` are done."""
        now = time.monotonic()
        rate = documents / max(now - self.started, 1e-9)
        said = f"{documents:,} documents, {rate:,.0f}/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=at, said=said)
        elif now - self._last >= EVERY:
            self._last = now
            remaining = ""
            if self.total and at:
                left = (now - self.started) * (self.total - at) / at
                remaining = f", {100 * at / self.total:.0f} %, {duration(max(0.0, left))} to go"
            note(f"{self.title}: {said}{remaining}")
