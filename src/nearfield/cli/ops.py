"""Verbs that look after data: stats optimize verify repair backup restore purge doctor."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from nearfield.cli import options, place, show
from nearfield.core.config import format_size


def stats(target: options.Anywhere, json: options.Json = False) -> None:
    """Show what collections hold: documents, segments, indexes with their measured recall, bytes."""
    where = place.find(target)
    with place.database(where.directory) as db:
        names = db.list() if where.collection is None else [where.collection]
        found = [db[name].stats() for name in names]
    if json:
        values = [each.to_dict() for each in found]
        show.as_json(values if where.collection is None else values[0])
        return
    for each in found:
        show.pairs(
            {
                "collection": each.name,
                "documents": f"{each.documents:,} (dim {each.dim}, {each.metric}, embedder {each.embedder or 'none'})",
                "not in a segment yet": f"{each.pending:,} of at most {each.pending_limit:,}",
                "deleted, not purged": f"{each.tombstones:,}",
                "with an index": f"{each.indexed:,}; the others ({each.unindexed_share:.0%}) are compared one by one",
                "bytes": format_size(each.nbytes),
                "recall held": each.recall,
                "kept": f"pinned to {each.pin}" if each.pin else "as it is asked",
                "recorded queries": f"{each.recorded:,} of at most {each.recording:,}" if each.recording else "off",
            }
        )
        if each.segments:
            show.table(
                ("segment", "rows", "live", "bytes", "tier", "index", "recall@10", "why"),
                [
                    (s.number, f"{s.rows:,}", f"{s.live:,}", format_size(s.nbytes), s.tier, *describe_index(s.index))
                    for s in each.segments
                ],
                right=("segment", "rows", "live", "bytes"),
            )
        for segment in each.segments:
            if segment.index is not None:
                show.line(f"segment {segment.number}: {describe_history(segment.index)}")
        for number, reason in each.damaged.items():
            show.line(f"segment {number}: the index is damaged ({reason}); run: nearfield repair {target}")
        for other in each.generations:
            show.line(describe_generation(other, target if where.collection else f"{target}/{each.name}"))
        if each.problem:
            show.line(f"the last background task failed: {each.problem}")
        show.line("")


def describe_generation(other: dict[str, Any], target: str) -> str:
    """A generation that is not live, and how to go back to it or on with it, on one line."""
    model, size = other["model"] or "vectors brought", format_size(other["nbytes"])
    until = time.strftime("%Y-%m-%d %H:%M", time.localtime(other["until"]))
    if other["state"] == "old":
        return f"the generation before, by {model}, {size}, kept until {until}; back to it: nearfield reembed {target} --undo"
    return f"a generation by {model} was built, {size}, kept until {until}: nearfield reembed {target} --model {other['model']}"


def describe_index(index: Any) -> tuple[str, str, str]:
    """(kind with its bytes, measured recall at 10, why) of one segment's index, or of an exact scan."""
    from nearfield.index.calibrate import HELD_OUT

    if index is None:
        return "exact scan", "1 (every vector is compared)", "too few rows to gain from an index, or none built yet"
    kind = ", ".join(f"{key}={value}" for key, value in index.kind.items() if key != "kind")
    points = [p for p in index.curve.get("points", []) if p["k"] == 10 and p.get("share", 1) == 1]
    real = [p for p in points if p["source"] != HELD_OUT]
    points = real or points
    measured = "not measured"
    if points:
        measured = f"{points[0]['recall']:.3f} to {points[-1]['recall']:.3f} by effort ({points[0]['source']})"
    return f"{index.kind.get('kind', '')} {kind} ({format_size(index.nbytes)})".strip(), measured, index.reason


def describe_history(index: Any) -> str:
    """What an index takes, when it was built, and when and with what it was measured, on one line."""
    measured = " and ".join(f"{count:,} {source}" for source, count in index.measured.items()) or "nothing"
    built = f"built {show.moment(index.created)} in {show.duration(index.build_seconds)}" if index.created else "built earlier"
    again = f", last {show.moment(index.calibrated)} with {index.queries:,} {index.calibrated_by}" if index.calibrated else ""
    return (
        f"{index.recipe}, {format_size(index.nbytes)} (planned {format_size(index.planned_bytes)}), "
        f"{format_size(index.resident_bytes)} of memory when all is read; {built}, measured with {measured}{again}"
    )


