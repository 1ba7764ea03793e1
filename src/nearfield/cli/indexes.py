"""Verbs about indexes: rebuild calibrate record. And how a kind and real queries are written on the command line."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from nearfield.cli import options, place, show
from nearfield.core.errors import InvalidInput

SPELLED = "auto, cagra, flat, hnsw, ivf, ivfpq, rabitq or usearch; with parameters: hnsw:links=16,storage=float32"


def rebuild(
    target: options.Target,
    index: Annotated[str | None, typer.Option(help=f"{SPELLED} [auto].", show_default=False)] = None,
    keyword: Annotated[
        str | None,
        typer.Option(help="The index of words in place of the vectors': same, english or plain.", show_default=False),
    ] = None,
    json: options.Json = False,
) -> None:
    """Build every segment's index again, aside, as a kind; searches elsewhere go on, then use the new one."""
    started = time.monotonic()
    with place.collection(target, write=True) as collection:
        words = False if keyword is None else True if keyword == "same" else keyword
        kind = kind_of(index or "auto") if index is not None or keyword is None else None
        collection.rebuild(kind, keyword=words, progress=show.note)
        found = collection.stats()
    seconds = time.monotonic() - started
    if json:
        show.as_json({"indexed": found.indexed, "documents": found.documents, "seconds": round(seconds, 3)})
        return
    show.line(f"{found.indexed:,} of {found.documents:,} documents are in an index, after {show.duration(seconds)}")


def calibrate(
    target: options.Target,
    queries: Annotated[
        Path | None,
        typer.Option(help="Real queries: .npy vectors, or text, one each line [the recorded ones].", show_default=False),
    ] = None,
    json: options.Json = False,
) -> None:
    """Measure the indexes again with real queries, without building them; searches go by that from then on."""
    with place.collection(target, write=True) as collection:
        done = collection.calibrate(None if queries is None else queries_of(queries))
    told = [
        {"segment": c.segment, "kind": c.kind, "queries": c.queries, "source": c.source, "points": len(c.given)} for c in done
    ]
    if json:
        show.as_json(told)
        return
    if not done:
        show.line("no segment has an index: every search is exact")
    for c in done:
        show.line(
            f"segment {c.segment}: {c.queries:,} {c.source}, {len(c.given)} measurements; nearfield stats {target} shows them"
        )


def record(
    target: options.Target,
    n: Annotated[
        int,
        typer.Argument(
            metavar="N", help="The most that are kept, 100 to 10,000; 0 deletes them and stops.", show_default=False
        ),
    ],
    json: options.Json = False,
) -> None:
    """Keep a sample of the query vectors of real searches, so that indexes are measured with them. Off by default."""
    with place.collection(target, write=True) as collection:
        collection.record_queries(n)
        found = collection.stats()
    if json:
        show.as_json({"recording": found.recording, "recorded": found.recorded})
        return
    show.line(f"at most {n:,} query vectors are kept from now on" if n else "recorded queries are deleted; none is kept")


def kind_of(text: str) -> Any:
    """A kind from "auto" or "name:key=value,..."."""
    from nearfield.index import KINDS, decode_kind

    name, _, rest = text.partition(":")
    if text == "auto":
        return text
    if name not in KINDS:
        raise InvalidInput("unknown kind", field="--index", expected=SPELLED, received=text)
    fields: dict[str, Any] = {}
    for pair in filter(None, rest.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise InvalidInput("not a parameter", field="--index", expected="key=value", received=pair)
        if key.strip() == "kind":
            raise InvalidInput("the kind is named before the colon", field="--index", expected=SPELLED, received=text)
        fields[key.strip()] = int(value) if re.fullmatch(r"\s*-?[0-9]{1,12}\s*", value) else value.strip()
    return decode_kind({"kind": name, **fields})


def queries_of(path: Path) -> Any:
    """Vectors from .npy, or texts from a file with one on each line."""
    if not path.is_file():
        raise InvalidInput("there is no such file", field="--queries", expected="a .npy or text file", received=str(path))
    try:
        if path.suffix == ".npy":
            import numpy as np

            return np.load(path, allow_pickle=False)
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (ValueError, OSError, EOFError) as error:
        raise InvalidInput(f"it cannot be read ({error})", field="--queries", received=str(path)) from error
