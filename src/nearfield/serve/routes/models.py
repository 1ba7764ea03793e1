"""Models by themselves: OpenAI's embeddings, and reranking in the form that Cohere's and Jina's clients speak."""

from __future__ import annotations

import asyncio
from typing import Literal

import numpy as np

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
    """Texts in the order of how well they answer a query, by the cosine of their vectors."""
    wanted = await call.read(RerankRequest)
    service = call.service
    texts = [d if isinstance(d, str) else d.text for d in wanted.documents]
    if not texts:
        raise InvalidInput("nothing to rank", field="documents", expected="at least one text")
    service.limits.check("documents", len(texts), "queries")
    model = await service.model(wanted.model)
    deadline = call.arrived + service.limits.timeout
    query, *found = await asyncio.gather(
        service.embed_by(model, wanted.query, "query", deadline),
        *(service.embed_by(model, text, "document", deadline) for text in texts),
    )
    rows = np.stack(found)
    lengths = np.maximum(np.linalg.norm(rows, axis=1) * np.linalg.norm(query), 1e-30)
    scores = rows @ query / lengths
    order = np.lexsort((np.arange(len(scores)), -scores))[: wanted.top_n or len(scores)]
    told = wanted.return_documents
    results = [
        Reranked(index=int(i), relevance_score=float(scores[i]), document={"text": texts[i]} if told else None) for i in order
    ]
    return RerankAnswer(id=call.id, results=results, model=wanted.model)


FAILS = ("invalid_input", "not_found", "overloaded", "deadline_exceeded", "missing_dependency")
ROUTES = (
    Route("POST", "/v1/embeddings", embeddings, "read", "Vectors of texts, as OpenAI's API gives them.", EmbeddingsRequest,
          EmbeddingsAnswer, fails=FAILS),
    Route("POST", "/v1/rerank", rerank, "read", "Texts in the order of how well they answer a query.", RerankRequest,
          RerankAnswer, fails=FAILS),
)  # fmt: skip
