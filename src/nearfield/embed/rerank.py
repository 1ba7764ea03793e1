"""Rerankers: how well each of a few texts answers a query, read together with it. `load_reranker` finds one by name.

Knows nothing of collections or of how the texts were found; heavy libraries are imported at the first score.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import InvalidInput
from nearfield.embed.base import Progress

Scores = npt.NDArray[np.float32]
REMOTE = ("jina:", "cohere:", "tei:")
"""How the names of rerankers behind a URL begin: by the form of their requests."""
EXPECTED = "a folder or Hugging Face name of a cross-encoder, jina:URL#MODEL, cohere:URL#MODEL, tei:URL, or 'overlap'"


class Reranker(Protocol):
    """A query and texts in, scores out. Safe to call from many threads.

    Attributes:
        name: what `load_reranker` understands.
    """

    name: str

    def score(self, query: str, texts: Sequence[str], progress: Progress | None = None) -> Scores:
        """float32 (n,), higher is better, in the order of `texts`; finite; memory is bounded whatever their number."""
        ...


def load_reranker(name: str, device: str = "auto") -> Reranker:
    """The reranker of a name. Nothing heavy is loaded before its first score.

    Args:
        name: a folder or Hugging Face name of a cross-encoder (a sequence classifier with one or two labels, safetensors);
            "jina:URL#MODEL", "cohere:URL#MODEL" or "tei:URL" for a server with a /rerank route below URL; "overlap", the share
            of the query's words that a text has (no model: for tests and trials).
        device: for a cross-encoder: "auto" takes the card with the most memory free, or the processor; "cpu"; "cuda", "cuda:N".

    Raises:
        InvalidInput: not a name.
        NotFound: the model is not on this machine and cannot be fetched.
        MissingDependency: the packages for it are not installed.
    """
    if not isinstance(name, str) or not name.strip():
        raise InvalidInput("not a reranker's name", field="rerank", expected=EXPECTED, received=name)
    if name == "overlap":
        return OverlapReranker()
    if name.startswith(REMOTE):
        from nearfield.embed.rerank_remote import RemoteReranker

        return RemoteReranker.named(name)
    from nearfield.embed.crossencoder import CrossEncoderReranker

    return CrossEncoderReranker.named(name, device)


class OverlapReranker:
    """No model: the share of the query's different words that a text has, 0 to 1."""

    name = "overlap"

    def score(self, query: str, texts: Sequence[str], progress: Progress | None = None) -> Scores:
        """float32 (n,), higher is better."""
        wanted = set(re.findall(r"\w+", query.lower()))
        out = np.zeros(len(texts), np.float32)
        for i, text in enumerate(texts):
            out[i] = len(wanted & set(re.findall(r"\w+", text.lower()))) / max(1, len(wanted))
        if progress is not None and len(texts):
            progress(len(texts), len(texts))
        return out
