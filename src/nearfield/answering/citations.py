"""Citations in an answer: [1], [2, 3], [4-6], and which passages they name. Pure; one that names none is told, not mended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ONE = r"\d{1,3}"
_BRACKETS = re.compile(rf"(?:\[|【)\^?({_ONE}(?:\s*[,;，、–-]\s*\^?{_ONE})*)(?:\]|】)(?!\()")
"""[1], [1, 2], [1-3], [^1] and the full-width 【1】; not the words of a Markdown link."""
_PARTS = re.compile(rf"({_ONE})(?:\s*[–-]\s*({_ONE}))?")
_WIDEST = 20
"""Passages that a range may name: [3-5] is a range, [1-600] two numbers."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A number in an answer.

    Attributes:
        number: as it is written there.
        id: the document's that the passage is of; None: no passage has this number.
        start, end: characters of the answer, brackets included.
    """

    number: int
    id: str | None
    start: int
    end: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"number": self.number, "id": self.id, "start": self.start, "end": self.end}


def find(text: str, ids: Mapping[int, str]) -> tuple[Citation, ...]:
    """Every citation of an answer, in order.

    Args:
        text: the answer.
        ids: documents' ids by the numbers of the passages that were given.
    """
    out = []
    for found in _BRACKETS.finditer(text):
        for number in _numbers(found[1]):
            out.append(Citation(number, ids.get(number), found.start(), found.end()))
    return tuple(out)


def _numbers(inside: str) -> list[int]:
    out: list[int] = []
    for first, last in _PARTS.findall(inside):
        begin, end = int(first), int(last or first)
        out.extend(range(begin, end + 1) if begin <= end < begin + _WIDEST else [begin, end])
    return out
