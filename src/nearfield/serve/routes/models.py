"""Models by themselves: OpenAI's embeddings, and reranking in the form that Cohere's and Jina's clients speak."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from nearfield.core import inputs
from nearfield.core.errors import InvalidInput
from nearfield.serve import asking
from nearfield.serve.route import Call, Route
from nearfield.serve.wire import (
    EmbeddingOut,
    EmbeddingsAnswer,
    EmbeddingsRequest,
    RerankAnswer,
    Reranked,
    RerankRequest,
    Usage,
)  # fmt: skip

if TYPE_CHECKING:
    from nearfield.serve.service import Service


async def embeddings(call: Call) -> EmbeddingsAnswer:
    """Vectors of texts."""
    wanted = await call.read(EmbeddingsRequest)
    given = [wanted.input] if isinstance(wanted.input, str) else wanted.input
    if not given or not all(isinstance(text, str) for text in given):
        raise InvalidInput("only texts are embedded here", field="input", expected="a string, or a list of strings, not tokens")
    texts = [text for text in given if isinstance(text, str)]
    service = call.service
    service.limits.check("input", len(texts), "queries")
    model = await service.model(wanted.model)
    deadline = call.arrived + service.limits.timeout
    found = await asyncio.gather(*(service.embed_by(model, text, "document", deadline) for text in texts))
    if wanted.dimensions is not None and wanted.dimensions != len(found[0]):
        raise InvalidInput(
            "this model has one length of vectors", field="dimensions", expected=str(len(found[0])), received=wanted.dimensions
        )
    form: bool | Literal["base64"] = "base64" if wanted.encoding_format == "base64" else True
    characters = sum(map(len, texts))
    tokens = max(1, characters // 4)
    data = [EmbeddingOut(index=i, embedding=asking.written(v, form) or []) for i, v in enumerate(found)]
    return EmbeddingsAnswer(data=data, model=wanted.model, usage=Usage(prompt_tokens=tokens, total_tokens=tokens))


async def rerank(call: Call) -> RerankAnswer:
    """Texts in the order of how well they answer a query: by a reranker, or by cosines where an embedder is named."""
    wanted = await call.read(RerankRequest)
    service = call.service
    texts = [d if isinstance(d, str) else d.text for d in wanted.documents]
    if not texts:
        raise InvalidInput("nothing to rank", field="documents", expected="at least one text")
    service.limits.check("documents", len(texts), "queries")
    deadline = call.arrived + service.limits.timeout
    if wanted.model in service.allowed.rerankers:
        for name, text in (("query", wanted.query), *((f"documents[{i}]", text) for i, text in enumerate(texts))):
            service.limits.check(name, len(text), "text")
        scores = await service.allowed.score(wanted.model, inputs.text(wanted.query, "query"), texts, deadline)
    else:
        scores = await _cosines(service, wanted.model, wanted.query, texts, deadline)
    order = np.lexsort((np.arange(len(scores)), -scores))[: wanted.top_n or len(scores)]
    told = wanted.return_documents
    results = [
        Reranked(index=int(i), relevance_score=float(scores[i]), document={"text": texts[i]} if told else None) for i in order
    ]
    return RerankAnswer(id=call.id, results=results, model=wanted.model)


async def _cosines(service: Service, name: str, query: str, texts: list[str], deadline: float) -> npt.NDArray[np.float32]:
    """float32 (n,): of each text's vector with the query's."""
    model = await service.model(name)
    asked, *found = await asyncio.gather(
        service.embed_by(model, query, "query", deadline),
        *(service.embed_by(model, text, "document", deadline) for text in texts),
    )
    rows = np.stack(found)
    lengths = np.maximum(np.linalg.norm(rows, axis=1) * np.linalg.norm(asked), 1e-30)
    cosines: npt.NDArray[np.float32] = rows @ asked / lengths
    return cosines


FAILS = ("invalid_input", "not_found", "overloaded", "deadline_exceeded", "missing_dependency")
ROUTES = (
    Route("POST", "/v1/embeddings", embeddings, "read", "Vectors of texts, as OpenAI's API gives them.", EmbeddingsRequest,
          EmbeddingsAnswer, fails=FAILS),
    Route("POST", "/v1/rerank", rerank, "read", "Texts in the order of how well they answer a query.", RerankRequest,
          RerankAnswer, fails=(*FAILS, "upstream")),
)  # fmt: skip
