"""Who competes for QPS at equal recall: FAISS recipes as its users write them, other libraries, and our kinds.

Every built index is kept in the folder named by BENCH_CACHE, so that a second run is quick; without it, in a
temporary one. All are built on one thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np

import nearfield as nf
from benchmarks.common import PEERS, ROOT, SEED, Skipped
from benchmarks.curves import CHOOSE, Contender
from nearfield.core.metric import Metric
from nearfield.index import _faiss, encode_kind
from nearfield.index.build import STEM, run_build
from nearfield.index.codec import Codec
from nearfield.planning import reducing

OURS: tuple[Any, ...] = (nf.Hnsw(), nf.Hnsw(links=16, storage="float32"), nf.Ivf(), nf.IvfPq(), nf.Rabitq())
"""Besides finer codes, and what "auto" makes of the first for the data: its reduced form, and that built with more effort."""
SEARCHING = ("wrapper", "block", "calibrate", "curve", "rates", "exact")
"""Modules of our index package that do not change what is built: after an edit of another, our kinds are built again."""
K, WARM, BATCH, THREADS = 10, 20, 1000, 2
EF = (10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512)
NPROBE = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
K_FACTOR = (2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Data:
    """One data set, ready for all contenders: rows, the two halves of the queries, and a folder for what is built of it."""

    name: str
    x: np.ndarray
    halves: tuple[np.ndarray, np.ndarray]
    metric: Metric
    folder: Path

    @classmethod
    def of(cls, name: str, x: np.ndarray, queries: np.ndarray, metric: Metric, cache: Path) -> Data:
        """Lays the arrays down in the cache, where peers read them."""
        whole = hashlib.sha256(x[:: max(1, len(x) // 1000)].tobytes()).hexdigest()[:8]
        folder = cache / f"{name}-{len(x)}-{whole}"
        folder.mkdir(parents=True, exist_ok=True)
        halves = (np.ascontiguousarray(queries[::2]), np.ascontiguousarray(queries[1::2]))
        for file, array in (("x.npy", x), ("half0.npy", halves[0]), ("half1.npy", halves[1])):
            np.save(folder / file, array)
        x.tofile(folder / "x")
        return cls(name, x, halves, metric, folder)

    @property
    def lists(self) -> int:
        """The usual number of lists: 1,024 from about 50,000 rows up."""
        return min(1024, 1 << round(np.log2(4 * np.sqrt(len(self.x)))))


@contextlib.contextmanager
def cache() -> Iterator[Path]:
    """The folder that keeps what is built: the one named by BENCH_CACHE, or a temporary one."""
    named = os.environ.get("BENCH_CACHE")
    if named:
        yield Path(named)
        return
    with tempfile.TemporaryDirectory(prefix="nearfield-bench-") as folder:
        yield Path(folder)


def timed(singles: Callable[[Any], Any], many: Callable[[Any], Any], queries: np.ndarray, batch: bool) -> float:
    """Seconds of one call for each query on one thread, or of one batch of BATCH on THREADS threads."""
    rows = [queries[i : i + 1] for i in range(len(queries))]
    if not batch:
        return clocked(singles, rows, None, False)
    return clocked(many, [], np.ascontiguousarray(np.resize(queries, (BATCH, queries.shape[1]))), True)


def clocked(call: Callable[[Any], Any], singles: Sequence[Any], many: Any, batch: bool) -> float:
    """Seconds of calls for each of `singles` on one thread, or of one for `many` on THREADS threads."""
    faiss.omp_set_num_threads(1)
    if not batch:
        for row in singles[:WARM]:
            call(row)
        start = time.perf_counter()
        for row in singles:
            call(row)
        return time.perf_counter() - start
    faiss.omp_set_num_threads(THREADS)
    try:
        start = time.perf_counter()
        call(many)
        return time.perf_counter() - start
    finally:
        faiss.omp_set_num_threads(1)


def answered(search: Callable[[np.ndarray], np.ndarray], queries: np.ndarray, half: int) -> np.ndarray:
    """Answers: all at once while choosing, one by one where they are reported."""
    if half == CHOOSE:
        faiss.omp_set_num_threads(THREADS)
        try:
            return search(queries)
        finally:
            faiss.omp_set_num_threads(1)
    faiss.omp_set_num_threads(1)
    return np.concatenate([search(queries[i : i + 1]) for i in range(len(queries))])


# ---- FAISS as it is


def parameters(index: Any, setting: dict[str, int]) -> Any:
    """Search parameters for an index, however it is nested."""
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexRefine):
        inner = parameters(index.base_index, setting)
        return faiss.IndexRefineSearchParameters(k_factor=setting["k_factor"], base_index_params=inner)
    if isinstance(index, faiss.IndexPreTransform):
        return faiss.SearchParametersPreTransform(index_params=parameters(index.index, setting))
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=setting["efSearch"])
    nearest = faiss.downcast_index(index.quantizer)
    if isinstance(nearest, faiss.IndexHNSW):
        walk = faiss.SearchParametersHNSW(efSearch=max(24, 3 * setting["nprobe"] // 2))
        return faiss.SearchParametersIVF(nprobe=setting["nprobe"], quantizer_params=walk)
    return faiss.SearchParametersIVF(nprobe=setting["nprobe"])


def faiss_contender(name: str, group: str, index: Any, chains: Sequence[Sequence[dict[str, int]]], data: Data) -> Contender:
    """A FAISS index, searched by its own calls into arrays made once."""
    one = np.empty((1, K), np.float32), np.empty((1, K), np.int64)
    all_ = np.empty((BATCH, K), np.float32), np.empty((BATCH, K), np.int64)

    def answer(setting: dict[str, int], half: int) -> np.ndarray:
        given = parameters(index, setting)
        return answered(lambda q: index.search(q, K, params=given)[1], data.halves[half], half)

    def seconds(setting: dict[str, int], half: int, batch: bool) -> float:
        given = parameters(index, setting)
        return timed(
            lambda q: index.search(q, K, params=given, D=one[0], I=one[1]),
            lambda q: index.search(q, K, params=given, D=all_[0], I=all_[1]),
            data.halves[half],
            batch,
        )

    return Contender(name, group, chains, answer, seconds)


def graph_chains(refined: bool) -> list[list[dict[str, float]]]:
    """EfSearch, for each number of candidates that are scored again."""
    if not refined:
        return [[{"efSearch": ef} for ef in EF]]
    return [[{"efSearch": ef, "k_factor": f} for ef in EF if ef >= K * f] for f in (1.5, 2, 3)]


def list_chains(refined: bool) -> list[list[dict[str, int]]]:
    """Nprobe, for each number of candidates that are scored again."""
    if not refined:
        return [[{"nprobe": n} for n in NPROBE]]
    return [[{"nprobe": n, "k_factor": f} for n in NPROBE] for f in K_FACTOR]


def recipes(data: Data) -> list[tuple[str, int]]:
    """FAISS factory strings, and efConstruction where there is a graph of the vectors."""
    d, lists = data.x.shape[1], f"IVF{data.lists}"
    byte = [("HNSW32,SQ8_direct", 200)] if data.name == "SIFT" else []  # its numbers are whole, 0 to 255
    return [
        ("HNSW32", 40),
        ("HNSW32", 200),
        ("HNSW32,SQ8,RFlat", 40),
        ("HNSW32,SQ8,RFlat", 200),
        ("HNSW16,SQ8,RFlat", 200),
        *byte,
        (f"{lists},Flat", 0),
        (f"{lists},PQ{d // 4}x4fs,Refine(SQ8)", 0),
        (f"{lists},PQ{d // 4}x4fs,RFlat", 0),
        (f"{lists}_HNSW32,PQ{d // 4}x4fs,RFlat", 0),
        (f"{lists},PQ{d // 2}x4fs,RFlat", 0),
        (f"RR{d},{lists},RaBitQfs4,RFlat", 0),
        (f"RR{d},{lists},RaBitQfs,RFlat", 0),
    ]


def _faiss_index(recipe: str, build_effort: int, data: Data) -> Any:
    place = data.folder / f"{recipe}-{build_effort}.faiss"
    if not place.exists():
        faiss.omp_set_num_threads(1)
        metric = faiss.METRIC_L2 if data.metric is Metric.L2 else faiss.METRIC_INNER_PRODUCT
        index = faiss.index_factory(data.x.shape[1], recipe, metric)
        if build_effort:
            base = index.base_index if isinstance(index, faiss.IndexRefine) else index
            faiss.downcast_index(base).hnsw.efConstruction = build_effort
        index.train(data.x)
        index.add(data.x)
        faiss.write_index(index, f"{place}.part")
        Path(f"{place}.part").rename(place)
    return faiss.read_index(str(place))


def stock(data: Data) -> list[Contender]:
    """FAISS's recipes; where one ends in a refinement of a fine code, also without it."""
    out = []
    for recipe, build_effort in recipes(data):
        index = _faiss_index(recipe, build_effort, data)
        refined = isinstance(index, faiss.IndexRefine)
        chains = graph_chains if build_effort else list_chains
        name = f"{recipe} efC{build_effort}" if build_effort else recipe
        out.append(faiss_contender(name, "stock", index, chains(refined), data))
        if refined and (build_effort or "RaBitQfs4" in recipe):
            base = faiss.downcast_index(index.base_index)
            out.append(faiss_contender(name.replace(",RFlat", ""), "stock", base, chains(False), data))
            out[-1].holds = index
    return out


