"""Passages: how quickly texts are cut, beside embedding them; and what rolling passages up to documents adds to a search."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

import nearfield as nf
from benchmarks.common import DATA, Skipped, minilm, per_call, report, row, seconds
from nearfield import embed
from nearfield.embed.tokens import Tokenized
from nearfield.parts.split import split, word_starts

EACH = 4
"""Passages of a document in the search part."""


def main(scale: float = 1.0) -> None:
    cut, cut_facts = _cutting(scale)
    searched, search_facts = _searching(scale)
    report("passages", cut + searched, cut_facts | search_facts)


def _cutting(scale: float) -> tuple[list[dict[str, object]], dict[str, object]]:
    path = DATA / "cranfield" / "corpus.jsonl"
    if not path.exists():
        raise Skipped("cranfield is not in ../shared/data")
    texts = [json.loads(line)["text"] for line in path.read_text("utf-8").splitlines()]
    whole = "\n\n".join(t for t in texts if t)[: int(1_000_000 * max(scale, 0.2))]
    size = len(whole.encode()) / 1e6
    model = embed.load("minilm")
    assert isinstance(model, Tokenized)
    model.token_starts(["warm"])
    words = seconds(lambda: split(whole, word_starts(whole), 200, 40))
    found: list[np.ndarray] = []
    tokens = seconds(lambda: found.extend(model.token_starts([whole]) or []))
    pieces = split(whole, found[0], 200, 40)
    cutting = seconds(lambda: split(whole, found[0], 200, 40))
    some = [whole[p.start : p.end] for p in pieces[:64]]
    model.encode(some[:4])
    embedding = seconds(lambda: model.encode(some)) / sum(len(t.encode()) for t in some) * 1e6 * (sum(p.tokens for p in pieces))
    embedding /= len(found[0])  # passages overlap: so many of their bytes are embedded for one of the text
    rows = [row("cutting by the model's tokens, against embedding the passages", embedding / ((tokens + cutting) / size), 10)]
    facts = {
        "cutting, MB/s": round(size / cutting, 2),
        "with the model's tokenizer, MB/s": round(size / (tokens + cutting), 2),
        "by words, all in all, MB/s": round(size / words, 2),
        "passages": len(pieces),
    }
    return rows, facts


def _searching(scale: float) -> tuple[list[dict[str, object]], dict[str, object]]:
    base, queries = minilm()
    n = int(len(base) * scale) // EACH * EACH
    base, dim = base[:n], base.shape[1]
    with tempfile.TemporaryDirectory() as folder, nf.open(Path(folder) / "db") as db:
        plain = db.create("plain", embedder=None, dim=dim, keyword=None)
        plain.load(ids=[str(i) for i in range(n)], vectors=base)
        several = db.create("several", embedder=None, dim=dim, keyword=None, passages=nf.Passages())
        text = "one two"
        documents = [
            nf.Document(str(i), text, parts=tuple(nf.Part(v, start=0, end=3) for v in base[i : i + EACH]))
            for i in range(0, n, EACH)
        ]
        several.upsert(documents)
        for one in (plain, several):
            one.optimize()
            per_call(lambda i, one=one: one.search(vector=queries[i]), 50)
        calls = {
            "ordinary": lambda q: plain.search(vector=q),
            "rolled": lambda q: several.search(vector=q),
            "deeper": lambda q: plain.search(vector=q, k=28),
            "shown": lambda q: several.search(vector=q, passages_per_document=3),
        }
        turns = [{name: seconds(lambda call=call, q=q: call(q)) for name, call in calls.items()} for q in queries[:400]]
        ordinary, rolled, deeper, shown = (np.array([turn[name] for turn in turns]) for name in calls)
        same = 0.0
        for query in queries[:100]:
            best = list(dict.fromkeys(int(i) // EACH for i in plain.search(vector=query, k=60, exact=True).ids))[:10]
            same += len({int(i) // EACH for i in several.search(vector=query).ids} & set(best)) / 10
    rows = [
        row(
            "search of documents in passages, P50, against one of as many vectors",
            np.median(rolled) / np.median(ordinary),
            2.0,
            least=False,
        ),
        row("recall of documents at 10", same / 100, 0.95, "-"),
    ]
    facts = {
        "vectors": n,
        "documents": n // EACH,
        "P50 ms of documents": round(1000 * np.median(rolled), 3),
        "P50 ms of vectors, k=10": round(1000 * np.median(ordinary), 3),
        "P50 ms of vectors, k=28": round(1000 * np.median(deeper), 3),
        "P50 ms with three passages each": round(1000 * np.median(shown), 3),
    }
    return rows, facts


if __name__ == "__main__":
    main()
