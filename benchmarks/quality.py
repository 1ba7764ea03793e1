"""How good are the hits on judged collections: keyword, dense, hybrid, hybrid + rerank; nDCG@10 and Recall@100 with intervals.

`python -m benchmarks.quality [FOLDER ...]`: folders in BEIR's layout (corpus.jsonl, queries.jsonl, qrels/test.tsv); by default
Cranfield in ../shared/data. `--fusion ranks,0.7` adds a row for another fusion, `--sweep` many of them. A cross-encoder is used
where one is given (`--rerank NAME`): there is none that could be shipped, and a bi-encoder is no reranker. Vectors of documents
are kept between runs in a temporary folder, under a name that says the model and the texts.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import nearfield as nf
from benchmarks.common import DATA, SEED, Skipped, report, row
from nearfield import embed
from nearfield.core.fuse import Fusion
from nearfield.evaluate import beir
from nearfield.evaluate.report import Evaluation
from nearfield.evaluate.run import System, evaluate
from nearfield.evaluate.systems import systems

CACHE = Path(tempfile.gettempdir()) / "nearfield-quality"
SHOWN = ("nDCG@10", "Recall@100")
RERANKED = 100
GRID = tuple(
    [Fusion("scores", w / 10) for w in range(1, 10)]
    + [Fusion("ranks", w / 10, constant=c) for c in (10.0, 60.0) for w in range(3, 9)]
)


def vectors_of(texts: list[str], model: str) -> np.ndarray:
    """float32 (n, dim): kept ones, or embedded now."""
    digest = hashlib.blake2b("\0".join(texts).encode(), digest_size=12).hexdigest()
    path = CACHE / f"{model.replace('/', '_').replace(':', '_')}-{digest}.npy"
    if path.exists():
        return np.load(path)
    start = time.monotonic()

    def progress(done: int, of: int | None) -> None:
        print(f"\r  embedding {done:,} of {of:,}", end="", file=sys.stderr, flush=True)

    found = embed.load(model).encode(texts, progress=progress)
    print(f"\r  embedded {len(texts):,} texts in {time.monotonic() - start:.0f} s", file=sys.stderr)
    CACHE.mkdir(parents=True, exist_ok=True)
    np.save(path, found)
    return found


def loaded(db: nf.Database, folder: Path, model: str, scale: float) -> tuple[nf.Collection, int]:
    """A collection of the folder's corpus, and how many documents have no text and are left out."""
    entries = list(beir.corpus(folder / "corpus.jsonl"))
    entries = entries[: max(10, int(len(entries) * scale))]
    kept = [entry for entry in entries if entry.text]
    collection = db.create("corpus", embedder=model)
    texts = [entry.text for entry in kept]
    collection.load(ids=[entry.id for entry in kept], vectors=vectors_of(texts, model), texts=texts)
    return collection, len(entries) - len(kept)


def named(by: Fusion) -> str:
    told = f"{by.method}, weight {by.weight:g}"
    return f"hybrid ({told}, constant {by.constant:g})" if by.method == "ranks" else f"hybrid ({told})"


def ways(collection: nf.Collection, rerank: str | None, fusions: list[Fusion]) -> list[System]:
    """What is measured."""
    out = systems(collection, ["keyword", "dense", "hybrid"])
    if rerank is not None:
        out += systems(collection, ["hybrid"], rerank=rerank, rerank_depth=RERANKED)[1:]
    for by in fusions:
        (one,) = systems(collection, ["hybrid"], fusion=by)
        out.append(dataclasses.replace(one, name=named(by)))
    return out


def measured(folder: Path, model: str, rerank: str | None, fusions: list[Fusion], scale: float) -> Evaluation:
    """The folder's evaluation."""
    where = Path(tempfile.mkdtemp(prefix="nearfield-quality-"))
    try:
        with nf.open(where / "db") as db:
            collection, blank = loaded(db, folder, model, scale)
            about = {"folder": folder.name, "documents": len(collection), "without text": blank, "embedder": model}
            qrels = next(p for p in (folder / "qrels" / "test.tsv", folder / "qrels.tsv") if p.exists())
            return evaluate(ways(collection, rerank, fusions), folder / "queries.jsonl", qrels, seed=SEED, about=about)
    finally:
        shutil.rmtree(where)


def rows_of(found: Evaluation, folder: Path) -> list[dict[str, Any]]:
    """Hybrid is to beat both of its sides."""
    out = []
    for metric in SHOWN:
        for side in ("keyword", "dense"):
            apart = found.difference("hybrid", side, metric)
            out.append(row(f"{folder.name}: {metric}, hybrid - {side}", apart.mean, 0, ""))
    return out


def summary(found: Evaluation) -> dict[str, Any]:
    """Means with their intervals, and what was searched."""
    out: dict[str, Any] = {"about": found.about | {"queries": len(found.queries), "left out": found.left_out}}
    for one in found.results:
        shown = {
            m: [round(v, 4) for v in (e.mean, e.low, e.high)] for m in found.metrics for e in [found.estimate(one.name, m)]
        }
        out[one.name] = shown | {"ms/query": round(one.milliseconds, 1)}
    out["differences"] = [str(found.difference("hybrid", side, metric)) for metric in SHOWN for side in ("keyword", "dense")]
    return out


def run(folders: list[Path], model: str, rerank: str | None, fusions: list[Fusion], scale: float) -> None:
    rows: list[dict[str, Any]] = []
    facts: dict[str, Any] = {"embedder": model, "rerank": rerank or "left out: no cross-encoder was given (--rerank NAME)"}
    for folder in folders:
        if not (folder / "corpus.jsonl").exists():
            raise Skipped(f"{folder} has no corpus.jsonl in BEIR's layout")
        found = measured(folder, model, rerank, fusions, scale)
        print(f"{folder.name}: {found.about['documents']:,} documents")
        for name in found.names:
            cells = [f"{m} {e.mean:.4f} [{e.low:.4f}, {e.high:.4f}]" for m in SHOWN for e in [found.estimate(name, m)]]
            print(f"  {name:<36} {'   '.join(cells)}")
        for metric in SHOWN:
            for side in ("keyword", "dense"):
                print(f"  {found.difference('hybrid', side, metric)}")
        rows += rows_of(found, folder)
        facts |= {f"{folder.name}: {name}": told for name, told in summary(found).items()}
    report("quality", rows, facts)


def main(scale: float = 1.0) -> None:
    folder = DATA / "cranfield"
    if not folder.exists():
        raise Skipped("cranfield is not in ../shared/data")
    run([folder], embed.DEFAULT, None, [], scale)


def fusion(text: str) -> Fusion:
    """From "METHOD,WEIGHT[,CONSTANT]"."""
    method, _, rest = text.partition(",")
    weight, _, constant = rest.partition(",")
    return Fusion(method, float(weight or 0.5), constant=float(constant or 60))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="BEIR folders; Cranfield by default")
    parser.add_argument("--embedder", default=embed.DEFAULT)
    parser.add_argument("--rerank", help="a cross-encoder's folder, name or URL")
    parser.add_argument("--fusion", action="append", type=fusion, default=[], help="METHOD,WEIGHT[,CONSTANT]; can be repeated")
    parser.add_argument("--sweep", action="store_true", help="many fusions")
    parser.add_argument("--scale", type=float, default=1.0)
    told = parser.parse_args()
    try:
        run(
            told.folders or [DATA / "cranfield"], told.embedder, told.rerank,
            [*told.fusion, *(GRID if told.sweep else ())], told.scale,
        )  # fmt: skip
    except Skipped as reason:
        print(f"skipped: {reason}")
