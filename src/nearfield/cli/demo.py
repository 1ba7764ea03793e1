"""`nearfield demo`: a reverse dictionary. Describe a thing, find the word: 12,000 entries of WordNet, with a real model.

Run again, it finds what is there and embeds nothing.
"""

from __future__ import annotations

import importlib.resources
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfield.cli import adding, ops, options, show
from nearfield.core.config import format_size
from nearfield.core.errors import shorten

if TYPE_CHECKING:
    from nearfield.cli.sources import Source
    from nearfield.collection import Collection
    from nearfield.core.types import Hits

SAMPLE = "wordnet-sample.jsonl.gz"
COLLECTION = "words"
WITHOUT_EMBEDDING, WITH_EMBEDDING = 500, 100
"""Searches that are timed."""


@dataclass(frozen=True, slots=True)
class Question:
    """A search to show: by description, with or without a filter."""

    text: str
    filter: dict[str, Any] | None = None


QUESTIONS = (
    Question("a person who designs buildings"),
    Question("fear of being shut in a small room"),
    Question("an instrument that tells how hot it is"),
    Question("a group of islands"),
    Question("postpone work out of laziness"),
    Question("cannot sleep at night"),
    Question("cannot sleep at night", {"category": "noun.state"}),
)
LIKE = "violin"


def source() -> Source:
    """The sample that comes with the package."""
    from nearfield.cli.sources import Reading, Source, open_source

    with importlib.resources.as_file(sample()) as path:
        found = open_source(str(path), Reading())
    return Source("WordNet sample", found.total, found.rows)


def sample() -> Any:
    """The sample's file."""
    return importlib.resources.files("nearfield") / "demo_data" / SAMPLE


def demo(
    dir: Annotated[Path, typer.Option("--dir", help="Where to keep the demo's database.")] = Path("demo-data"),
    embedder: Annotated[str, typer.Option(help="The model; see create.")] = "minilm",
    json: options.Json = False,
) -> None:
    """Describe a thing, find the word: embeds 12,000 dictionary entries and searches them."""
    import nearfield

    say: Callable[[str], None] = (lambda text: None) if json else show.line
    say("A reverse dictionary: 12,000 entries of WordNet 3.0 (Princeton University; licence beside the sample).")
    say(f"Database: {dir}, collection {COLLECTION}, embedder {embedder}\n")
    with nearfield.open(dir) as db:
        words = db.get_or_create(COLLECTION, embedder=embedder, index=nearfield.Hnsw())
        counts, seconds = fill(words)
        if counts.written:
            say(
                f"embedded and stored {counts.written:,} documents in {show.duration(seconds)}, {counts.unchanged:,} were there"
            )
        else:
            say(f"all {counts.unchanged:,} documents were there unchanged; nothing was embedded again")
        started = time.monotonic()
        words.optimize(progress=None if json else lambda text: show.line(f"  {text}"))
        building = time.monotonic() - started
        answers = [ask(words, question, say) for question in QUESTIONS]
        answers.append(more_like_this(words, say))
        summary = summarise(words, counts, seconds, building)
    if json:
        show.as_json({"answers": answers, "summary": summary})
        return
    show.line("\nSummary")
    show.pairs({f"  {name}": value for name, value in summary.items()})
    show.line(f"\nAsk your own:  nearfield search {dir}/{COLLECTION} 'a bird that cannot fly'")


def fill(words: Collection) -> tuple[adding.Counts, float]:
    """Adds what is missing of the sample; returns what was done and the seconds it took."""
    counts, started = adding.Counts(), time.monotonic()
    data = source()
    try:
        with show.Meter("embedding", data.total) as meter:
            adding.add_source(words, data, counts, batch=None, progress=meter.update)
    except KeyboardInterrupt:
        show.note(f"interrupted: {counts.written:,} documents were written; run the demo again to go on")
        raise typer.Exit(options.INTERRUPTED) from None
    return counts, time.monotonic() - started


