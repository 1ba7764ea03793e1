"""Keeps segments where the policy says, within budgets: measures how often each is asked, moves them in the background.

One for a database, as budgets are of the machine and not of a collection. Decides nothing itself (see tiering.py) and changes
no answer: a segment that cannot be moved, or whose device fails, is searched where it was.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import cast

from nearfield.core.errors import NearfieldError
from nearfield.core.types import TIERS, Tier
from nearfield.device import resident
from nearfield.device.failures import DeviceFull, DeviceLost
from nearfield.device.layout import DTYPES
from nearfield.device.pool import Pool
from nearfield.engine import cloned
from nearfield.engine.local import LocalEngine
from nearfield.engine.placement import Resident
from nearfield.engine.snapshot import SegmentView
from nearfield.maintain import in_memory
from nearfield.maintain.tier_report import Tiers
from nearfield.maintain.tiering import Form, Key, Move, Room, Unit, propose

log = logging.getLogger("nearfield.tiers")
EVERY = 5.0
"""Seconds between two looks."""
NEVER = 1 << 62
"""Bytes of a form that a device refused lately: none has so many."""
HALF_LIFE = 60.0
"""Seconds after which a search counts half as much for the rate of its segment."""
ROUNDS = 20
"""Steps of `settle` at most."""
REFUSED = 60.0
"""Seconds for which a segment that a device refused is not tried again; twice as long after each refusal, up to an hour."""

Named = tuple[int, str, LocalEngine]
"""A collection's number, name and engine."""


