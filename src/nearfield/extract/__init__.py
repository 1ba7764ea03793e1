"""Texts and metadata out of files: text, Markdown, HTML, PDF, DOCX, CSV, TSV, JSON lines, Parquet, mail.

Knows documents, no collection: what reads a file does not know where it goes. Nothing heavy is loaded before a file is read.
"""

from __future__ import annotations

from pathlib import Path

from nearfield.core.errors import InvalidInput
from nearfield.extract.kinds import KINDS, SUFFIXES, kind_of
from nearfield.extract.results import Extracted, Failed, Limits, Unreadable

__all__ = ["KINDS", "SUFFIXES", "Extracted", "Failed", "Limits", "Unreadable", "extract", "kind_of"]


def extract(path_or_bytes: str | Path | bytes, kind: str | None = None, *, limits: Limits | None = None) -> list[Extracted]:
    """The texts of one file, each with its metadata; read by a process of its own within bounds.

    For many files `nf.read_documents` is quicker: it reads all of them with one process.

    Args:
        path_or_bytes: a file, or its bytes.
        kind: one of KINDS; None: by the end of the file's name. Bytes need one.
        limits: what the file may ask for.

    Returns:
        One text for most kinds; one for each row or message of csv, tsv, jsonl, parquet and mbox, those that cannot be read are
        left out. Empty for an empty file.

    Raises:
        InvalidInput: `Unreadable` with the reason, or a kind that is not known.
        MissingDependency: what reads this kind is not installed.
    """
    from nearfield.extract.files import read_file
    from nearfield.extract.worker import Extractor

    name = None if isinstance(path_or_bytes, bytes) else Path(path_or_bytes).name
    wanted = kind if kind is not None or name is None else kind_of(name)
    found = next((k for k in KINDS if k == wanted), None)
    if found is None:
        raise InvalidInput("unknown kind of file", field="kind", expected="one of " + ", ".join(KINDS), received=kind or name)
    with Extractor(limits) as extractor:
        if isinstance(path_or_bytes, bytes):
            return extractor.read(found, path_or_bytes).texts
        try:
            data, _ = read_file(Path(path_or_bytes), extractor.limits)
            return extractor.read(found, data).texts
        except Unreadable as error:
            error.field = str(path_or_bytes)
            raise
