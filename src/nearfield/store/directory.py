"""A database's directory: made where it is missing, refused where it holds something else; a collection's inside it."""

from __future__ import annotations

from pathlib import Path

from nearfield.core.errors import InvalidInput
from nearfield.store import catalog, files, layout
from nearfield.store.catalog import Settings
from nearfield.store.keyword import Options


def prepare(path: Path) -> None:
    """Makes the directory if it is missing; refuses one that holds something else."""
    if path.exists() and not path.is_dir():
        raise InvalidInput("not a directory", field="path", expected="a directory", received=str(path))
    if path.is_dir() and not (path / layout.DATABASE).exists():
        strange = sorted(f.name for f in path.iterdir() if f.name not in (layout.LOCK, layout.COLLECTIONS))
        strange = [name for name in strange if not name.startswith((layout.DATABASE, layout.TEMPORARY))]
        if strange:
            raise InvalidInput(
                "the directory is not a database and not empty",
                field="path",
                expected="an empty or new directory, or one made by nearfield",
                received=f"{path} with {', '.join(strange[:3])}",
            )
    missing = [place for place in (path, *path.parents) if not place.exists()]
    for place in reversed(missing):
        files.make_directory(place)
        files.sync_directory(place.parent)
    if not (path / layout.COLLECTIONS).exists():
        files.make_directory(path / layout.COLLECTIONS)
        files.sync_directory(path)


def make_collection(root: Path, number: int, settings: Settings, words: Options | None) -> None:
    """Makes a collection's directory, empty and durable, with an index of words if `words` says how; or leaves nothing."""
    place = layout.collection(root, number)
    files.make_directory(place)
    try:
        files.make_directory(place / layout.SEGMENTS)
        catalog.create(place / layout.CATALOG, settings, words)
        files.sync_directory(place)
        files.sync_directory(place.parent)
    except BaseException:
        files.remove_tree(place)
        raise
