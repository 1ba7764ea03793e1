"""A reranker behind a URL: POST to URL/rerank in the form of Jina's and Cohere's APIs, or of text-embeddings-inference (TEI).

Knows requests and answers; nothing of how texts were found.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from nearfield.core.config import plain_url
from nearfield.core.errors import InvalidInput, MissingDependency, NearfieldError, Overloaded
from nearfield.embed.base import Progress
from nearfield.embed.rerank import EXPECTED, Scores

BATCH = 64
"""Texts of a request."""
CHARACTERS = 400_000
"""Of the texts of a request, about: a longer text goes alone."""
TRIES = 4
TIMEOUT = 60.0
"""Seconds for a whole request: a server that sends slowly is given up too."""
MOST = 1 << 20
"""Bytes of an answer."""
KEY = "NEARFIELD_RERANK_API_KEY"
FORMS = ("jina", "cohere", "tei")


class RemoteReranker:
    """A reranker served elsewhere. Every text is scored by itself there, so that requests can be split.

    Args:
        form: "jina" or "cohere": {"model", "query", "documents", "top_n"} in, {"results": [{"index", "relevance_score"}]} out;
            "tei": {"query", "texts"} in, [{"index", "score"}] out.
        url: what /rerank is below, such as http://127.0.0.1:8080/v1.
        model: the model's name there; None for "tei", which serves one.
        key: the API key, or None.
    """

    def __init__(self, form: str, url: str, model: str | None = None, key: str | None = None) -> None:
        self.form, self.url, self.model = form, url.rstrip("/"), model
        self.name = f"{form}:{self.url}" + (f"#{model}" if model else "")
        self._key, self._shown = key, plain_url(self.url)

    @classmethod
    def named(cls, name: str) -> RemoteReranker:
        """From "jina:URL#MODEL", "cohere:URL#MODEL" or "tei:URL"; the key is in the variable NEARFIELD_RERANK_API_KEY."""
        form, _, rest = name.partition(":")
        url, _, model = rest.partition("#")
        if form not in FORMS or not url.startswith(("http://", "https://")) or (not model and form != "tei"):
            raise InvalidInput("not a remote reranker", field="rerank", expected=EXPECTED, received=name)
        return cls(form, url, model or None, os.environ.get(KEY) or None)

    def score(self, query: str, texts: Sequence[str], progress: Progress | None = None) -> Scores:
        """float32 (n,), higher is better; in requests of at most 64 texts.

        Raises:
            Overloaded: the server does not answer, or says that it is busy, after four tries.
            NearfieldError: it refuses, or answers in another form.
        """
        out = np.empty(len(texts), np.float32)
        start = 0
        while start < len(texts):
            some: list[str] = []
            for text in texts[start : start + BATCH]:
                if some and sum(map(len, some)) + len(text) > CHARACTERS:
                    break
                some.append(text)
            out[start : start + len(some)] = self._request(query, some)
            start += len(some)
            if progress is not None:
                progress(start, len(texts))
        return out

    def _request(self, query: str, texts: list[str]) -> Scores:
        if self.form == "tei":
            body: dict[str, Any] = {"query": query, "texts": texts, "truncate": True}
        else:
            body = {"model": self.model, "query": query, "documents": texts, "top_n": len(texts)}
        problem = ""
        for attempt in range(TRIES):
            if attempt:
                time.sleep(0.1 * 4**attempt / 4)
            status, raw = self._post(body)
            if status == 200:
                return self._scores(raw, len(texts))
            problem = f"HTTP {status}" if status else raw.decode(errors="replace")
            if status and status != 429 and status < 500:
                said = raw[:200].decode(errors="replace")
                raise NearfieldError(f"{self._shown} refused: HTTP {status}: {said}", field="rerank")
        raise Overloaded(f"{self._shown} did not answer after {TRIES} tries ({problem})", field="rerank", retry_after=5.0)

    def _post(self, body: dict[str, Any]) -> tuple[int, bytes]:
        """The status and the body; 0 and why where there is none. Raises NearfieldError where the answer is too large."""
        try:
            import httpx
        except ImportError as error:
            raise MissingDependency("a remote reranker needs httpx; run: pip install httpx", field="rerank") from error
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        ends = time.monotonic() + TIMEOUT
        raw = bytearray()
        try:
            with httpx.stream("POST", f"{self.url}/rerank", json=body, headers=headers, timeout=TIMEOUT) as answer:
                for piece in answer.iter_bytes():
                    raw += piece
                    if len(raw) > MOST:
                        told = f"at most {MOST:,} bytes"
                        raise NearfieldError(f"{self._shown} answers with too much", field="rerank", expected=told)
                    if time.monotonic() > ends:
                        return 0, b"it takes too long"
                return answer.status_code, bytes(raw)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return 0, f"{type(error).__name__}: {error}".encode()

    def _scores(self, raw: bytes, count: int) -> Scores:
        try:
            found = json.loads(raw)
            rows = found["results"] if isinstance(found, dict) else found
            scores = {int(row["index"]): _number(row) for row in rows}
            if len(rows) != count or sorted(scores) != list(range(count)):
                raise ValueError(f"expected the indices 0 to {count - 1}, each once")
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            told = 'results: [{"index", "relevance_score"}], or [{"index", "score"}]'
            raise NearfieldError(
                f"{self._shown} did not answer in the form of a reranker ({error})", field="rerank", expected=told
            ) from error
        return np.array([scores[i] for i in range(count)], np.float32)


def _number(row: dict[str, Any]) -> float:
    value = row["relevance_score"] if "relevance_score" in row else row["score"]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or abs(value) > 1e30:
        raise ValueError(f"{value!r} is no score")
    return float(value)
