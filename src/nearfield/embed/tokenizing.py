"""A tokenizer that has no form in Rust (SigLIP's first generation: SentencePiece), shared by threads. Knows no model."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Encoded:
    """The tokens of a text, named as tokenizers.Encoding names them."""

    ids: list[int]
    attention_mask: list[int]

    def __len__(self) -> int:
        return len(self.ids)


class Shared:
    """Stands where a tokenizers.Tokenizer does, with what this project asks of one.

    Args:
        theirs: the library's tokenizer; one thread at a time uses it.
        length: tokens after which a text is cut.
        filled: every text is padded to that many.
    """

    def __init__(self, theirs: Any, length: int, *, filled: bool) -> None:
        self._theirs, self._length, self._filled = theirs, length, filled
        self._lock = threading.Lock()

    def encode_batch(self, texts: Sequence[str]) -> list[Encoded]:
        """The tokens of each text."""
        padding = "max_length" if self._filled else False
        with self._lock:
            found = self._theirs(
                list(texts), truncation=True, max_length=self._length, padding=padding, return_attention_mask=True
            )
        return [Encoded(ids, mask) for ids, mask in zip(found["input_ids"], found["attention_mask"], strict=True)]
