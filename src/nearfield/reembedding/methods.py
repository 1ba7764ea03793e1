"""What a database can do with generations of its collections: embed anew, go back, forget. Part of Database, which holds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from nearfield.core import inputs
from nearfield.core.config import parse_time

if TYPE_CHECKING:
    from nearfield.database import Database
    from nearfield.embed.base import Embedder
    from nearfield.evaluate.run import Judgements
    from nearfield.reembedding.comparing import Queries
    from nearfield.reembedding.report import ReembedReport

WINDOW = "7d"
"""How long a generation that is not live is kept."""


class Reembedding:
    """Generations of collections."""

    def reembed(
        self,
        name: str,
        embedder: str | Embedder,
        *,
        queries: Queries | None = None,
        qrels: Judgements | None = None,
        k: int = 10,
        switch: bool = True,
        undo_window: float | str = WINDOW,
        progress: Callable[[str], None] | None = None,
    ) -> ReembedReport:
        """Embeds all documents of a collection by another model, beside the live vectors, then switches to the new ones.

        Searches and writes go on; what is written meanwhile is in the new generation too. Whoever holds the collection goes on
        with the new one: a search sees one model from begin to end. Interrupted, by Ctrl-C, a kill, a full disk or a model that
        fails, it has changed nothing, and run again it goes on: what is embedded is not embedded again.

        Metric, index, recall, fields, passages, words, pin and how many queries are recorded are carried over; recorded queries
        are not: they are vectors of the old model.

        Args:
            name: of a collection all of whose documents have texts.
            embedder: a name for `nearfield.embed.load`, or an embedder object.
            queries: what the two models are compared with: texts, texts by id, or a file (queries.jsonl, .tsv); else the texts
                of 200 documents, each left out of its own hits.
            qrels: grades by query's and document's id, or a file: both models are judged by them too.
            k: hits compared.
            switch: False only builds and compares; what was built is kept, and gone on with when this is called again.
            undo_window: seconds, or text such as "7d", for which the generation that is not live is kept.
            progress: called with a line for people.

        Raises:
            InvalidInput: documents without a text (the message says how many), the same model, a bad option; nothing was built.
            NotFound: no collection has the name.
            Overloaded: it is being embedded anew already, or more is written than the new model can embed.
            OutOfSpace: the disk is full; the live one is not touched, and what was built is kept.
            Closed: the collection was dropped, or the database closed, meanwhile.
        """
        from nearfield.reembedding import comparing, run

        db = cast("Database", self)
        db._check_writable()
        texts = comparing.texts_of(queries, qrels)
        wanted = run.Wanted(texts, qrels, inputs.k(k), switch, parse_time(undo_window, "undo_window"))
        return run.reembed(db, inputs.name(name), embedder, wanted, progress or _silent)

    def undo_reembed(
        self,
        name: str,
        *,
        embedder: Embedder | None = None,
        undo_window: float | str = WINDOW,
        progress: Callable[[str], None] | None = None,
    ) -> ReembedReport:
        """Goes back to the generation before the last `reembed`, with all that was written since, embedded by its model.

        The one that was live is kept in turn, so that this can be undone by calling it again.

        Args:
            name: of a collection that was embedded anew, within its undo window.
            embedder: the old model where it was given as an object.
            undo_window: how long the one that was live is kept.
            progress: called with a line for people.

        Raises:
            NotFound: no earlier generation is kept.
            ModelMismatch, MissingDependency: the old model is needed and not to be had; nothing was changed.
            InvalidInput: what was written since cannot be embedded: it has no text, or the old vectors were brought.
        """
        from nearfield.reembedding import run

        db = cast("Database", self)
        db._check_writable()
        return run.undo(db, inputs.name(name), embedder, parse_time(undo_window, "undo_window"), progress or _silent)

    def forget_generation(self, name: str) -> bool:
        """Removes what `reembed` built and did not switch to, or keeps for `undo_reembed`, now; whether there was any."""
        from nearfield.reembedding import run

        db = cast("Database", self)
        db._check_writable()
        return run.forget(db, inputs.name(name))

    def generations(self, name: str) -> tuple[dict[str, Any], ...]:
        """What is kept beside the live generation, each with state ("building" or "old"), model, since, until, path, nbytes."""
        db = cast("Database", self)
        found: tuple[dict[str, Any], ...] = db._generations.others(db.get(name)._live.number)
        return found


def _silent(line: str) -> None:
    """In place of progress."""