class TierKeeper:
    """Moves segments between tiers.

    Args:
        engines: the collections that are open now.
        memory: bytes for warm segments; None: not limited.
        pool: the devices; None: there is none.
        spread: "shard" or "replicate", over several devices.
        alarms: what is wrong from the start.
    """

    def __init__(
        self,
        engines: Callable[[], Sequence[Named]],
        memory: int | None,
        pool: Pool | None,
        spread: str = "shard",
        alarms: Sequence[str] = (),
    ) -> None:
        self._engines, self._memory, self._pool, self._spread = engines, memory, pool, spread
        self._alarms = list(alarms)
        self._rates: dict[Key, float] = {}
        self._counts: dict[Key, int] = {}
        self._refusals: dict[tuple[Key, Form | None], tuple[float, float]] = {}
        self._begun = self._peace = 0
        self._placed: dict[Key, SegmentView] = {}
        self._moves: Counter[str] = Counter()
        self._looked = time.monotonic()
        self._busy = threading.Lock()
        self._wake = threading.Condition()
        self._stopping = self._awake = False
        self._doing: str | None = None
        self._thread = threading.Thread(target=self._run, name="nearfield-tiers", daemon=True)

    @property
    def has_devices(self) -> bool | None:
        """Whether there are devices to put segments on, lost or not; None: nobody asked for any."""
        return True if self._pool is not None else False if self._alarms else None

    def start(self) -> None:
        """Begins to look after the segments, in a thread."""
        self._thread.start()

    def look(self) -> None:
        """Looks soon: a collection was opened, changed or pinned."""
        with self._wake:
            self._awake = True
            self._wake.notify_all()

    def close(self) -> None:
        """Stops, and gives back what segments hold on devices; what FAISS keeps there to work in goes with the process."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        for key in list(self._placed):
            view = self._placed.pop(key, None)
            if view is not None:
                _close(view.place.move("warm"))

    def report(self) -> Tiers:
        """Where segments are now."""
        segments: dict[str, dict[str, int]] = {}
        nbytes: dict[str, dict[str, int]] = {}
        used = 0
        for _, name, engine in self._engines():
            counted, summed = Counter[str](), Counter[str]()
            for view in engine.snapshot.segments:
                tier, there = view.place.tier, view.place.resident
                counted[tier] += 1
                summed[tier] += there.nbytes if there is not None else in_memory.nbytes(view)
                if isinstance(there, cloned.ClonedIndex) and view.index is not None:
                    used += view.index.file.resident_bytes
            segments[name] = {tier: counted[tier] for tier in TIERS}
            nbytes[name] = {tier: summed[tier] for tier in TIERS}
            used += summed["warm"]
        devices = () if self._pool is None else self._pool.uses()
        alarms = [*self._alarms, *(_lost(use.device, use.lost) for use in devices if use.lost)]
        return Tiers(devices, self._memory, used, segments, nbytes, dict(self._moves), tuple(alarms), self._doing)

    def _run(self) -> None:
        while True:
            made = 0
            with self._wake:
                self._begun += 1
                begun = self._begun
            try:
                made = self.step()
            except Exception:
                log.exception("segments could not be looked at; it is tried again")
            with self._wake:
                if not made:
                    self._peace = begun
                    self._wake.notify_all()
                    self._wake.wait_for(lambda: self._stopping or self._awake, EVERY)
                if self._stopping:
                    return
                self._awake = False

    def step(self) -> int:
        """Looks once and makes the moves that the policy proposes; returns how many were made."""
        with self._busy:
            engines = {number: engine for number, _, engine in self._engines()}
            views = {
                (number, view.segment.number): view
                for number, engine in engines.items()
                for view in engine.snapshot.segments
                if len(view)
            }
            self._forget(views)
            self._measure(views, engines)
            devices = () if self._pool is None else self._pool.devices
            rooms = [] if self._pool is None else [self._room(device, views) for device in devices]
            units = [self._unit(key, view, engines[key[0]], devices) for key, view in views.items()]
            made = 0
            for move in propose(units, Room(rooms, self._memory)):
                if self._stopping:
                    break
                try:
                    made += self._make(move, views[move.key], engines[move.key[0]])
                except Exception as error:  # of this segment alone: the others are moved
                    self._refuse(move, f"it could not be moved to {move.tier}: {error!r}")
            self._trim(views, engines)
            return made

    def settle(self, patience: float | None = None) -> None:
        """Returns when nothing is left to move, or after `patience` seconds; then moves go on in the background."""
        if patience is None:
            for _ in range(ROUNDS):
                if not self.step():
                    return
            return
        with self._wake:
            since = self._begun
        self.look()
        with self._wake:
            self._wake.wait_for(lambda: self._stopping or self._peace > since, patience)

    # -- what the policy looks at

    def _measure(self, views: dict[Key, SegmentView], engines: dict[int, LocalEngine]) -> None:
        """Notes how often each segment was asked since the last look; what was hot before a restart is so at once."""
        now = time.monotonic()
        passed, self._looked = max(now - self._looked, 1e-3), now
        weight = 1 - 0.5 ** (passed / HALF_LIFE)
        for key, view in views.items():
            count = view.place.searches
            if key not in self._counts:
                self._rates[key] = 1.0 if key[1] in engines[key[0]].was_hot else 0.0
                self._counts[key] = 0
            rate = (count - self._counts[key]) / passed
            self._rates[key] += weight * (rate - self._rates[key])
            self._counts[key] = count

    def _room(self, device: str, views: dict[Key, SegmentView]) -> int:
        """Bytes of a device for codes, those that segments hold included."""
        assert self._pool is not None
        held = 0
        for view in views.values():
            there = view.place.resident
            held += 0 if there is None else there.held(device)
        return self._pool.room(device) + held

    def _unit(self, key: Key, view: SegmentView, engine: LocalEngine, devices: Sequence[str]) -> Unit:
        n, there = len(view.segment), view.place.resident
        hot: dict[Form, list[int]] = {
            dtype: list(resident.needs(n, engine.dim, dtype, engine.metric, devices, self._spread).values()) for dtype in DTYPES
        }
        index = None if view.index is None else cloned.needs(view.index, n, engine.dim, engine.metric, devices)
        if index is not None:
            hot["index"] = index
        now = time.monotonic()
        barred = {form for (one, form), (until, _) in list(self._refusals.items()) if one == key and until > now}
        for name in barred & hot.keys():
            hot[cast("Form", name)] = [NEVER] * max(1, len(devices))
        refused = "int8" in barred and "float16" in barred
        form: Form | None = None
        if there is not None:
            form = "index" if isinstance(there, cloned.ClonedIndex) else there.form
        if form == "index":  # another index may have taken its place
            refused |= view.index is None or there is not view.place.clone(view.index.record.number)
        beside = 0 if view.index is None else view.index.file.resident_bytes
        pin = cast("Tier | None", engine.pin)
        return Unit(key, view.place.tier, self._rates[key], hot, in_memory.nbytes(view), pin, form, refused, beside)

    def _forget(self, views: dict[Key, SegmentView]) -> None:
        """Gives back what segments held that are gone."""
        for key in [key for key in list(self._placed) if key not in views]:
            _close(self._placed.pop(key).place.move("warm"))
        for key in [key for key in self._rates if key not in views]:
            del self._rates[key], self._counts[key]
        for refused in [refused for refused in list(self._refusals) if refused[0] not in views]:
            del self._refusals[refused]

    # -- moves

    def _make(self, move: Move, view: SegmentView, engine: LocalEngine) -> int:
        self._doing = f"segment {move.key[1]} of collection {move.key[0]} to {move.tier}: {move.reason}"
        try:
            if move.tier == "hot":
                done = self._heat(move, view, engine)
            else:
                _close(view.place.move(move.tier))
                self._placed.pop(move.key, None)
                done = True
                if move.tier == "cold":
                    in_memory.let_go(view)
                else:
                    in_memory.load(view, lambda: self._stopping, whole=self._memory is not None)
            if done:
                log.info("%s", self._doing)
                self._moves[move.tier] += 1
                self._write(engine, view, view.place.tier)
            return int(done)
        finally:
            self._doing = None

    def _heat(self, move: Move, view: SegmentView, engine: LocalEngine) -> bool:
        assert self._pool is not None
        place, key = view.place, move.key
        self._placed.pop(key, None)
        _close(place.move("cold" if place.tier == "cold" else "warm"))
        place.on_failure = lambda there, error: self._failed(key, there, error)
        for attempt in range(2):
            try:
                made = self._put(move, view, engine, self._pool)
            except DeviceFull as error:
                if attempt == 0 and self._make_room(key):
                    continue
                self._refuse(move, f"a device had no room for it: {error}")
                return False
            except DeviceLost as error:
                self._lose([error.device] if error.device else self._pool.devices, str(error))
                return False
            except _Stopped:
                return False
            except RuntimeError as error:
                self._refuse(move, f"a device failed: {error}")
                return False
            place.move("hot", made)
            self._placed[key] = view
            self._refusals.pop((key, move.form), None)
            if self._memory is not None and place.scanner is not None:
                in_memory.let_go(view)
            return True
        return False

    def _put(self, move: Move, view: SegmentView, engine: LocalEngine, pool: Pool) -> Resident:
        if move.form != "index":
            dtype = move.form or "float16"
            return resident.put(view.segment.vectors, engine.metric, pool, dtype, self._spread, self._check)
        if view.index is None:
            raise DeviceFull("the segment has no index any more")
        wanted = cloned.needs(view.index, len(view.segment), engine.dim, engine.metric, pool.devices)
        if wanted is None:
            raise DeviceFull("no card can hold this index")
        return cloned.clone(view.index, wanted[0], pool)

    def _check(self, done: int, total: int) -> None:
        if self._stopping:
            raise _Stopped(f"stopped at {done} of {total} rows")

    def _make_room(self, key: Key) -> bool:
        """Moves the hot segment that is asked the least out, if it is asked less than this one; False if there is none."""
        others = [other for other in self._placed if self._rates.get(other, 0.0) <= self._rates.get(key, 0.0)]
        if not others:
            return False
        out = min(others, key=lambda other: self._rates.get(other, 0.0))
        view = self._placed.pop(out)
        to: Tier = "warm" if self._memory is None else "cold"
        _close(view.place.move(to))
        self._moves[to] += 1
        log.warning("a device had less room than its budget says: segment %d of collection %d was moved out", out[1], out[0])
        return True

    def _trim(self, views: dict[Key, SegmentView], engines: dict[int, LocalEngine]) -> None:
        """Gives back the memory of segments that are not in memory, and were opened for a search or a build."""
        for key, view in views.items():
            count, place = view.place.searches, view.place
            file = None if view.index is None else view.index.file
            scanned = place.scanner is not None and self._memory is not None
            touched = count != place.trimmed or (file is not None and file.is_open)
            if touched and (place.tier == "cold" or scanned):
                in_memory.let_go(view)
                place.trimmed = count
            engine = engines[key[0]]
            if file is not None and file.broken is not None and key[1] not in engine.damaged:
                engine.damaged[key[1]] = file.broken
                engine.changed()

    def _write(self, engine: LocalEngine, view: SegmentView, tier: Tier) -> None:
        if engine.read_only:
            return
        try:
            engine.write_tier(view.segment.number, tier)
        except NearfieldError as error:
            log.warning("the tier of segment %d is not written down: %s", view.segment.number, error)

    # -- failures

    def _failed(self, key: Key, there: Resident, error: Exception) -> None:
        """A search failed on a device; called by the thread that searched."""
        if isinstance(error, DeviceLost) and self._pool is not None:
            self._lose(error.device.split(",") if error.device else there.devices, str(error))
        else:
            forms: tuple[Form, ...] = ("index",) if isinstance(there, cloned.ClonedIndex) else DTYPES
            for form in forms:
                self._refuse(Move(key, "hot", form), f"a search on {there.device} failed: {error}")
        self._placed.pop(key, None)
        _close(there)

    def _refuse(self, move: Move, why: str) -> None:
        """Lets a segment be in that form for a while."""
        key, known = move.key, self._refusals.get((move.key, move.form))
        pause = REFUSED if known is None else min(3600.0, 2 * known[1])
        self._refusals[key, move.form] = time.monotonic() + pause, pause
        what = move.form or move.tier
        log.warning("segment %d of collection %d is not tried as %s for %.0f s: %s", key[1], key[0], what, pause, why)

    def _lose(self, devices: Sequence[str], why: str) -> None:
        """Devices that do not work any more: what they hold is searched by the processor from now on."""
        assert self._pool is not None
        self._pool.lose(devices, why)
        log.error("%s", _lost(", ".join(devices), why))
        for key, view in list(self._placed.items()):
            there = view.place.resident
            if there is not None and set(there.devices) & set(devices):
                self._placed.pop(key, None)
                _close(view.place.move("warm"))
        self.look()


def _lost(device: str, why: str) -> str:
    return f"{device} is lost ({why}): searches go on without it; restart to use it again"


class _Stopped(Exception):
    """The database is being closed."""


def _close(there: Resident | None) -> None:
    """Closes what was on a device; one that is lost has nothing to give back."""
    if there is None:
        return
    try:
        there.close()
    except RuntimeError as error:
        log.info("a device that failed gives nothing back: %s", error)
