"""A text in passages: whole sentences up to a number of tokens, each beginning with the end of the one before.

Pure; knows a text and where its tokens begin, not whose tokens they are. Every character that is not white space is in at
least one passage, and text[start:end] is the passage.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.parts.sentences import HEADING, PARAGRAPH, SENTENCE, Span, spans

Starts = npt.NDArray[np.int64]
"""int64, ascending: the character at which each token of a text begins; several may begin at one."""

_WORDS = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
    r"|[^\W\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]{1,64}"
    r"|[^\w\s]"
)
"""Words (of 64 characters at most), single signs, and single characters of scripts that are written without spaces."""


def word_starts(text: str) -> Starts:
    """Where words begin, for models that do not say what their tokens are."""
    return np.fromiter((m.start() for m in _WORDS.finditer(text)), np.int64)


@dataclass(frozen=True, slots=True)
class Piece:
    """Characters `start` to `end` of a text: `tokens` of them begin there."""

    start: int
    end: int
    tokens: int


def split(text: str, starts: Starts, tokens: int, overlap: int) -> list[Piece]:
    """Passages of a text, in order; empty where the text is blank.

    A passage ends at a heading or paragraph where one is near, else at a sentence. A sentence of more than `tokens` is cut at
    lines, then at words, then at characters. Nothing is repeated across a heading.

    Args:
        text: the text.
        starts: where its tokens begin.
        tokens: the most of a passage; a single character of more tokens is a passage all the same.
        overlap: the most of a passage's end that the next one repeats: whole sentences, or words of one that is longer;
            less than half of `tokens`.
    """
    at = starts.tolist()
    units = list(_units(text, at, tokens))
    out: list[Piece] = []
    first, begin = 0, units[0].start if units else 0
    while first < len(units):
        last = _last(units, at, first, begin, tokens)
        end = units[last - 1].end
        out.append(Piece(begin, end, _count(at, begin, end)))
        if last == len(units):
            break
        begin = _begin(text, units, at, begin, last, tokens, overlap)
        first = last
    return out


def _count(starts: list[int], start: int, end: int) -> int:
    return bisect_left(starts, end) - bisect_left(starts, start)


def _units(text: str, starts: list[int], tokens: int) -> Iterator[Span]:
    """The sentences, those of more than `tokens` cut."""
    for span in spans(text):
        start, kind = span.start, span.kind
        while start < span.end:
            beyond = bisect_left(starts, start) + tokens
            fits = beyond >= len(starts) or starts[beyond] >= span.end
            end = span.end if fits else _cut(text, start, starts[beyond])
            yield Span(start, start + len(text[start:end].rstrip()), kind)
            start, kind = end + _blank(text, end, span.end), SENTENCE


def _blank(text: str, start: int, end: int) -> int:
    """White space from `start` on."""
    at = start
    while at < end and text[at].isspace():
        at += 1
    return at - start


_SPACE = re.compile(r"\s+")


def _cut(text: str, start: int, most: int) -> int:
    """Where to cut a sentence, after `start` and at `most` or before: at a line's end, a word's, or between characters."""
    if most <= start:
        return _whole(text, start, start + 1)
    half = start + (most - start) // 2
    line = text.rfind("\n", half, most)
    if line > start:
        return line + 1
    if text[most - 1].isspace() or text[most : most + 1].isspace():
        return most
    space = max((found.end() for found in _SPACE.finditer(text, half, most)), default=0)
    if not space:
        space = max((found.end() for found in _SPACE.finditer(text, start, half)), default=0)
    return space if space > start else _whole(text, start, most)


def _whole(text: str, start: int, at: int) -> int:
    """The last place up to `at`, after `start`, that parts no sign from the marks that belong to it; `at` if there is none."""
    back = at
    while back > start + 1 and back < len(text) and _inside(text, back):
        back -= 1
    return back if back < len(text) and not _inside(text, back) else at


def _inside(text: str, at: int) -> bool:
    """Whether the character at `at` belongs to the sign before it."""
    sign = text[at]
    return unicodedata.combining(sign) != 0 or sign in "\u200d\ufe0e\ufe0f" or text[at - 1] == "\u200d"


def _last(units: list[Span], starts: list[int], first: int, begin: int, tokens: int) -> int:
    """The unit after the last of a passage that begins at `begin` and whose first new unit is `first`."""
    base = bisect_left(starts, begin)
    limit = starts[base + tokens] if base + tokens < len(starts) else None
    if limit is None:
        return len(units)
    low, high = first + 1, len(units)
    while low < high:
        middle = (low + high) // 2
        if units[middle].end <= limit:
            low = middle + 1
        else:
            high = middle
    last = low
    return last if last == len(units) else _better(units, starts, first, last, begin, base, tokens)


def _better(units: list[Span], starts: list[int], first: int, last: int, begin: int, base: int, tokens: int) -> int:
    """`last`, or a heading or paragraph before it from which on the passage is at least half full."""
    half = starts[min(base + tokens // 2, len(starts) - 1)]
    paragraph = 0
    for at in range(last, first, -1):
        if units[at - 1].end <= half:
            break
        if units[at].kind == HEADING and units[at - 1].kind != HEADING:
            return at
        if units[at].kind >= PARAGRAPH and units[at - 1].kind != HEADING and not paragraph:
            paragraph = at
    if paragraph:
        return paragraph
    while last - 1 > first and units[last - 1].kind == HEADING:
        last -= 1
    return last


def _begin(text: str, units: list[Span], starts: list[int], before: int, last: int, tokens: int, overlap: int) -> int:
    """Where the passage begins whose first new unit is `last`: before it, by what is repeated."""
    new = units[last]
    room = min(overlap, tokens - _count(starts, new.start, new.end))
    if room <= 0 or new.kind == HEADING:
        return new.start
    base = bisect_left(starts, new.start)
    first = max(0, base - room)
    shared = first > 0 and starts[first - 1] == starts[first]
    earliest = max(starts[first] + shared, before + 1)
    at = last
    while at > 0 and units[at - 1].start >= earliest and units[at].kind != HEADING:
        at -= 1
    if at < last:
        return units[at].start
    previous = units[last - 1]
    if previous.kind == HEADING:
        return new.start
    if text[earliest - 1].isspace():
        return earliest
    word = next((m.end() for m in _SPACE.finditer(text, earliest, previous.end)), None)
    if word is not None or _SPACE.search(text, previous.start, previous.end):
        return word or new.start
    while earliest < previous.end and not text[earliest].isalnum():
        earliest += 1
    return earliest if earliest < previous.end else new.start
