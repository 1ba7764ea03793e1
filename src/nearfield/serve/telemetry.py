"""Every metric of the service, in one list: what is exported, what the table in docs/SERVICE.md says, what dashboards may name.

The only import of prometheus_client. Of several processes each keeps its numbers in files of one directory, given in
PROMETHEUS_MULTIPROC_DIR before the package is imported; whoever is asked adds them up, and knows the gauges. Stages are in
seconds; `summary` turns the histograms into numbers for people.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import prometheus_client as prometheus
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
STAGES = ("read", "queue", "embed", "search", "write", "encode")
"""Stages of a request: reading and parsing the body, waiting for a batch, embedding, searching (filter, index, scoring and
documents), writing to disk, and writing the answer."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name without the prefix `nearfield_`, what it is, its labels.

    `read`: a counter that someone else keeps: its value is read when metrics are asked for, as a gauge's is.
    """

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    about: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = SECONDS
    read: bool = False


METRICS: tuple[Metric, ...] = (
    Metric("requests", "counter", "Requests answered.", ("route", "status")),
    Metric("request_seconds", "histogram", "From the first byte of a request to the last of its answer.", ("route",)),
    Metric("stage_seconds", "histogram", "One stage of a request: " + ", ".join(STAGES) + ".", ("stage",)),
    Metric("batch_size", "histogram", "Items done together, by lane: search or embed.", ("lane",), SIZES),
    Metric("rejected", "counter", "Requests refused: overloaded, too_large, unauthorized, forbidden.", ("reason",)),
    Metric("expired", "counter", "Requests whose deadline passed while they waited."),
    Metric("slow_queries", "counter", "Searches written to the slow-query log."),
    Metric("queue_depth", "gauge", "Items that wait, by lane.", ("lane",)),
    Metric("inflight_requests", "gauge", "Requests being answered."),
    Metric("documents", "gauge", "Live documents.", ("collection",)),
    Metric("pending_documents", "gauge", "Documents not yet in a segment: they are searched exactly.", ("collection",)),
    Metric("tombstones", "gauge", "Deleted or replaced documents whose bytes are still in a segment.", ("collection",)),
    Metric("segments", "gauge", "Segments, by whether they have an index.", ("collection", "indexed")),
    Metric("index_age_seconds", "gauge", "Since the oldest index was built.", ("collection",)),
    Metric("bytes", "gauge", "Bytes: vectors and documents on disk, index files, index memory.", ("collection", "what")),
    Metric("recall", "gauge", "Recall@k of real searches against the exact answer, as sampled.", ("collection", "traffic")),
    Metric("recall_lower", "gauge", "Lower end of its 95 % interval.", ("collection", "traffic")),
    Metric("recall_upper", "gauge", "Upper end of its 95 % interval.", ("collection", "traffic")),
    Metric("recall_samples", "gauge", "Searches behind these figures.", ("collection", "traffic")),
    Metric("recall_target", "gauge", "The recall that the collection promises.", ("collection",)),
    Metric("recall_margin", "gauge", "What the controller adds to the target to hold it.", ("collection",)),
    Metric("ready", "gauge", "1 when models are loaded and warm, else 0."),
    Metric("jobs", "gauge", "Background jobs, by state.", ("state",)),
    Metric(
        "process_resident_bytes",
        "gauge",
        "Memory in RAM of all processes of the server; shared pages count for each.",
    ),
    Metric("process_cpu_seconds", "gauge", "CPU time so far of all processes of the server that live."),
    Metric("gpu_utilisation_ratio", "gauge", "Share of time in which a kernel ran, 0 to 1.", ("gpu",)),
    Metric("gpu_memory_bytes", "gauge", "Memory in use on the card.", ("gpu",)),
    Metric("tier_segments", "gauge", "Segments, by where they are kept: hot, warm or cold.", ("collection", "tier")),
    Metric("tier_bytes", "gauge", "Their bytes: on devices, in memory, and in files opened on use.", ("collection", "tier")),
    Metric("tier_budget_bytes", "gauge", "What may be used of a device, or of memory where that is limited.", ("device",)),
    Metric("tier_reserved_bytes", "gauge", "What is used of it, a device's workspace included.", ("device",)),
    Metric("tier_moves", "counter", "Segments moved, by the tier they went to.", ("to",), read=True),
    Metric("device_lost", "gauge", "1 when a device failed: searches go on by the processor, else 0.", ("device",)),
)

Sample = tuple[tuple[str, ...], float]
"""Label values and a number."""


def exported(metric: Metric) -> str:
    """A metric's name as Prometheus shows it."""
    return f"nearfield_{metric.name}" + ("_total" if metric.kind == "counter" else "")