def ask(words: Collection, question: Question, say: Callable[[str], None]) -> dict[str, Any]:
    """Shows one search by text."""
    hits = words.search(question.text, k=3, filter=question.filter)
    with_filter = "" if question.filter is None else f"   with filter {question.filter}"
    say(f'\n"{question.text}"{with_filter}')
    _hits(hits, say)
    return {"query": question.text, "filter": question.filter, "hits": _rows(hits)}


def more_like_this(words: Collection, say: Callable[[str], None]) -> dict[str, Any]:
    """Shows a search by a document: its nearest neighbours."""
    document = next(d for d in words.scan(filter={"category": "noun.artifact"}) if _word(d.text) == LIKE)
    hits = words.search(id=document.id, k=3)
    say(f"\nmore like this: {LIKE}")
    _hits(hits, say)
    return {"like": LIKE, "hits": _rows(hits)}


def _hits(hits: Hits, say: Callable[[str], None]) -> None:
    for hit in hits:
        gloss = (hit.text or "").partition(": ")[2]
        say(f"  {hit.score:.3f}  {shorten(_word(hit.text), 24):<24} {shorten(gloss, 76)}  [{hit.metadata.get('category')}]")


def _rows(hits: Hits) -> list[dict[str, Any]]:
    return [{"id": hit.id, "word": _word(hit.text), "score": hit.score} for hit in hits]


def _word(text: str | None) -> str:
    """The first word of an entry."""
    return (text or "").partition(":")[0].split(",")[0]


def summarise(words: Collection, counts: adding.Counts, seconds: float, building: float) -> dict[str, str]:
    """Measures searches and gathers the numbers, as text for people."""
    import numpy as np

    stats = words.stats()
    some = _every(words, WITHOUT_EMBEDDING)
    vectors = [document.vector for document in some]
    quick = _time(lambda i: words.search(vector=vectors[i], k=10), len(vectors))
    texts = [(document.text or "").partition(": ")[2] or "a word" for document in some[:WITH_EMBEDDING]]
    whole = _time(lambda i: words.search(texts[i], k=10), len(texts))
    found = [words.search(vector=v, k=10, documents=False).ids for v in vectors[:200]]
    true = [words.search(vector=v, k=10, documents=False, exact=True).ids for v in vectors[:200]]
    recall = float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, true, strict=True)]))
    largest = max(stats.segments, key=lambda s: s.live, default=None)
    kind, curve, reason = ops.describe_index(largest.index if largest else None)
    rate = f"{counts.written / seconds:,.0f} embedded and stored durably" if counts.written else "nothing to embed"
    return {
        "documents": f"{stats.documents:,}",
        "documents/s": rate,
        "index": f"{kind}: {reason}",
        "index ready after": show.duration(building),
        "recall@10 when built": curve,
        "recall@10 now": f"{recall:.4f} over {len(found)} searches, against exact ones (promised: {stats.recall})",
        "bytes": f"{format_size(stats.nbytes)} in {len(stats.segments)} segments",
        "search, P50 / P99": f"{_quantiles(quick)} (by vector, ten documents)",
        "with embedding, P50 / P99": f"{_quantiles(whole)} (by text, ten documents)",
    }


def _every(words: Collection, wanted: int) -> list[Any]:
    step = max(1, len(words) // wanted)
    return [document for i, document in enumerate(words.scan(vectors=True)) if i % step == 0][:wanted]


def _time(search: Callable[[int], Any], n: int) -> list[float]:
    return list(_seconds(search, n))


def _seconds(search: Callable[[int], Any], n: int) -> Iterator[float]:
    for i in range(n):
        started = time.perf_counter()
        search(i)
        yield time.perf_counter() - started


def _quantiles(seconds: list[float]) -> str:
    import numpy as np

    return f"{show.duration(float(np.quantile(seconds, 0.5)))} / {show.duration(float(np.quantile(seconds, 0.99)))}"
