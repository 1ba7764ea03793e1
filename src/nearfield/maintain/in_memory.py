"""A segment brought into memory and let go of again: its vectors and its index. Decides nothing, knows no budget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nearfield.engine.snapshot import SegmentView
from nearfield.store import layout, paging


def nbytes(view: SegmentView) -> int:
    """Bytes of memory when all of it has been touched."""
    return int(view.segment.vectors.nbytes) + (0 if view.index is None else view.index.file.resident_bytes)


def load(view: SegmentView, stopping: Callable[[], bool], *, whole: bool) -> None:
    """Opens the index, and with `whole` reads the files through; returns early once `stopping` says so."""
    if view.index is not None:
        view.index.file.get()
    for path in _files(view) if whole else ():
        paging.load(path, stopping)


def let_go(view: SegmentView) -> None:
    """Closes the index and gives the memory of the files back; a search opens them again."""
    if view.index is not None:
        view.index.file.let_go()
    for path in _files(view):
        paging.let_go(path, view.segment.vectors if path.name == layout.VECTORS else None)


def _files(view: SegmentView) -> list[Path]:
    """The files that a search reads the most."""
    found = [view.segment.directory / layout.VECTORS]
    if view.index is not None:
        found += [view.segment.directory / name for name in view.index.record.files]
    return [path for path in found if path.exists()]
