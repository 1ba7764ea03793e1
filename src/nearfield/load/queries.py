"""What is asked under load: queries from a file, or made of the collection's own documents."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from nearfield.core.errors import InvalidInput, NotFound
from nearfield.load.targets import Request, packed

if TYPE_CHECKING:
    from nearfield.collection import Collection
    from nearfield.remote import RemoteCollection

MOST = 1000
WORDS = 12
"""Words of a document's text that make a query."""


def read(path: Path, dim: int) -> list[Request]:
    """Queries of a file: .npy of float32 (n, dim); else lines, each a text, or a JSON string, list of numbers or request.

    Raises:
        NotFound: no such file.
        InvalidInput: not of that form.
    """
    if not path.is_file():
        raise NotFound("no such file", field="queries", received=str(path))
    if path.suffix == ".npy":
        try:
            values = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError) as error:
            raise InvalidInput(f"not a .npy file: {error}", field="queries", received=path.name) from None
        if values.ndim != 2 or values.shape[1] != dim:
            raise InvalidInput(
                "not queries of this collection", field="queries", expected=f"(n, {dim})", received=str(values.shape)
            )
        return [{"vector": packed(row)} for row in values[:MOST]]
    out = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.strip():
            out.append(_line(line, f"line {number}"))
    if not out:
        raise InvalidInput("holds no query", field="queries", received=path.name)
    return out


def _line(line: str, where: str) -> Request:
    if line.lstrip()[0] not in '"[{':
        return {"query": line.strip()}
    try:
        value = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{where} is not JSON: {error}", field="queries") from None
    if isinstance(value, str):
        return {"query": value}
    return {"vector": value} if isinstance(value, list) else dict(value)


def made(collection: Collection | RemoteCollection, text: bool, seed: int = 1) -> list[Request]:
    """Up to 1,000 queries made of documents, in random order: the first words of texts, or vectors, shaken a little."""
    found = list(islice(collection.scan(vectors=not text), 5 * MOST))
    if not found:
        raise NotFound("the collection is empty: there is nothing to ask", field="collection", received=collection.name)
    rng = np.random.default_rng(seed)
    chosen = [found[i] for i in rng.permutation(len(found))[:MOST]]
    if text:
        texts = [" ".join(d.text.split()[:WORDS]) for d in chosen if d.text]
        if not texts:
            raise InvalidInput("its documents have no texts to make queries of", field="queries", expected="--queries FILE")
        return [{"query": t} for t in texts]
    x = np.stack([np.asarray(d.vector, np.float32) for d in chosen])
    shaken = x + 0.1 * np.linalg.norm(x, axis=1, keepdims=True) / np.sqrt(x.shape[1]) * rng.standard_normal(x.shape)
    return [{"vector": packed(row)} for row in shaken]
