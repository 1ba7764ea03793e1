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
from pathlib import Path

from nearfield.core.errors import NearfieldError
from nearfield.device import resident
from nearfield.device.layout import DTYPES
from nearfield.device.pool import Pool
from nearfield.device.scan import DeviceFull, DeviceLost
from nearfield.engine import cloned
from nearfield.engine.local import LocalEngine
from nearfield.engine.placement import Resident, Tier
from nearfield.engine.snapshot import SegmentView
from nearfield.maintain.tier_report import Tiers
from nearfield.maintain.tiering import Budgets, Form, Key, Move, Unit, propose
from nearfield.store import layout, paging

log = logging.getLogger("nearfield.tiers")
EVERY = 5.0
"""Seconds between two looks."""
HALF_LIFE = 60.0
"""Seconds after which a search counts half as much for the rate of its segment."""
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
        self._refusals: dict[Key, tuple[float, float]] = {}
        self._placed: dict[Key, SegmentView] = {}
        self._moves: Counter[str] = Counter()
        self._looked = time.monotonic()
        self._busy = threading.Lock()
        self._wake = threading.Condition()
        self._stopping = self._awake = False
        self._doing: str | None = None
        self._thread = threading.Thread(target=self._run, name="nearfield-tiers", daemon=True)

    @property
    def has_devices(self) -> bool:
        """Whether there are devices to put segments on, lost or not."""
        return self._pool is not None

    def start(self) -> None:
        """Begins to look after the segments, in a thread."""
        self._thread.start()

    def look(self) -> None:
        """Looks soon: a collection was opened, changed or pinned."""
        with self._wake:
            self._awake = True
            self._wake.notify()

    def close(self) -> None:
        """Stops, and gives back all that is on devices."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()
        for view in self._placed.values():
            _close(view.place.move("warm"))
        self._placed.clear()

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
                summed[tier] += there.nbytes if there is not None else _warm_bytes(view)
            segments[name] = {tier: counted[tier] for tier in ("hot", "warm", "cold")}
            nbytes[name] = {tier: summed[tier] for tier in ("hot", "warm", "cold")}
            used += summed["warm"]
        devices = () if self._pool is None else self._pool.uses()
        return Tiers(devices, self._memory, used, segments, nbytes, dict(self._moves), tuple(self._alarms), self._doing)

    def _run(self) -> None:
        while True:
            try:
                self.step()
            except Exception:
                log.exception("segments could not be moved; it is tried again")
            with self._wake:
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
            for move in propose(units, Budgets(rooms, self._memory)):
                if self._stopping:
                    break
                made += self._make(move, views[move.key], engines[move.key[0]])
            self._trim(views)
            return made

    def settle(self, rounds: int = 20) -> None:
        """Steps until nothing is left to move; for those who want to wait for it."""
        for _ in range(rounds):
            if not self.step():
                return

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
        refused = self._refusals.get(key, (0.0, 0.0))[0] > time.monotonic()
        form: Form | None = None
        if there is not None:
            form = "index" if isinstance(there, cloned.ClonedIndex) else there.dtype
            stale = view.index is None or (form == "index" and there is not view.place.clone(view.index.record.number))
            refused |= form == "index" and stale
        return Unit(key, view.place.tier, self._rates[key], hot, _warm_bytes(view), engine.pin, form, refused)

    def _forget(self, views: dict[Key, SegmentView]) -> None:
        """Gives back what segments held that are gone."""
        for key in [key for key in list(self._placed) if key not in views]:
            _close(self._placed.pop(key).place.move("warm"))
        for key in [key for key in self._rates if key not in views]:
            del self._rates[key], self._counts[key]
        for key in [key for key in list(self._refusals) if key not in views]:
            del self._refusals[key]

    # -- moves

    def _make(self, move: Move, view: SegmentView, engine: LocalEngine) -> int:
        self._doing = f"segment {move.key[1]} of collection {move.key[0]} to {move.tier}: {move.reason}"
        try:
            if move.tier == "hot":
                done = self._heat(move, view, engine)
            else:
                _close(view.place.move("warm" if move.tier == "warm" else "cold"))
                self._placed.pop(move.key, None)
                done = self._warm(view) if move.tier == "warm" else self._cool(view)
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
        _close(place.move("warm"))
        place.on_failure = lambda there, error: self._failed(key, there, error)
        for attempt in range(2):
            try:
                made = self._put(move, view, engine, self._pool)
            except DeviceFull as error:
                if attempt == 0 and self._make_room(key):
                    continue
                self._refuse(key, f"a device had no room for it: {error}")
                return False
            except DeviceLost as error:
                self._lose([error.device] if error.device else self._pool.devices, str(error))
                return False
            except _Stopped:
                return False
            except RuntimeError as error:
                self._refuse(key, f"a device failed: {error}")
                return False
            place.move("hot", made)
            self._placed[key] = view
            self._refusals.pop(key, None)
            if self._memory is not None and place.scanner is not None:
                self._let_go(view)
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
        _close(view.place.move("warm"))
        self._moves["warm"] += 1
        log.warning("a device had less room than its budget says: segment %d of collection %d was moved out", out[1], out[0])
        return True

    def _warm(self, view: SegmentView) -> bool:
        if view.index is not None:
            view.index.file.get()
        if self._memory is not None:
            for path in _files(view):
                paging.load(path, lambda: self._stopping)
        return True

    def _cool(self, view: SegmentView) -> bool:
        self._let_go(view)
        return True

    def _let_go(self, view: SegmentView) -> None:
        if view.index is not None:
            view.index.file.let_go()
        for path in _files(view):
            paging.let_go(path, view.segment.vectors if path.name == layout.VECTORS else None)

    def _trim(self, views: dict[Key, SegmentView]) -> None:
        """Gives back the memory of cold segments that were opened for a search."""
        for key, view in views.items():
            if view.place.tier == "cold" and self._counts.get(key, 0) != view.place.trimmed:
                self._let_go(view)
                view.place.trimmed = self._counts.get(key, 0)

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
            self._refuse(key, f"a search on {there.device} failed: {error}")
        self._placed.pop(key, None)
        _close(there)

    def _refuse(self, key: Key, why: str) -> None:
        pause = min(3600.0, 2 * self._refusals[key][1] if key in self._refusals else REFUSED)
        self._refusals[key] = time.monotonic() + pause, pause
        log.warning("segment %d of collection %d stays off the devices for %.0f s: %s", key[1], key[0], pause, why)

    def _lose(self, devices: Sequence[str], why: str) -> None:
        """Devices that do not work any more: what they hold is searched by the processor from now on."""
        assert self._pool is not None
        self._pool.lose(devices, why)
        said = f"{', '.join(devices)} is lost ({why}): searches go on by the processor; restart to use it again"
        if said not in self._alarms:
            self._alarms.append(said)
            log.error("%s", said)
        for key, view in list(self._placed.items()):
            there = view.place.resident
            if there is not None and set(there.devices) & set(devices):
                self._placed.pop(key, None)
                _close(view.place.move("warm"))
        self.look()


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


def _files(view: SegmentView) -> list[Path]:
    """The files that a search reads the most."""
    found = [view.segment.directory / layout.VECTORS]
    if view.index is not None:
        found += [view.segment.directory / name for name in view.index.record.files]
    return [path for path in found if path.exists()]


def _warm_bytes(view: SegmentView) -> int:
    """Bytes of memory when all of it has been touched."""
    return int(view.segment.vectors.nbytes) + (0 if view.index is None else view.index.file.resident_bytes)
