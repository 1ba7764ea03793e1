"""Where a text may be cut: at headings, paragraphs, lines of a list and sentences, by the signs that scripts use for them.

Pure; knows no tokens and no passages. Linear in the text's length, whatever the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

SENTENCE, PARAGRAPH, HEADING = 0, 1, 2
"""What begins: a sentence, a paragraph or line of a list, a heading. A later one is the better place to cut."""

LONGEST_HEADING = 80
"""Characters of a paragraph of one line without a full stop, up to which it is taken for a heading."""

_ENDS = ".!?…।॥؟۔։።"
_CLOSING = "\"'”’»)\\]}"
_WIDE_CLOSING = "」』”’）)】》〉〕\\]"
_BREAK = re.compile(
    rf"(?P<paragraph>\r?\n(?:[^\S\n]*\n)+|[\f\u2029])"
    rf"|(?P<line>\n(?=[^\S\n]{{0,8}}(?:\#{{1,6}}[^\S\n]|[-*+•][^\S\n]|\d{{1,3}}[.)][^\S\n])))"
    rf"|(?P<wide>[。！？｡]+[{_WIDE_CLOSING}]*)"
    rf"|(?P<end>(?<![{_ENDS}])[{_ENDS}]++[{_CLOSING}]*+(?=\s))",
)
_HEADING = re.compile(r"\s*#{1,6}[^\S\n]")
_UNDERLINED = re.compile(r"[^\n]+\n\s{0,3}(?:=+|-+)\s*")
_BULLET = re.compile(r"(?:[-*+•]|\d{1,3}[.)])\s")
_LAST_WORD = re.compile(r"[\w.]+\Z")
_ABBREVIATIONS = re.compile(
    r"(?:mrs?|ms|dr|prof|st|sr|jr|vs|eds?|al|inc|ltd|co|corp|dept|univ|approx|cf|e\.g|i\.e|ca|gen|col|sgt|capt|lt|rev|hon|jan|feb|"
    r"mar|apr|jun|jul|aug|sept?|oct|nov|dec|mt|ft|bd|ave|z\.b|d\.h|u\.a|bzw|abb|hr|fr|mme|mlle|resp)",
    re.IGNORECASE,
)
"""Without the last full stop: a full stop after one of these ends no sentence."""
_COUNTED = re.compile(r"(?:nos?|figs?|eqs?|vol|pp|nr|art|sec|ch|refs?|p)", re.IGNORECASE)
"""The same where a number follows."""


class Span(NamedTuple):
    """Characters `start` to `end` of a text, without white space at either side; `kind`: what begins there."""

    start: int
    end: int
    kind: int


def spans(text: str) -> list[Span]:
    """The sentences of a text in order: together they hold every character that is not white space."""
    out: list[Span] = []
    for start, end, kind in _pieces(text):
        piece = text[start:end]
        inner = piece.strip()
        if not inner:
            continue
        start += len(piece) - len(piece.lstrip())
        end = start + len(inner)
        out.append(Span(start, end, kind if kind == SENTENCE or not _is_heading(inner) else HEADING))
    return out


def _pieces(text: str) -> Iterator[tuple[int, int, int]]:
    """(start, end, kind) of what lies between two breaks."""
    start, kind = 0, PARAGRAPH
    for found in _BREAK.finditer(text):
        if found.lastgroup == "end" and not _ends_sentence(text, found.start(), found.end(), start):
            continue
        yield start, found.end(), kind
        start, kind = found.end(), PARAGRAPH if found.lastgroup in ("paragraph", "line") else SENTENCE
    yield start, len(text), kind


def _ends_sentence(text: str, at: int, end: int, begin: int) -> bool:
    """Whether the signs at `at` to `end` end a sentence: a lone full stop may belong to an abbreviation, initial or number."""
    if text[at] != "." or end - at > 1:
        return True
    after = text[end : end + 8].lstrip()[:1]
    if after.islower():
        return False
    word = _LAST_WORD.search(text, max(begin, at - 24), at)
    if word is None:
        return True
    found = word.group()
    if _ABBREVIATIONS.fullmatch(found) or (len(found) == 1 and found.isalpha() and found.isupper()):
        return False
    if after.isdigit() and _COUNTED.fullmatch(found):
        return False
    return not (found.isdigit() and len(found) <= 3 and not text[begin : word.start()].strip())


def _is_heading(paragraph: str) -> bool:
    if _HEADING.match(paragraph):
        return True
    if "\n" in paragraph:
        return _UNDERLINED.fullmatch(paragraph) is not None
    short = len(paragraph) <= LONGEST_HEADING and paragraph[-1] not in _ENDS + "。！？｡,;:，；："
    return short and _BULLET.match(paragraph) is None and any(c.isalpha() for c in paragraph)
