"""One thread per collection that does what the policy proposes, and the calls that wait for all of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from nearfield.core.errors import Closed, InvalidInput
from nearfield.core.metric import Vectors
from nearfield.engine import verify
from nearfield.engine.local import LocalEngine
from nearfield.engine.verify import Report
from nearfield.engine.verify_keywords import REMEDY
from nearfield.index import decode_kind, encode_kind
from nearfield.maintain import calibrating, keywords, policy, tasks, tuning
from nearfield.maintain.calibrating import Calibration
from nearfield.maintain.policy import Action, Build, Calibrate, Merge, Seal, SegmentStats, Stats
from nearfield.planning.front import Best, Front, Goal
from nearfield.store import files
from nearfield.store.keyword import Options

_PATIENCE = 60.0
_QUIET = 2.0
ROUNDS = 3
"""How often `optimize` seals, and takes out, what comes while it runs."""


class Maintainer:
    """Keeps one collection sealed, merged and indexed.

    Attributes:
        problem: why the last background action failed, or None; it is tried again after a growing pause.
        doing: the action that runs, for people, or None.
    """

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self._wake = threading.Condition()
        self._busy = threading.RLock()
        self._tuning = threading.Lock()
        self._cancelled = threading.Event()
        self._awake = True
        self._stopping = False
        self.problem: str | None = None
        self.doing: str | None = None
        self._thread: threading.Thread | None = None
        engine.on_change = self.look
        self.look()

    def look(self) -> None:
        """Wakes the thread if there is something to do; starts it when there first is."""
        if self._stopping or not policy.propose(self._stats()):
            return
        with self._wake:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="nearfield-maintain", daemon=True)
                self._thread.start()
            self._awake = True
            self._wake.notify()

    def _stats(self) -> Stats:
        engine, snapshot = self._engine, self._engine.snapshot
        segments = []
        for view in snapshot.segments:
            none = view.index is None or view.index.file.broken is not None
            wanting = none and len(view) > self._least() and tasks.wanted_kind(engine, len(view))[0] is not None
            fresh = calibrating.fresh(engine, view)
            segments.append(SegmentStats(view.segment.number, len(view.segment), len(view), wanting, fresh))
        return Stats(len(snapshot.pending), snapshot.pending.nbytes, tuple(segments), engine.loading > 0)

    @property
    def index_from(self) -> int:
        """Live rows above which a segment gets an index."""
        return self._least()

    def _least(self) -> int:
        """Live rows above which a segment may have an index: fewer where the user chose the kind."""
        chosen = self._engine.settings.index is not None
        return min(policy.SMALLEST_TIER, policy.LEAST_INDEXED) if chosen else policy.SMALLEST_TIER

    def _run(self) -> None:
        pause = 1.0
        while True:
            with self._wake:
                while not self._awake and not self._stopping:
                    self._wake.wait()
                if self._stopping:
                    return
                self._awake = False
            try:
                self._let_loads_pass()
                while not self._stopping and self._step(policy.propose):
                    pause = 1.0
                    self._let_loads_pass()
                self.problem = None
            except Exception as error:
                if self._cancelled.is_set():
                    return
                self.problem = f"{type(error).__name__}: {error}"
                with self._wake:
                    self._wake.wait_for(lambda: self._stopping, pause)
                    self._awake = True
                pause = min(2 * pause, _PATIENCE)

    def _let_loads_pass(self) -> None:
        """Waits for a quiet moment after a bulk load: loads come in series, and merges would be overtaken."""
        while not self._stopping and time.monotonic() - self._engine.loaded_at < _QUIET:
            with self._wake:
                self._wake.wait_for(lambda: self._stopping, _QUIET / 4)

    def _step(self, decide: Callable[[Stats], list[Action]], progress: Callable[[str], None] | None = None) -> bool:
        """Does the first thing that `decide` proposes; False if there is nothing."""
        with self._busy:
            actions = decide(self._stats())
            if not actions:
                return False
            self.doing = _describe(actions[0])
            if progress is not None:
                progress(self.doing)
            try:
                tasks.run(self._engine, actions[0], self._cancelled, progress)
            finally:
                self.doing = None
            return True

    def optimize(self, *, purge: bool = False, progress: Callable[[str], None] | None = None) -> None:
        """Returns when all is sealed, merged and indexed, and with `purge` no dead row remains.

        What is written meanwhile is sealed, and its dead rows taken out, ROUNDS times more, then left for later: else it might
        never return.
        """
        done: Counter[type] = Counter()

        def decide(stats: Stats) -> list[Action]:
            if done[Seal] > ROUNDS:
                stats = replace(stats, pending_rows=0)
            actions = policy.finish(stats, purge=purge and done[Merge] <= ROUNDS + len(stats.segments))
            done.update(type(action) for action in actions[:1])
            return actions

        while self._step(decide, progress):
            if self._stopping:
                raise Closed("the database was closed")
        if purge:
            if self._tuning.acquire(blocking=False):
                try:
                    self._engine.forget_tuning()
                finally:
                    self._tuning.release()
            self._engine.vacuum()

    def rebuild(self, kind: object) -> None:
        """Builds every index again as `kind` ("auto": as chosen by size; or what tuning found best)."""
        import msgspec

        engine = self._engine
        if isinstance(kind, Best):
            if kind.kind is None and not kind.few:
                raise InvalidInput(
                    f"there is nothing to build: {kind.reason}; indexes stay as they are",
                    field="kind",
                    expected="a best with a kind",
                )
            kind = kind.kind or "auto"
        chosen = None
        if kind != "auto":
            chosen = encode_kind(kind)
            decode_kind(chosen).check(engine.dim, engine.metric)
        engine.write_settings(msgspec.structs.replace(engine.settings, index=chosen))
        with self._busy:
            for view in engine.snapshot.segments:
                if len(view) <= self._least():
                    if view.index is not None:
                        engine.swap_index(view.segment.number, None)
                    continue
                if tasks.wanted_kind(engine, len(view))[0] is None:
                    engine.swap_index(view.segment.number, None)
                else:
                    tasks.run(engine, Build(view.segment.number), self._cancelled)

    def rebuild_keywords(self, options: Options | None, progress: Callable[[str], None] | None) -> None:
        """Makes the keyword index anew; see Collection.rebuild."""
        with self._busy:
            keywords.rebuild(self._engine, options, self._cancelled, progress)

    def tune(
        self,
        name: str,
        recall: float,
        k: int,
        latency: float | None,
        memory: int | None,
        minutes: float | None,
        queries: Vectors | None,
        progress: Callable[[str], None] | None,
    ) -> Front:
        """Measures candidates aside; see Collection.tune. Background work goes on meanwhile."""
        self._engine.check_open()
        with self._tuning:
            return tuning.run(self._engine, name, Goal(recall, k, latency, memory), minutes, queries, progress)

    def calibrate(self, queries: Vectors | None) -> tuple[Calibration, ...]:
        """Measures every index again with prepared queries, or with the recorded ones; see Collection.calibrate."""
        with self._busy:
            sample = calibrating.given(self._engine, queries)
            numbers = [view.segment.number for view in self._engine.snapshot.segments]
            done = [calibrating.calibrate(self._engine, number, sample, self._cancelled) for number in numbers]
            return tuple(found for found in done if found is not None)

    def repair(self) -> Report:
        """Takes damaged indexes away and builds them again; returns what is still wrong, and what was mended."""
        engine = self._engine
        repaired = []
        with self._busy:
            for view in engine.snapshot.segments:
                wrong = view.segment.number in engine.damaged
                if view.index is not None:
                    for name, record in view.index.record.files.items():
                        path = view.segment.directory / name
                        wrong |= not path.exists() or files.sha256(path) != record.sha256
                if wrong:
                    engine.swap_index(view.segment.number, None)
                    repaired.append(f"segment {view.segment.number}: the index was damaged and is built again")
            while any(isinstance(action, Build) for action in policy.propose(self._stats())):
                self._step(lambda stats: [a for a in policy.propose(stats) if isinstance(a, Build)])
        report = verify.check(engine)
        if any(line.endswith(REMEDY) for line in report.problems):
            self.rebuild_keywords(None, None)
            repaired.append("the keyword index was not what the documents say and was made anew")
            report = verify.check(engine)
        report.repaired = repaired
        return report

    def close(self) -> None:
        """Stops the thread, cancelling a build; what it had not finished is done after the next open."""
        with self._wake:
            self._stopping = True
            self._cancelled.set()
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()


def _describe(action: Action) -> str:
    if isinstance(action, Merge):
        return f"merging {len(action.segments)} segments"
    if isinstance(action, Build):
        return f"indexing segment {action.segment}"
    if isinstance(action, Calibrate):
        return f"measuring the index of segment {action.segment}"
    return "sealing pending documents"