def optimize(target: options.Target, json: options.Json = False) -> None:
    """Put everything into one segment with its index; returns when all is done."""
    _optimize(target, False, json)


def purge(target: options.Target, json: options.Json = False) -> None:
    """Rewrite what holds deleted documents, so that no byte of them remains."""
    _optimize(target, True, json)


def _optimize(target: str, purge: bool, json: bool) -> None:
    started = time.monotonic()
    with place.collection(target, write=True) as collection:
        collection.optimize(purge=purge, progress=show.note)
        found = collection.stats()
    seconds = time.monotonic() - started
    if json:
        done = {"segments": len(found.segments), "indexed": found.indexed, "tombstones": found.tombstones}
        show.as_json({**done, "seconds": round(seconds, 3)})
    else:
        show.line(
            f"{found.documents:,} documents in {len(found.segments)} segments, "
            f"{format_size(found.nbytes)}, {show.duration(seconds)}"
        )


def verify(target: options.Anywhere, json: options.Json = False) -> None:
    """Read every byte and compare it with what was written; exit code 1 if anything is wrong."""
    where = place.find(target)
    with place.database(where.directory) as db:
        names = db.list() if where.collection is None else [where.collection]
        reports = {name: db[name].verify() for name in names}
    _reports(reports, json, f"run: nearfield repair {where.directory}/NAME, or restore a backup")


def repair(target: options.Target, json: options.Json = False) -> None:
    """Take damaged indexes away and build them again; exit code 1 if something cannot be mended."""
    with place.collection(target, write=True) as collection:
        reports = {collection.name: collection.repair()}
    _reports(reports, json, "what remains needs a backup: nearfield restore BACKUP DIR")


def _reports(reports: dict[str, Any], json: bool, remedy: str) -> None:
    sound = all(report.ok for report in reports.values())
    if json:
        show.as_json(
            {
                "ok": sound,
                "collections": {
                    name: {"checked": str(r.checked), "problems": list(r.problems), "repaired": list(r.repaired)}
                    for name, r in reports.items()
                },
            }
        )
    else:
        for name, report in reports.items():
            show.line(f"{name}: {'ok' if report.ok else 'DAMAGED'} ({report.checked})")
            for line in report.repaired:
                show.line(f"  mended: {line}")
            for line in report.problems:
                show.line(f"  {line}")
        if not sound:
            show.note(f"nearfield: {remedy}")
    if not sound:
        raise typer.Exit(options.NO)


def backup(
    directory: options.Directory,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A new directory.", show_default=False)],
    json: options.Json = False,
) -> None:
    """Copy the whole database, consistent and checksummed, into a new directory; writers may go on."""
    with place.database(Path(directory)) as db:
        db.backup(target)
    show.as_json({"backup": target}) if json else show.line(f"backed up {directory} to {target}")


def restore(
    source: Annotated[str, typer.Argument(metavar="BACKUP", help="What backup made.", show_default=False)],
    directory: Annotated[str, typer.Argument(metavar="DIR", help="The new database directory.", show_default=False)],
    json: options.Json = False,
) -> None:
    """Make a database directory from a backup, checking every byte first."""
    import nearfield

    nearfield.restore(source, directory)
    show.as_json({"directory": directory}) if json else show.line(f"restored {source} to {directory}")


def doctor(
    directory: Annotated[
        str | None, typer.Argument(metavar="[DIR]", help="A database's directory.", show_default=False)
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Leave out what is tried in processes of its own: imports, cards, recall, the model."),
    ] = False,
    json: options.Json = False,
) -> None:
    """Check this machine, the installation and a database directory; exit code 1 if something must be mended."""
    from nearfield import doctor as checks

    found = []
    marks = {"ok": "ok     ", "warn": "warning", "error": "ERROR  "}
    for finding in checks.examine(None if directory is None else Path(directory), quick=quick):
        found.append(finding)
        if not json:
            fix = f"\n{'':<9}fix: {finding.fix}" if finding.fix else ""
            show.line(f"{marks[finding.level]}  {finding.check:<13}  {finding.what}{fix}")
    errors, warnings = (sum(finding.level == level for finding in found) for level in ("error", "warn"))
    if json:
        show.as_json([finding.to_dict() for finding in found])
    else:
        show.line(f"findings: {len(found)}, errors: {errors}, warnings: {warnings}")
    if errors:
        raise typer.Exit(options.NO)
