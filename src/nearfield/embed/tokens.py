"""Where a model's tokens begin in a text, by its own tokenizer.json; loads no weights. The only place that imports tokenizers.

Knows nothing of what is done with them. Long texts are read in stretches that end at white space: memory is bounded, and a
count differs from the whole text's by no more than what the model adds at such a place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import Corrupt, MissingDependency

STRETCH = 8192
"""Characters that are read at a time."""
BATCH = 128
"""Stretches in memory at a time."""
UNLIMITED = 1_000_000
"""From here on, what a model's files give as its longest text means that there is none."""

Starts = npt.NDArray[np.int64]
"""int64, ascending: the character at which each token begins; several may begin at one."""


@runtime_checkable
class Tokenized(Protocol):
    """What an embedder promises besides that can say which tokens its texts have."""

    @property
    def window(self) -> int | None:
        """Tokens of a text that the model reads, those it adds itself not counted; None: its files do not say."""
        ...

    def token_starts(self, texts: Sequence[str]) -> list[Starts] | None:
        """For each text where its tokens begin; None: the model has no tokenizer that can say so."""
        ...


def starts(folder: Path, texts: Sequence[str]) -> list[Starts] | None:
    """For each text where its tokens begin, by the tokenizer in a model's folder; None: there is none of the fast kind."""
    tokenizer = _tokenizer(folder)
    if tokenizer is None:
        return None
    found: list[list[Starts]] = [[] for _ in texts]
    stretches = list(_stretches(texts))
    for first in range(0, len(stretches), BATCH):
        some = stretches[first : first + BATCH]
        encoded = tokenizer.encode_batch([texts[i][a:b] for i, a, b in some], add_special_tokens=False)
        for (i, a, _), one in zip(some, encoded, strict=True):
            if one.offsets:
                found[i].append(np.maximum.accumulate(np.array(one.offsets, np.int64)[:, 0]) + a)
    return [np.concatenate([np.empty(0, np.int64), *several]) for several in found]


def window(folder: Path) -> int | None:
    """Tokens of a text that the model of a folder reads, without those it adds itself; None: its files do not say."""
    limits = [
        _json(folder / "sentence_bert_config.json").get("max_seq_length"),
        _json(folder / "tokenizer_config.json").get("model_max_length"),
        _json(folder / "config.json").get("max_position_embeddings"),
    ]
    known = [int(n) for n in limits if isinstance(n, (int, float)) and 0 < n < UNLIMITED]
    tokenizer = _tokenizer(folder)
    if not known or tokenizer is None:
        return None
    return min(known) - int(tokenizer.num_special_tokens_to_add(False))


_BLANK = re.compile(r"\s+")


def _stretches(texts: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """(text, from, to) of the stretches of all texts."""
    for i, text in enumerate(texts):
        start = 0
        while len(text) - start > STRETCH:
            blank = max((m.start() for m in _BLANK.finditer(text, start + STRETCH // 2, start + STRETCH)), default=0)
            end = blank or start + STRETCH
            yield i, start, end
            start = end
        yield i, start, len(text)


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise Corrupt(f"{path} is not JSON ({error})", field="embedder") from error
    return found if isinstance(found, dict) else {}


@lru_cache(maxsize=8)
def _tokenizer(folder: Path) -> Any:
    """A tokenizers.Tokenizer that cuts nothing off and adds nothing; None where the folder has no tokenizer.json."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingDependency("models need more packages; run: pip install 'nearfield[models]'", field="embedder") from error
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
