"""The steps of embedding a collection anew, and of going back: check, make, copy, index, compare, switch, clean up.

Knows the parts by their interfaces; what each does is in its own module. Every step can be interrupted and begun again.
"""

from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec

from nearfield.core.config import format_size
from nearfield.core.errors import InvalidInput, ModelMismatch, NotFound, OutOfSpace
from nearfield.core.metric import Metric
from nearfield.engine.parted import PartedEngine
from nearfield.index import decode_kind
from nearfield.reembedding import changes, comparing
from nearfield.reembedding.copying import Copy, Say, in_parts, pictures, textless
from nearfield.reembedding.report import Overlap, ReembedReport
from nearfield.reembedding.switching import Switch, reached
from nearfield.store import directory, keyword, layout, sqlite
from nearfield.store.generations import BUILDING, OLD, Kept

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nearfield.collection import Collection
    from nearfield.database import Database
    from nearfield.embed.base import Embedder
    from nearfield.evaluate.report import Evaluation
    from nearfield.evaluate.run import Judgements
    from nearfield.store.catalog import Settings


class Wanted(msgspec.Struct, frozen=True):
    """What is asked for, checked: texts by id, judgements, hits to compare, whether to switch, seconds to keep the other."""

    queries: Any
    qrels: Any
    k: int
    switch: bool
    window: float


def reembed(db: Database, name: str, embedder: str | Embedder, wanted: Wanted, say: Say) -> ReembedReport:
    """See Database.reembed."""
    start = time.monotonic()
    held = db.get(name)
    number = held._live.number
    with db._generations.running(number) as stop:
        source = held.fixed()
        settings, given = _settings(source, embedder)
        _check_texts(source)
        target, resumed = _target(db, number, source, settings, given, wanted.window)
        if resumed:
            say(f"going on with what was built before: {len(target):,} documents")
        copy = Copy(source, target, stop, say)
        try:
            copy.all()
            reached("copied")
            target.optimize(progress=say)
            reached("indexed")
            copy.catch_up()
            overlap, evaluation, notes = _compare(source, target, wanted, say)
            _carry_words(source, target, say)
            if not wanted.switch:
                return _report(db, source, target, copy, None, overlap, evaluation, notes, wanted, start)
            switch = _switched(db, copy, source, target, wanted.window, stop, say)
        except OutOfSpace as error:
            error.message += "; what was built is kept and goes on when this is run again, or is removed by forget_generation"
            raise
    return _report(db, source, target, copy, switch, overlap, evaluation, notes, wanted, start)


def undo(db: Database, name: str, embedder: Embedder | None, window: float, say: Say) -> ReembedReport:
    """See Database.undo_reembed."""
    start = time.monotonic()
    held = db.get(name)
    number = held._live.number
    with db._generations.running(number) as stop:
        kept = next((one for one in db._generations.kept(number) if one.state == OLD), None)
        if kept is None:
            raise NotFound("no earlier generation is kept: there was none, or its time was up", field="name", received=name)
        source = held.fixed()
        given = embedder if embedder is not None else db._generations.given.get(kept.number)
        target = db._collection(_called(source.name, kept.model), kept.number, given)
        copy = Copy(source, target, stop, say)
        copy.since(kept.mark)
        _carry_words(source, target, say)
        reached("copied")
        wanted = Wanted(None, None, 10, True, window)
        switch = _switched(db, copy, source, target, window, stop, say)
    return _report(db, source, target, copy, switch, None, None, (), wanted, start)


def forget(db: Database, name: str) -> bool:
    """See Database.forget_generation."""
    number = db.get(name)._live.number
    with db._generations.running(number):
        found = db._generations.kept(number)
        for kept in found:
            db._generations.remove(kept)
    return bool(found)


def _settings(source: Collection, embedder: Any) -> tuple[Settings, Embedder | None]:
    """The settings of the new generation: those of the old one, but for the model; and the embedder if it is an object."""
    from nearfield import embed

    if embedder is None:
        raise InvalidInput("name the model to embed with", field="embedder", expected="a name, or an embedder object")
    if isinstance(source._engine, PartedEngine) and source._engine.spec.fields:
        raise InvalidInput(
            "this collection has several vectors for each document, each with a model of its own; make a new one, and load it",
            field="name",
            expected="a collection with one vector for each text or passage",
            received=source.name,
        )
    loaded = embed.load(embedder) if isinstance(embedder, str) else embedder
    old = source._engine.settings
    name = embedder if isinstance(embedder, str) else loaded.name
    if name == old.embedder and _same(old.fingerprint, loaded):
        raise InvalidInput("this model made the vectors that are there", field="embedder", expected="another", received=name)
    if old.index is not None:
        try:
            decode_kind(old.index).check(loaded.dim, Metric(old.metric))
        except InvalidInput as error:
            error.message += f"; vectors of the new model have {loaded.dim} numbers: choose another index first, with rebuild"
            raise
    need = len(source) * loaded.dim * 4
    free = shutil.disk_usage(source._engine.directory).free
    if need > free:
        said = f"the new vectors alone take {format_size(need)}, and {format_size(free)} are free; nothing was built"
        raise OutOfSpace(said)
    return msgspec.structs.replace(old, dim=int(loaded.dim), embedder=name, fingerprint=None), (
        None if isinstance(embedder, str) else loaded
    )


def _same(stored: dict[str, Any] | None, embedder: Embedder) -> bool:
    """Whether an embedder of the stored name makes the stored vectors."""
    from nearfield.embed import fingerprint

    if stored is None:
        return True
    try:
        known = fingerprint.Fingerprint.from_dict(stored)
        fingerprint.compare_declared(known, embedder)
        fingerprint.compare_probes(known, fingerprint.take(embedder))
    except ModelMismatch:
        return False
    return True


