"""Clients that others wrote: OpenAI's for embeddings; and the shape that clients of rerankers send."""

import numpy as np
import pytest
from starlette.testclient import TestClient

openai = pytest.importorskip("openai")


@pytest.fixture
def stock(client: TestClient):
    return openai.OpenAI(base_url="http://localhost/v1", api_key="unused", http_client=client, max_retries=0)


@pytest.mark.parametrize("form", ["float", "base64", None])
def test_openais_client_gets_embeddings(stock, service, form: str | None) -> None:
    from nearfield import embed

    texts = ["the sea", "the moon", "bread"]
    options = {} if form is None else {"encoding_format": form}
    found = stock.embeddings.create(model="hash:32", input=texts, **options)
    given = [e.embedding for e in found.data]
    if form == "base64":
        import base64

        given = [np.frombuffer(base64.b64decode(e), "<f4") if isinstance(e, str) else e for e in given]
    expected = embed.load("hash:32").encode(texts, kind="document")
    assert np.allclose(np.array(given), expected, atol=1e-6)
    assert found.usage.total_tokens > 0


def test_openais_client_understands_refusals(stock) -> None:
    with pytest.raises(openai.NotFoundError):
        stock.embeddings.create(model="no-such-model", input="x")
    with pytest.raises(openai.BadRequestError):
        stock.embeddings.create(model="hash:32", input=[""])


def test_a_rerank_request_of_the_usual_shape(client: TestClient) -> None:
    told = {"model": "hash:32", "query": "the moon", "documents": ["bread", "the moon", {"text": "the sea"}], "top_n": 2}
    found = client.post("/v1/rerank", json=told | {"return_documents": True}).json()
    assert found["results"][0]["index"] == 1
    assert len(found["results"]) == 2
    assert found["results"][0]["document"] == {"text": "the moon"}
    scores = [r["relevance_score"] for r in found["results"]]
    assert scores == sorted(scores, reverse=True)
