"""The verb `eval`: how good the hits are, judged by people; for each mode, with a reranker, and with other models."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfield.cli import options, place, show
from nearfield.core.errors import InvalidInput
from nearfield.core.types import Document

if TYPE_CHECKING:
    from nearfield.collection import Collection

CHUNK = 256
"""Documents that another model embeds at a time: a minute's work to lose at most."""


def evaluate(
    target: options.Target,
    queries: Annotated[
        Path, typer.Option(help='Queries: lines {"_id", "text"} as BEIR has them, or ID<TAB>TEXT (.tsv).', show_default=False)
    ],
    qrels: Annotated[
        Path, typer.Option(help="Judgements: query-id, corpus-id, score, tab-separated; or TREC's.", show_default=False)
    ],
    mode: Annotated[
        list[str] | None, typer.Option(help="dense, keyword or hybrid; can be repeated; all by default.", show_default=False)
    ] = None,
    rerank: Annotated[
        str | None,
        typer.Option(help="Measure each mode with this cross-encoder too: a folder, name or URL.", show_default=False),
    ] = None,
    rerank_depth: Annotated[int, typer.Option(help="Hits that it reads.")] = 50,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Another embedder, over the same texts in a temporary collection; can be repeated.", show_default=False
        ),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Keep those collections here, and go on with them when run again.", show_default=False),
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="Where nDCG, MRR, MAP and Recall are cut.")] = 10,
    depth: Annotated[int, typer.Option(help="Where Recall is cut besides.")] = 100,
    filter: options.Where = None,
    fusion: options.Fuse = None,
    seed: Annotated[int, typer.Option(help="Of the confidence intervals.")] = 0,
    json: options.Json = False,
) -> None:
    """Measure how good the hits are: nDCG, MRR, MAP and Recall against judgements, with confidence intervals."""
    from nearfield.evaluate import beir
    from nearfield.evaluate.run import evaluate as measured
    from nearfield.evaluate.systems import systems

    modes = mode or ["dense", "keyword", "hybrid"]
    texts, judged = beir.queries(queries), beir.qrels(qrels)
    wanted, how = options.parse_filter(filter), options.parse_fusion(fusion)
    with place.collection(target) as own, contextlib.ExitStack() as stack:
        compared = {"": own}
        for name in model or ():
            compared[f"{name}: "] = stack.enter_context(_another(own, name, work))
        if model:
            compared[f"{own.embedder}: "] = compared.pop("")
        ways = []
        for label, collection in sorted(compared.items(), key=lambda pair: pair[1] is not own):
            some = [m for m in modes if m != "keyword" or collection is own]
            if some:
                ways += systems(
                    collection, some, rerank=rerank, rerank_depth=rerank_depth, filter=wanted, fusion=how, label=label
                )
        about = {"collection": own.name, "embedder": own.embedder, "models": list(model or ()), "rerank": rerank}
        with show.Meter("asking", len(ways) * len(texts)) as meter:
            found = measured(ways, texts, judged, k=k, depth=depth, seed=seed, progress=_told(meter), about=about)
    show.as_json(found.to_dict()) if json else show.line(found.table())


def _told(meter: show.Meter) -> Callable[[str, int, int], None]:
    done: dict[str, int] = {}

    def progress(name: str, now: int, of: int) -> None:
        done[name] = now
        meter.update(sum(done.values()), sum(done.values()))

    return progress


@contextlib.contextmanager
def _another(own: Collection, name: str, work: Path | None) -> Iterator[Collection]:
    """A collection of the same texts by another model; with `work` it is kept, and what is there is not embedded again."""
    import nearfield
    from nearfield import embed

    if name == own.embedder:
        raise InvalidInput("this is the collection's own model", field="--model", expected="another one", received=name)
    loaded = embed.load(name)
    with contextlib.ExitStack() as stack:
        if work is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nearfield-eval-")))
        else:
            folder = work / "".join(c if c.isalnum() or c in "._-" else "_" for c in name)
        db = stack.enter_context(nearfield.open(folder))
        made = db.get_or_create("other", embedder=loaded)
        with show.Meter(f"embedding with {name}", len(own)) as meter:
            batch: list[Document] = []
            for seen, document in enumerate(own.scan(), 1):
                if document.text:
                    batch.append(Document(document.id, document.text, document.metadata))
                if len(batch) == CHUNK:
                    made.upsert(batch)
                    batch = []
                    meter.update(seen, seen)
            if batch:
                made.upsert(batch)
        yield made