def _check_texts(source: Collection) -> None:
    """Raises InvalidInput, before anything is built, if there are documents that cannot be embedded from what is stored."""
    engine, snapshot = source._engine, source.snapshot()
    count, example = changes.without_text(snapshot, in_parts=in_parts(source))
    if count and example is not None:
        raise textless(count, example)
    pictured = [i for some in changes.ids(snapshot, None, 10_000) for i in engine.thumbnails.having(snapshot, some)]
    if pictured:
        raise pictures(len(pictured), min(pictured))


def _target(
    db: Database, number: int, source: Collection, settings: Settings, given: Embedder | None, window: float
) -> tuple[Collection, bool]:
    """The generation that is built: the one of an earlier run by the same model, or a new one; and whether it is the former."""
    names, keeper = db._names, db._generations
    until = time.time() + window
    for kept in keeper.kept(number):
        if kept.state != BUILDING:
            continue
        if kept.model == settings.embedder and (found := _resumed(db, source.name, kept, settings, given)) is not None:
            names.keep(Kept(kept.number, number, BUILDING, kept.model, 0, kept.since, until))
            return found, True
        keeper.remove(kept)
    new = names.take_number()
    names.keep(Kept(new, number, BUILDING, settings.embedder, 0, time.time(), until))
    reached("noted")
    directory.make_collection(db.path, new, settings, _words(source))
    reached("made")
    return db._collection(_called(source.name, settings.embedder), new, given), False


def _words(collection: Collection) -> keyword.Options | None:
    """How a collection's texts are indexed by their words."""
    path = collection._engine.directory / layout.CATALOG
    connection = sqlite.connect(path, read_only=True)
    try:
        with sqlite.errors(path):
            found = keyword.state(connection)
    finally:
        connection.close()
    return None if found is None or found.table is None else found.options


def _carry_words(source: Collection, target: Collection, say: Say) -> None:
    """Makes the index of words anew where the live one was made otherwise meanwhile."""
    wanted = _words(source)
    if wanted is not None and wanted != _words(target) and target._maintainer is not None:
        target._maintainer.rebuild_keywords(wanted, say)


def _called(name: str, model: str | None) -> str:
    """What a generation that is not live is called where segments are listed."""
    return f"{name} (by {model})"


def _resumed(db: Database, name: str, kept: Kept, settings: Settings, given: Embedder | None) -> Collection | None:
    """What an earlier run built; None where it cannot be gone on with: it has other vectors, or was not made to its end."""
    try:
        found = db._collection(_called(name, kept.model), kept.number, given)
        there = found._engine.settings
        if msgspec.structs.replace(there, fingerprint=None, index=settings.index, recall=settings.recall) != settings:
            return None
        found.embed(["the same model?"], "document")
    except (ModelMismatch, NotFound):
        return None
    return found


def _compare(
    source: Collection, target: Collection, wanted: Wanted, say: Say
) -> tuple[Overlap | None, Evaluation | None, tuple[str, ...]]:
    """Overlap and evaluation; what cannot be measured is said in a sentence."""
    queries: Mapping[str, str] | None = wanted.queries
    qrels: Judgements | None = wanted.qrels
    overlap, evaluation, notes = None, None, []
    say("comparing the two models")
    try:
        if source.embedder is None:
            notes.append("The two were not compared: the old vectors were brought, so no text can be asked of them.")
        elif len(target):
            overlap = comparing.overlap(source, target, queries, wanted.k)
            if queries is not None and qrels is not None:
                evaluation = comparing.evaluation(source, target, queries, qrels, wanted.k)
    except (ModelMismatch, NotFound) as error:
        notes.append(f"The two were not compared: the old model is not to be had any more ({error.message}).")
    recorded = source._engine.recorder.state.capacity
    if recorded:
        notes.append("Recorded queries are vectors of the old model and stay with it; the new generation records its own.")
    return overlap, evaluation, tuple(notes)


def _switched(
    db: Database, copy: Copy, source: Collection, target: Collection, window: float, stop: threading.Event, say: Say
) -> Switch:
    """Makes the switch, then ends what worked for the old generation, even where Ctrl-C came after the switch."""
    old, new = source._generation, target._generation
    keeper = db._generations
    capacity = old.engine.recorder.state.capacity
    if capacity:
        new.engine.recorder.record(capacity)
    before = keeper.kept(old.number)
    keeper.running_too(old.number, new.number)
    until = time.time() + window
    switch = Switch(copy, source, target, db._names, until, lambda: keeper.attach(old.number, new))
    try:
        switch.run(stop, say)
    finally:
        if switch.done:
            keeper.retire(old, new)
            reached("retired")
            if old.embedder.given is not None:
                keeper.given[old.number] = old.embedder.given
            for kept in before:
                if kept.number != new.number:
                    keeper.remove(kept)
            keeper.sweep()
    return switch


def _report(
    db: Database,
    source: Collection,
    target: Collection,
    copy: Copy,
    switch: Switch | None,
    overlap: Overlap | None,
    evaluation: Evaluation | None,
    notes: tuple[str, ...],
    wanted: Wanted,
    start: float,
) -> ReembedReport:
    number = (target if switch is None else source)._generation.number
    until = next((kept.until for kept in db._names.kept() if kept.number == number), time.time() + wanted.window)
    return ReembedReport(
        source.name, target.embedder, source.embedder, len(target), copy.embedded, copy.removed, copy.rounds,
        0.0 if switch is None else switch.held, time.monotonic() - start, switch is not None, overlap, evaluation,
        str(layout.collection(db.path, number)), until, notes,
    )  # fmt: skip
