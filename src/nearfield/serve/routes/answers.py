"""Questions that the operator's chat model answers from what a search finds; and which models there are."""

from __future__ import annotations

import time

import msgspec

from nearfield import Answer
from nearfield.core.errors import InvalidInput
from nearfield.serve import asking
from nearfield.serve.route import Call, Route
from nearfield.serve.wire import AskAnswer, AskRequest, ModelOut, ModelsOut


async def ask(call: Call) -> AskAnswer:
    """An answer with citations. The model's address is the operator's: a request names none."""
    wanted = await call.read(AskRequest)
    service = call.service
    allowed, limits = service.allowed, service.limits
    chat = allowed.chat
    if chat is None:
        raise InvalidInput("this server has no chat model; start it with --chat-url and --chat-model", field="model")
    limits.check("question", len(wanted.question), "text")
    limits.check("k", wanted.k, "k")
    asking.check_filter(wanted.filter, limits)
    collection = service.collection(call.path("name"))
    start = time.perf_counter()

    def work() -> Answer:
        return collection.ask(
            wanted.question, k=wanted.k, url=chat.url, model=chat.model, mode=wanted.mode, filter=wanted.filter,
            rerank=None if wanted.rerank is None else allowed.reranker(wanted.rerank), tokens=wanted.tokens,
            answer_tokens=wanted.answer_tokens, timeout=limits.chat,
        )  # fmt: skip

    found = await allowed.run(work)
    took = {"ask": asking.milliseconds(start)}
    call.notes.update(collection=collection.name, k=wanted.k, took=took)
    return msgspec.convert(found.to_dict() | {"took": took}, AskAnswer)


async def models(call: Call) -> ModelsOut:
    """Embedders, rerankers and the chat model."""
    service = call.service
    out = [ModelOut(id=name, kind="embedder") for name in service.embedders]
    out += [ModelOut(id=name, kind="reranker") for name in service.allowed.rerankers]
    if service.allowed.chat is not None:
        out.append(ModelOut(id=service.allowed.chat.model, kind="chat"))
    return ModelsOut(data=out)


FAILS = (
    "invalid_input", "not_found", "filter_error", "overloaded", "deadline_exceeded", "missing_dependency", "upstream", "closed",
    "model_mismatch",
)  # fmt: skip
ROUTES = (
    Route(
        "POST", "/v1/collections/{name}/ask", ask, "read", "Answer a question from what a search finds, with citations.",
        AskRequest, AskAnswer, fails=FAILS,
    ),
    Route("GET", "/v1/models", models, "read", "Models that requests may name: embedders, rerankers, chat.", None, ModelsOut),
)  # fmt: skip
