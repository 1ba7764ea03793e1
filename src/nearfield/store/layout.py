"""The name of every file and directory on disk, in one place. Knows names, not contents; FORMAT.md explains both."""

from __future__ import annotations

from pathlib import Path

FORMAT = 1
"""The format version written everywhere and the only one that is read."""

DATABASE = "nearfield.sqlite"
LOCK = "lock"
COLLECTIONS = "c"
CATALOG = "catalog.sqlite"
SEGMENTS = "segments"
MANIFEST = "manifest.json"
VECTORS = "vectors.bin"
NORMS = "norms.f32"
ROWS = "rows.i64"
DOCUMENTS = "documents.arrow"
LOOKUP = "ids.lookup"
COLUMNS = "columns.arrow"
TEMPORARY = "tmp-"
TUNE = "tune"


def collection(root: Path, number: int) -> Path:
    """The directory of collection `number` under the database directory `root`."""
    return root / COLLECTIONS / f"{number:08d}"


def segment(collection_directory: Path, number: int) -> Path:
    """The directory of segment `number` of a collection."""
    return collection_directory / SEGMENTS / f"{number:08d}"


def index(number: int) -> str:
    """The name of an index's files inside its segment's directory, without their suffixes."""
    return f"index-{number}"
