"""Verbs that hold and find data: create search get update rm count ls rename export import. `add` is in adding.py."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from nearfield.cli import indexes, options, parts, place, recommending, show
from nearfield.cli.ops import describe_generation
from nearfield.core.errors import InvalidInput, NotFound, shorten

TEXT_WIDTH = 88


def create(
    target: options.Target,
    embedder: Annotated[
        str, typer.Option(help="minilm, a model's folder or Hugging Face name, openai:URL#MODEL, or none: bring vectors.")
    ] = "minilm",
    dim: Annotated[int | None, typer.Option(help="Numbers in each vector, with --embedder none.", show_default=False)] = None,
    metric: Annotated[str, typer.Option(help="cosine, ip or l2.")] = "cosine",
    index: Annotated[str, typer.Option(help=f"{indexes.SPELLED}.")] = "auto",
    recall: Annotated[float, typer.Option(help="The recall that searches hold.")] = 0.95,
    field: Annotated[
        list[str] | None, typer.Option(help="A declared field, such as day=timestamp; can be repeated.", show_default=False)
    ] = None,
    keyword: Annotated[str, typer.Option(help="How texts are indexed by their words: english, plain or none.")] = "english",
    passages: parts.Passages = None,
    overlap: parts.Overlap = None,
    named: parts.Vectors = None,
    json: options.Json = False,
) -> None:
    """Make a collection, and its database directory if it is missing."""
    import nearfield

    where = place.split(target)
    fields = dict(_assignment(pair, "--field") for pair in field or [])
    name = where.collection or ""
    with nearfield.open(where.directory) as db:
        made = db.create(
            name,
            embedder=None if embedder.lower() == "none" else embedder,
            dim=dim,
            metric=metric,
            index=indexes.kind_of(index),
            recall=recall,
            fields=fields or None,
            keyword=None if keyword.lower() == "none" else keyword,
            **parts.made(passages, overlap, named),
        )
        done = {
            "name": made.name,
            "dim": made.dim,
            "metric": made.metric.value,
            "embedder": made.embedder,
            "recall": made.recall,
            **({} if made.parts is None else {"parts": made.parts}),
        }
    if json:
        show.as_json(done)
    else:
        show.line(f"created {target}: dim {done['dim']}, {done['metric']}, embedder {done['embedder'] or 'none'}")


def _assignment(pair: str, option: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not equals or not key:
        raise InvalidInput("not an assignment", field=option, expected="NAME=VALUE", received=pair)
    return key, value


def search(
    target: options.Target,
    query: Annotated[str | None, typer.Argument(help="What to look for.", show_default=False)] = None,
    id: Annotated[
        str | None, typer.Option("--id", help="Find documents like the one with this id.", show_default=False)
    ] = None,
    vector: Annotated[str | None, typer.Option(help="Search by a vector: a JSON list.", show_default=False)] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="How many.")] = 10,
    filter: options.Where = None,
    recall: Annotated[float | None, typer.Option(help="The recall to hold [the collection's].", show_default=False)] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Compare with every vector.")] = False,
    offset: Annotated[int, typer.Option(help="Leave out this many leading hits.")] = 0,
    timeout: Annotated[str | None, typer.Option(help="At most this long, such as 50ms.", show_default=False)] = None,
    mode: Annotated[str, typer.Option(help="dense: by vectors; keyword: by words; hybrid: both.")] = "dense",
    fusion: options.Fuse = None,
    image: Annotated[
        Path | None, typer.Option(help="Search by a picture, where the model takes them.", show_default=False)
    ] = None,
    on: parts.On = None,
    passages_per_document: parts.Shown = 1,
    exclude: recommending.Exclude = None,
    min_score: recommending.MinScore = None,
    min_percentile: recommending.MinPercentile = None,
    percentiles: recommending.Percentiles = False,
    all: recommending.Every = False,
    rerank: recommending.Rerank = None,
    rerank_depth: recommending.RerankDepth = 50,
    diversity: recommending.Diversity = 0.0,
    group_by: recommending.GroupBy = None,
    group_size: recommending.GroupSize = 1,
    after: recommending.After = None,
    pages: recommending.Paged = False,
    plan: Annotated[bool, typer.Option("--plan", help="Show how each part was searched.")] = False,
    json: options.Json = False,
) -> None:
    """Find the nearest documents to a text, a vector, or another document; or those with its words."""
    with place.collection(target) as collection:
        hits = collection.search(
            query,
            vector=None if vector is None else options.parse_json(vector, "--vector"),
            id=id,
            k=None if all else k,
            filter=options.parse_filter(filter),
            recall=recall,
            exact=exact,
            offset=offset,
            timeout=timeout,
            mode=mode,
            fusion=options.parse_fusion(fusion),
            image=image,
            on=parts.on(on),
            passages_per_document=passages_per_document,
            exclude=exclude or (),
            min_score=min_score,
            min_percentile=min_percentile,
            percentiles=percentiles,
            rerank=rerank,
            rerank_depth=rerank_depth,
            diversity=diversity,
            group_by=group_by,
            group_size=group_size,
            after=after,
        )
        token = recommending.following(hits, pages, after)
    recommending.shown(hits, json, plan, token, pages or after is not None)


def get(
    target: options.Target,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Documents' ids.", show_default=False)],
    vectors: Annotated[bool, typer.Option("--vectors", help="Show the vectors too.")] = False,
    json: options.Json = False,
) -> None:
    """Show documents by id; exit code 1 if one is not there."""
    with place.collection(target) as collection:
        found = collection.get(list(ids), vectors=vectors)
    missing = [id for id, document in zip(ids, found, strict=True) if document is None]
    there = [show.document(document) for document in found if document is not None]
    if json:
        show.as_json(there)
    else:
        for document in there:
            values = {"id": document["id"], "text": document["text"] or "", **document["metadata"]}
            for name, vector in show.vectors(document):
                values[name] = " ".join(f"{x:.6g}" for x in vector)
            show.pairs(values)
            show.line("")
    if missing:
        raise NotFound(f"no document has the id {', '.join(map(repr, missing[:5]))}", field="ID")


def update(
    target: options.Target,
    id: Annotated[str, typer.Argument(metavar="ID", help="The document's id.", show_default=False)],
    set: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE, the value as JSON or else a string; can be repeated.")
    ] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", help="A key to take away; can be repeated.")] = None,
    json: options.Json = False,
) -> None:
    """Change the metadata of a document; its text and vector stay."""
    changes = {key: _value(value) for key, value in (_assignment(pair, "--set") for pair in set or [])}
    if not changes and not remove:
        raise InvalidInput("nothing to change", field="--set", expected="--set KEY=VALUE or --remove KEY")
    with place.collection(target, write=True) as collection:
        collection.update(id, metadata=changes, remove=remove or [])
        document = collection.get(id)
    show.as_json(show.document(document)) if json else show.line(f"updated {id}: {show.brief(document.metadata, 200)}")


def _value(text: str) -> Any:
    try:
        return options.parse_json(text, "--set")
    except InvalidInput:
        return text


def rm(
    target: options.Target,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Documents' ids.", show_default=False)] = None,
    filter: options.Where = None,
    collection: Annotated[bool, typer.Option("--collection", help="Remove the whole collection, its files too.")] = False,
    json: options.Json = False,
) -> None:
    """Delete documents by id or by filter, or a whole collection."""
    if sum((bool(ids), filter is not None, collection)) != 1:
        raise InvalidInput("say what to delete", field="ID", expected="exactly one of ids, --filter, --collection")
    if collection:
        where = place.split(target)
        with place.database(where.directory, write=True) as db:
            db.drop(where.collection or "")
        show.as_json({"dropped": where.collection}) if json else show.line(f"removed {target}")
        return
    with place.collection(target, write=True) as opened:
        done = opened.delete(list(ids)) if ids else opened.delete(filter=options.parse_filter(filter))
    show.as_json({"deleted": done.deleted}) if json else show.line(f"deleted {done.deleted:,}")


def count(target: options.Target, filter: options.Where = None, json: options.Json = False) -> None:
    """Count documents, all or those that match a filter."""
    with place.collection(target) as collection:
        found = collection.count(options.parse_filter(filter))
    show.as_json({"count": found}) if json else show.line(str(found))


def ls(
    target: options.Anywhere,
    filter: options.Where = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many documents.")] = 20,
    json: options.Json = False,
) -> None:
    """List a directory's collections, or a collection's documents."""
    where = place.find(target)
    with place.database(where.directory) as db:
        if where.collection is None:
            if filter is not None:
                raise InvalidInput("a filter needs a collection", field="--filter", expected="ls DIR/COLLECTION --filter ...")
            _collections(db, json)
            return
        found = list(islice(db[where.collection].scan(filter=options.parse_filter(filter)), limit))
    if json:
        show.as_json([show.document(document) for document in found])
    else:
        rows = [(d.id, shorten(d.text or "", TEXT_WIDTH), show.brief(d.metadata)) for d in found]
        show.table(("id", "text", "metadata"), rows)


def _collections(db: Any, json: bool) -> None:
    aliases: dict[str, list[str]] = {}
    for alias, name in db.aliases().items():
        aliases.setdefault(name, []).append(alias)
    rows = []
    for name in db.list():
        found = db[name]
        row = {"name": name, "documents": len(found), "dim": found.dim, "metric": found.metric.value}
        row |= {"embedder": found.embedder, "recall": found.recall, "aliases": aliases.get(name, [])}
        rows.append({**row, "generations": db.generations(name)})
    if json:
        show.as_json(rows)
        return
    columns = ("name", "documents", "dim", "metric", "embedder", "recall", "aliases")
    shown = [[_cell(row[name]) for name in columns] for row in rows]
    show.table(columns, shown, right=("documents", "dim", "recall"))
    for row in rows:
        for other in row["generations"]:
            show.line(describe_generation(other, f"{db.path}/{row['name']}"))


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:,}" if isinstance(value, int) else str(value or "")


def rename(
    target: options.Target,
    new: Annotated[str, typer.Argument(metavar="NEW", help="The new name.", show_default=False)],
    json: options.Json = False,
) -> None:
    """Rename a collection."""
    where = place.split(target)
    with place.database(where.directory, write=True) as db:
        db.rename(where.collection or "", new)
    show.as_json({"old": where.collection, "new": new}) if json else show.line(f"renamed {where.collection} to {new}")


def export(
    target: options.Target,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A new .jsonl or .parquet file.", show_default=False)],
    vectors: Annotated[bool, typer.Option("--vectors/--no-vectors", help="Write the vectors too.")] = True,
    json: options.Json = False,
) -> None:
    """Write all documents to a .jsonl or .parquet file."""
    with place.collection(target) as collection:
        written = collection.export(file, vectors=vectors)
    show.as_json({"documents": written, "file": file}) if json else show.line(f"wrote {written:,} documents to {file}")


def import_(
    target: options.Target,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What export wrote.", show_default=False)],
    json: options.Json = False,
) -> None:
    """Read what export wrote into a collection; vectors are taken as they are."""
    with place.collection(target, write=True) as collection:
        done = collection.import_(file)
    if json:
        show.as_json({"added": done.added, "replaced": done.replaced})
    else:
        show.line(f"added {done.added:,}, replaced {done.replaced:,}")
