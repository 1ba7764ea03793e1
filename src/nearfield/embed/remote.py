"""An embedder behind an OpenAI-style URL: POST {"model", "input"} to URL/embeddings. The only user of httpx here."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from nearfield.core.config import plain_url
from nearfield.core.errors import DimensionMismatch, InvalidInput, MissingDependency, NearfieldError, Overloaded
from nearfield.core.metric import Vectors
from nearfield.embed.base import Progress

BATCH = 64
TRIES = 4
TIMEOUT = 60.0


class RemoteEmbedder:
    """A model served elsewhere.

    Args:
        url: the API's base, such as http://127.0.0.1:8080/v1.
        model: the model's name there.
        key: the API key, or None.
    """

    def __init__(self, url: str, model: str, key: str | None = None) -> None:
        self.url, self.model = url.rstrip("/"), model
        self.name = f"openai:{self.url}#{model}"
        self._key, self._shown = key, plain_url(self.url)
        self._dim: int | None = None

    @classmethod
    def named(cls, name: str) -> RemoteEmbedder:
        """From "openai:URL#MODEL"; the key comes from the environment variable NEARFIELD_OPENAI_API_KEY."""
        url, separator, model = name.removeprefix("openai:").partition("#")
        if not separator or not model or not url.startswith(("http://", "https://")):
            raise InvalidInput(
                "not a remote embedder", field="embedder", expected="openai:http(s)://HOST/v1#MODEL", received=name
            )
        return cls(url, model, os.environ.get("NEARFIELD_OPENAI_API_KEY"))

    @property
    def dim(self) -> int:
        """Numbers in each vector; asked of the server once."""
        if self._dim is None:
            self._dim = int(self._request(["dimension"]).shape[1])
        return self._dim

    def declared(self) -> dict[str, Any]:
        """What decides the vectors, as far as it can be known from here."""
        return {"model": self.model, "dim": self.dim}

    def encode(self, items: Sequence[str], kind: str = "document", progress: Progress | None = None) -> Vectors:
        """float32 (n, dim); in requests of 64 texts."""
        out = np.empty((len(items), self.dim), np.float32)
        for start in range(0, len(items), BATCH):
            found = self._request(list(items[start : start + BATCH]))
            if found.shape[1] != self.dim:
                raise DimensionMismatch(
                    "the server changed its dimension", field="embedder", expected=str(self.dim), received=found.shape[1]
                )
            out[start : start + len(found)] = found
            if progress is not None:
                progress(start + len(found), len(items))
        return out

    def _request(self, texts: list[str]) -> Vectors:
        try:
            import httpx
        except ImportError as error:
            raise MissingDependency("a remote embedder needs httpx; run: pip install httpx", field="embedder") from error
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        problem = ""
        for attempt in range(TRIES):
            if attempt:
                time.sleep(0.1 * 4**attempt / 4)
            try:
                answer = httpx.post(
                    f"{self.url}/embeddings", json={"model": self.model, "input": texts}, headers=headers, timeout=TIMEOUT
                )
            except httpx.HTTPError as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            if answer.status_code == 429 or answer.status_code >= 500:
                problem = f"HTTP {answer.status_code}"
                continue
            if answer.status_code != 200:
                raise NearfieldError(f"{self._shown} refused: HTTP {answer.status_code}: {answer.text[:200]}", field="embedder")
            return self._vectors(answer, len(texts))
        raise Overloaded(f"{self._shown} did not answer after {TRIES} tries ({problem})", field="embedder", retry_after=5.0)

    def _vectors(self, answer: Any, count: int) -> Vectors:
        try:
            rows = sorted(answer.json()["data"], key=lambda row: row["index"])
            if [row["index"] for row in rows] != list(range(count)):
                raise ValueError(f"expected the indices 0 to {count - 1}, each once")
            found = np.array([row["embedding"] for row in rows], np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise NearfieldError(f"{self._shown} did not answer in the OpenAI form ({error})", field="embedder") from error
        if found.ndim != 2 or len(found) != count or not math.isfinite(float(np.abs(found).sum())):
            raise NearfieldError(
                f"{self._shown} did not send one finite vector for each text", field="embedder", received=str(found.shape)
            )
        return found