class Telemetry:
    """Counters and histograms, and what is read when it is asked for: gauges, and counters that someone else keeps.

    Args:
        gauges: called at each export; yields (metric name, samples).
    """

    def __init__(self, gauges: Any = None) -> None:
        self._registry = prometheus.CollectorRegistry()
        self._gauges = gauges
        self._made: dict[str, Any] = {}
        self._children: dict[tuple[str, tuple[str, ...]], Any] = {}
        for metric in METRICS:
            name = f"nearfield_{metric.name}"
            if metric.kind == "counter" and not metric.read:
                self._made[metric.name] = prometheus.Counter(name, metric.about, metric.labels, registry=self._registry)
            elif metric.kind == "histogram":
                self._made[metric.name] = prometheus.Histogram(
                    name, metric.about, metric.labels, registry=self._registry, buckets=metric.buckets
                )
        self._families: Callable[[], Iterable[Any]] = self._registry.collect
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            self._registry = prometheus.CollectorRegistry()
            self._families = MultiProcessCollector(self._registry).collect  # type: ignore[no-untyped-call]
        self._exported = prometheus.CollectorRegistry()
        self._exported.register(_Exported(self))

    def _child(self, name: str, labels: tuple[str, ...]) -> Any:
        child = self._children.get((name, labels))
        if child is None:
            made = self._made[name]
            child = self._children[name, labels] = made.labels(*labels) if labels else made
        return child

    def count(self, name: str, *labels: str) -> None:
        """Adds one to a counter."""
        self._child(name, labels).inc()

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Adds an observation to a histogram."""
        self._child(name, labels).observe(value)

    def read_gauges(self) -> Mapping[str, Iterable[Sample]]:
        """What is read, now."""
        return {} if self._gauges is None else self._gauges()

    def export(self) -> bytes:
        """Prometheus text."""
        return bytes(prometheus.generate_latest(self._exported))

    def families(self) -> Iterable[Any]:
        """Counters and histograms of all processes, as prometheus_client's metric families."""
        about = {f"nearfield_{metric.name}": metric.about for metric in METRICS}
        for family in self._families():
            family.documentation = about.get(family.name, family.documentation)
            family.samples = [s for s in family.samples if not s.name.endswith("_created")]
            yield family

    def summary(self) -> dict[str, Any]:
        """For people: for each histogram count, mean, P50, P95, P99 (interpolated within buckets); counters and gauges."""
        out: dict[str, Any] = {}
        for family in sorted(self.families(), key=lambda family: str(family.name)):
            name = family.name.removeprefix("nearfield_")
            if family.type == "counter":
                out[name] = {_spelled(s.labels): s.value for s in family.samples}
            else:
                out[name] = _histograms(family.samples)
        for name, samples in self.read_gauges().items():
            labels = next(m.labels for m in METRICS if m.name == name)
            out[name] = {_spelled(dict(zip(labels, values, strict=True))): number for values, number in samples}
        return out


def _spelled(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items() if key != "le") or "all"


def _histograms(lines: Iterable[Any]) -> dict[str, Any]:
    buckets: dict[str, list[tuple[float, float]]] = {}
    sums: dict[str, float] = {}
    for s in lines:
        key = _spelled(s.labels)
        if s.name.endswith("_bucket"):
            buckets.setdefault(key, []).append((float(s.labels["le"]), s.value))
        elif s.name.endswith("_sum"):
            sums[key] = s.value
    out = {}
    for key, found in buckets.items():
        found.sort()
        total = found[-1][1]
        if total:
            out[key] = {
                "count": int(total),
                "mean": sums[key] / total,
                **{f"p{int(100 * q)}": quantile(found, q) for q in (0.5, 0.95, 0.99)},
            }
    return out


def quantile(buckets: list[tuple[float, float]], share: float) -> float:
    """A quantile of cumulative (upper bound, count) buckets, linear within a bucket, as Prometheus's histogram_quantile."""
    rank = share * buckets[-1][1]
    below, start = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank:
            if bound == float("inf"):
                return start
            return start + (bound - start) * (rank - below) / max(count - below, 1e-12)
        below, start = count, bound
    return start


class _Exported:
    """Everything, when Prometheus asks."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def collect(self) -> Iterable[Any]:
        """Each counter and histogram, and each gauge and counter read that has samples."""
        yield from self._telemetry.families()
        for name, samples in self._telemetry.read_gauges().items():
            metric = next(m for m in METRICS if m.name == name)
            made = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = made(f"nearfield_{name}", metric.about, labels=metric.labels)
            for labels, value in samples:
                family.add_metric(labels, value)
            yield family
