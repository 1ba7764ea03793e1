"""What is true now, for the gauges: collections, queues, recall, the process, cards and tiers. Read when metrics are asked for.

Statistics of a collection cost a look at every segment, so they are kept for some seconds.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import psutil

from nearfield.core.errors import NearfieldError
from nearfield.core.types import TIERS
from nearfield.serve import gpu
from nearfield.serve.telemetry import Sample

if TYPE_CHECKING:
    from nearfield.collection import Collection
    from nearfield.serve.service import Service

FRESH = 5.0
"""Seconds for which statistics are kept."""


class Gauges:
    """Reads them. Called with no arguments it gives the samples by metric."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._process = psutil.Process()
        self._stats: WeakKeyDictionary[Collection, tuple[float, Any]] = WeakKeyDictionary()

    def __call__(self) -> dict[str, list[Sample]]:
        """The samples of every gauge."""
        out: dict[str, list[Sample]] = {}
        for name, labels, value in self._all():
            out.setdefault(name, []).append((labels, value))
        return out

    def _all(self) -> Iterator[tuple[str, tuple[str, ...], float]]:
        service = self._service
        for lane in (service.search_lane, service.embed_lane):
            yield "queue_depth", (lane.name,), lane.waiting
        yield "inflight_requests", (), service.inflight
        yield "ready", (), float(service.warming.ready()[0])
        for state, count in service.jobs.counts().items():
            yield "jobs", (state,), count
        resident, seconds = self._processes()
        yield "process_resident_bytes", (), resident
        yield "process_cpu_seconds", (), seconds
        for card, busy, used in gpu.read():
            yield "gpu_utilisation_ratio", (card,), busy
            yield "gpu_memory_bytes", (card,), used
        for name in service.database.list():
            yield from self._of(name)
        yield from self._tiers()

    def _tiers(self) -> Iterator[tuple[str, tuple[str, ...], float]]:
        """Where segments of open collections are kept, by what the process that moves them says."""
        told = self._service.database.tiers()
        for metric, by_collection in (("tier_segments", told.segments), ("tier_bytes", told.nbytes)):
            for collection, by_tier in by_collection.items():
                for tier, value in by_tier.items():
                    yield metric, (collection, tier), value
        for use in told.devices:
            yield "tier_budget_bytes", (use.device,), use.budget
            yield "tier_reserved_bytes", (use.device,), use.reserved
            yield "device_lost", (use.device,), float(use.lost is not None)
        if told.memory is not None:
            yield "tier_budget_bytes", ("memory",), told.memory
        yield "tier_reserved_bytes", ("memory",), told.memory_used
        for tier in TIERS:
            yield "tier_moves", (tier,), told.moves.get(tier, 0)

    def _processes(self) -> tuple[float, float]:
        """Bytes in RAM and seconds of CPU of this process, or of all workers and builds that its supervisor began."""
        root = self._process
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            root = root.parent() or root
        resident, seconds = 0.0, 0.0
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                resident, seconds = resident + process.memory_info().rss, seconds + times.user + times.system
        return resident, seconds

    def _of(self, name: str) -> Iterator[tuple[str, tuple[str, ...], float]]:
        try:
            collection = self._service.collection(name)
            stats = self._fresh(collection)
        except NearfieldError:  # dropped just now
            return
        yield "documents", (name,), stats.documents
        yield "pending_documents", (name,), stats.pending
        yield "tombstones", (name,), stats.tombstones
        indexes = [s.index for s in stats.segments if s.index is not None]
        yield "segments", (name, "yes"), len(indexes)
        yield "segments", (name, "no"), len(stats.segments) - len(indexes)
        if indexes:
            yield "index_age_seconds", (name,), max(0.0, time.time() - min(index.created for index in indexes))
        yield "bytes", (name, "segments"), sum(s.nbytes for s in stats.segments)
        yield "bytes", (name, "indexes"), sum(index.nbytes for index in indexes)
        yield "bytes", (name, "index_memory"), sum(index.resident_bytes for index in indexes)
        told = self._service.recall_of(collection)
        yield "recall_target", (name,), told.target
        yield "recall_margin", (name,), told.margin
        for traffic, found in told.traffic.items():
            yield "recall", (name, traffic), found.recall
            yield "recall_lower", (name, traffic), found.lower
            yield "recall_upper", (name, traffic), found.upper
            yield "recall_samples", (name, traffic), found.samples

    def _fresh(self, collection: Collection) -> Any:
        at, stats = self._stats.get(collection, (-FRESH, None))
        if time.monotonic() - at > FRESH:
            stats = collection.stats()
            self._stats[collection] = time.monotonic(), stats
        return stats
