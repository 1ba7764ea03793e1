"""Scripts without spaces, made searchable word by word: runs of their letters as overlapping pairs. Knows no table.

A Chinese text is written without spaces, and most of its words have two characters: each run becomes its bigrams, "天气预报"
"天气 气预 预报 报" (the last letter stands alone, so that every letter begins a token). A query of two letters or more asks
for its bigrams, one letter for all tokens that begin with it. Other scripts pass unchanged.
"""

from __future__ import annotations

import re

SCRIPTS = (
    "\u3040-\u30ff\u31f0-\u31ff"  # Hiragana, Katakana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\uac00-\ud7af"  # Hangul
    "\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
)
"""Letters of scripts that put no spaces between words, and Hangul, whose words carry endings."""
RUN = re.compile(f"[{SCRIPTS}]+")


def spaced(text: str) -> str:
    """A text for the index: every run as its bigrams and its last letter."""
    return text if text.isascii() else RUN.sub(_indexed, text)


def asked(text: str) -> str:
    """A query: every run of two letters or more as its bigrams alone; single letters stay."""
    return text if text.isascii() else RUN.sub(_asked, text)


def quoted(text: str) -> str:
    """A phrase: runs that end in it as in the index, with their last letter; the one that ends it may go on in a text."""
    if text.isascii():
        return text
    end = max((i + 1 for i, letter in enumerate(text) if letter.isalnum() or RUN.match(letter)), default=0)
    return RUN.sub(lambda found: (_asked if found.end() == end else _indexed)(found), text)


def is_letter(token: str) -> bool:
    """Whether a token is one letter of these scripts, which stands for all tokens that begin with it."""
    return len(token) == 1 and RUN.fullmatch(token) is not None


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)]


def _indexed(found: re.Match[str]) -> str:
    run = found[0]
    return " " + " ".join([*_pairs(run), run[-1]]) + " "


def _asked(found: re.Match[str]) -> str:
    run = found[0]
    return " " + (" ".join(_pairs(run)) if len(run) > 1 else run) + " "