# ---- other libraries


def peer_recipes(data: Data) -> dict[str, tuple[dict[str, Any], list[list[dict[str, int]]]]]:
    """Peers by name: how to build them, and their settings.

    ScaNN: dimensions, leaves and thresholds as its authors set them for ann-benchmarks: anisotropic (0.2) for inner products,
    not for squared distances.
    """
    threshold = 0.2 if data.metric is Metric.COSINE else None
    graph = [[{"efSearch": ef} for ef in EF]]
    reorders = (20, 40, 80, 160, 320)
    leaves = [[{"leaves": n, "reorder": r} for n in NPROBE] for r in reorders]
    out: dict[str, tuple[dict[str, Any], list[list[dict[str, int]]]]] = {}
    for links in (16, 32):
        out[f"hnswlib M={links} efC200"] = ({"peer": "hnswlib", "links": links, "build_effort": 200}, graph)
    for count in (1000, 2000):
        recipe = {"peer": "scann", "leaves": count, "threshold": threshold}
        out[f"ScaNN {count} leaves"] = (recipe, leaves)
    return out


@contextlib.contextmanager
def running(*command: object) -> Iterator[subprocess.Popen[str]]:
    """A process that is asked through its standard input, and ends when that closes."""
    with subprocess.Popen(
        list(map(str, command)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
    ) as child:
        yield child


def peer_contender(name: str, recipe: dict[str, Any], chains: Any, data: Data, stack: contextlib.ExitStack) -> Contender:
    """A peer in a process of its own, which lives as long as the stack and is asked for one measurement at a time."""
    place = data.folder / "-".join(f"{k}={v}" for k, v in recipe.items())
    script = ROOT / "benchmarks" / "peers" / "frontier.py"
    child = stack.enter_context(running(PEERS, script, json.dumps(recipe), data.folder, place, data.metric))

    def ask(order: dict[str, Any] | None) -> Any:
        assert child.stdin is not None
        assert child.stdout is not None
        if order is not None:
            child.stdin.write(json.dumps(order) + "\n")
            child.stdin.flush()
        reply = child.stdout.readline()
        if not reply:
            raise Skipped(f"{name} ended with {child.wait()}")
        return json.loads(reply)

    ask(None)

    def answer(setting: dict[str, int], half: int) -> np.ndarray:
        return np.array(ask({"do": "answer", "setting": setting, "half": half}))

    def seconds(setting: dict[str, int], half: int, batch: bool) -> float:
        return float(ask({"do": "seconds", "setting": setting, "half": half, "batch": batch}))

    return Contender(name, "peer", chains, answer, seconds)


def peers(data: Data, stack: contextlib.ExitStack) -> list[Contender]:
    """hnswlib and ScaNN; none where the peers' environment is not installed."""
    if not PEERS.exists():
        return []
    return [peer_contender(name, recipe, chains, data, stack) for name, (recipe, chains) in peer_recipes(data).items()]


# ---- ours


@dataclass(frozen=True)
class Own:
    """One of our kinds, built and opened, and the same work asked of FAISS alone (None: it is not FAISS that does it)."""

    contender: Contender
    bare: Contender | None
    as_bare: Callable[[Any], dict[str, int]]


def own_kinds(data: Data) -> list[Any]:
    """Our kinds for a data set."""
    fine = nf.IvfPq(lists=1024, subvectors=data.x.shape[1] // 2)
    reduced = reducing.reduced(OURS[0], data.x, data.metric)
    return [*OURS, fine, *([] if reduced is None else [reduced, replace(reduced, links=24, build_effort=200)])]


def ours(kind: Any, data: Data) -> Own:
    """Builds a kind as a collection does, and opens it. The only function here that knows how our indexes are made."""
    n, dim = data.x.shape
    files = sorted(p for p in Path(_faiss.__file__).parent.glob("*.py") if p.stem not in SEARCHING)
    source = hashlib.sha256(b"".join(p.read_bytes() for p in files))
    told = hashlib.sha256(json.dumps(encode_kind(kind)).encode() + source.digest()).hexdigest()[:12]
    into = data.folder / f"{kind.name}-{told}"
    if not (into / "done").exists():
        into.mkdir(exist_ok=True)
        for left in into.iterdir():
            left.unlink()
        run_build(data.folder / "x", n, dim, kind, data.metric, into, threads=1, seed=SEED, nice=0)
        (into / "done").touch()
    _faiss.set_threads(THREADS)
    index = kind.open(into / STEM, data.metric, np.memmap(data.folder / "x", np.float32, mode="r", shape=(n, dim)))
    efforts = [
        [replace(e, oversampling=o) for e in kind.efforts(n) if not e.efSearch or e.efSearch >= K * o]
        for o in kind.oversamplings
    ]

    def answer(effort: Any, half: int) -> np.ndarray:
        return answered(lambda q: index.search(q, K, effort).positions, data.halves[half], half)

    def seconds(effort: Any, half: int, batch: bool) -> float:
        def call(queries: np.ndarray) -> Any:
            return index.search(queries, K, effort)

        return timed(call, call, data.halves[half], batch)

    def as_bare(effort: Any) -> dict[str, int]:
        return {"nprobe": effort.nprobe, "efSearch": effort.efSearch, "k_factor": effort.oversampling}

    name = str(kind).replace("'", "")
    return Own(Contender(name, "ours", efforts, answer, seconds), bare(kind, into / STEM, data), as_bare)


def bare(kind: Any, place: Path, data: Data) -> Contender | None:
    """The file of one of our indexes, searched by FAISS's own calls: where we score candidates again, by its IndexRefine over
    the same vectors; where input is coded, by its functions in turn, on queries that are coded already.
    """
    if not Path(f"{place}.faiss").exists():
        return None
    index = faiss.read_index(f"{place}.faiss", faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY)
    codec = Path(f"{place}.codec")
    if codec.exists():
        return _by_hand(index, Codec.open(codec, data.x.shape[1]), data)
    if not kind.refines:
        return faiss_contender("bare", "bare", index, [], data)
    order = Path(f"{place}.order")
    rows = data.x[np.fromfile(order, np.int32)] if order.exists() else data.x
    flat = faiss.IndexFlat(rows.shape[1], index.metric_type)
    flat.add(rows)
    out = faiss_contender("bare", "bare", faiss.IndexRefine(index, flat), [], data)
    out.holds = (index, flat)
    return out


def _by_hand(index: Any, codec: Codec, data: Data) -> Contender:
    """An index of codes, and FAISS's scoring of what it finds by the raw vectors; into arrays made once."""
    by_distance = data.metric is Metric.L2
    score = faiss.fvec_L2sqr_by_idx if by_distance else faiss.fvec_inner_products_by_idx
    coded = tuple(codec.encode(half) for half in data.halves)
    pointer, x, dim = faiss.swig_ptr, data.x, data.x.shape[1]

    def seconds(setting: dict[str, int], half: int, batch: bool) -> float:
        given, width = faiss.SearchParametersHNSW(efSearch=setting["efSearch"]), K * max(1, setting["k_factor"])
        m = BATCH if batch else 1
        found = np.empty((m, width), np.float32), np.empty((m, width), np.int64)
        scores = np.empty((m, width), np.float32)
        many = np.ascontiguousarray(np.resize(coded[half], (BATCH, codec.dims))), np.resize(data.halves[half], (BATCH, dim))
        singles = [(coded[half][i : i + 1], data.halves[half][i : i + 1]) for i in range(len(coded[half]))]

        def call(asked: tuple[np.ndarray, np.ndarray]) -> None:
            codes, query = asked
            index.search(codes, width, params=given, D=found[0], I=found[1])
            score(pointer(scores), pointer(query), pointer(x), pointer(found[1]), dim, m, width)
            best = scores.argsort(axis=1) if by_distance else (-scores).argsort(axis=1)
            np.take_along_axis(found[1], best[:, :K], axis=1)

        return clocked(call, singles, many, batch)

    return Contender("bare", "bare", [], lambda setting, half: np.empty((0, K), np.int64), seconds, holds=index)
