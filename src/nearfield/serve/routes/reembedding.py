"""Another model for a collection: embed anew and switch, go back, each a job; forget the generation that is not live."""

from __future__ import annotations

from typing import Any

from nearfield import ReembedReport
from nearfield.serve.jobs import Progress
from nearfield.serve.route import Call, Route
from nearfield.serve.wire import ForgottenOut, JobOut, ReembedRequest, UndoReembedRequest


def _shown(report: ReembedReport) -> dict[str, Any]:
    """A report without the server's directories."""
    return {name: value for name, value in report.to_dict().items() if name != "kept"}


async def reembed(call: Call) -> JobOut:
    """Embeds all documents by another model beside the live vectors, compares, switches."""
    wanted, service = await call.read(ReembedRequest), call.service
    service.check_model(wanted.embedder)
    name = service.collection(call.path("name")).name
    service.limits.check("queries", len(wanted.queries or ()), "documents")
    service.limits.check("qrels", len(wanted.qrels or ()), "documents")
    for key, judged in (wanted.qrels or {}).items():
        service.limits.check(f"qrels[{key!r}]", len(judged), "documents")

    def work(progress: Progress) -> Any:
        report = service.database.reembed(
            name, wanted.embedder, queries=wanted.queries, qrels=wanted.qrels, k=wanted.k, switch=wanted.switch,
            undo_window=wanted.undo_window, progress=progress,
        )  # fmt: skip
        return _shown(report)

    return service.jobs.submit("reembed", name, work).out()


async def undo(call: Call) -> JobOut:
    """Goes back to the generation before, with what was written since."""
    wanted, service = await call.read(UndoReembedRequest), call.service
    name = service.collection(call.path("name")).name

    def work(progress: Progress) -> Any:
        return _shown(service.database.undo_reembed(name, undo_window=wanted.undo_window, progress=progress))

    return service.jobs.submit("undo_reembed", name, work).out()


async def forget(call: Call) -> ForgottenOut:
    """Removes the generation that is not live."""
    name, service = call.path("name"), call.service
    return ForgottenOut(removed=await service.aside(lambda: service.database.forget_generation(name)))


HERE, ACCEPTED = "/v1/collections/{name}/reembed", 202
FAILS = ("not_found", "invalid_input", "overloaded", "read_only", "closed")
ROUTES = (
    Route(
        "POST", HERE, reembed, "write", "Embed all documents by another model, compare, switch: a job.", ReembedRequest, JobOut,
        ACCEPTED, FAILS,
    ),
    Route(
        "POST", f"{HERE}/undo", undo, "write", "Go back to the model before, with what was written since: a job.",
        UndoReembedRequest, JobOut, ACCEPTED, FAILS,
    ),
    Route(
        "DELETE", HERE, forget, "write", "Remove the generation that is not live.", None, ForgottenOut, fails=FAILS,
    ),
)  # fmt: skip
