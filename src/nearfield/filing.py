"""Files of documents into a collection. Part of Collection; knows it by get, upsert and delete alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from nearfield.core.types import Written
    from nearfield.extract.results import Failed, Limits


class Filing:
    """What files become. Who holds it has `get`, `upsert`, `delete` and `commit`."""

    def add_file(
        self, path: str | Path, *, failed: Callable[[Failed], None] | None = None, limits: Limits | None = None
    ) -> Written:
        """Reads one file and writes its documents: text, Markdown, HTML, PDF, DOCX, CSV, TSV, JSON lines, Parquet, mail.

        Its name is the id, with "#n" for each row or message and for each part of a long text; what an earlier content of
        the file had and this one has not is deleted. A process of its own reads it, within bounds of time and memory. For many
        files take `nf.read_documents`, or `nearfield add`.

        Args:
            path: a file.
            failed: called with each row or message that cannot be read, and why; None: they are logged as warnings.
            limits: what the file may ask for; `nearfield.extract.Limits`.

        Returns:
            What was written; `skipped` documents were there, as the unchanged file says.

        Raises:
            NotFound: there is no such file.
            InvalidInput: nothing of it can be read, with the reason.
        """
        from nearfield.extract import taking

        return taking.add_file(self, path, failed, limits)
