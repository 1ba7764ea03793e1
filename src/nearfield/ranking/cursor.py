"""A place in a ranking, as a token: where the next page begins. Knows bytes; nothing of searches.

A ranking is totally ordered by (score, highest first; row number, lowest first), and a document that does not change keeps
both. So the place after the last hit, with the highest row that the first page could see, is all that is needed: what comes
later in that order and was there before was not shown, and whatever was written since the first page is left out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from nearfield.core.errors import InvalidInput

VERSION = 1
"""The first byte of a token."""
MOST = 2_000
"""Characters of a token."""
_FORM = struct.Struct("<Bfqqq8sB")
_GAP = struct.Struct("<qq")
_SEAL = 8


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page begins.

    Attributes:
        score: of the last hit shown.
        row: the highest row number among the hits with that very score; -1: none of them is as it was.
        last: rows above were written after the first page.
        shown: how many hits all pages so far had.
        digest: 8 bytes, of what was asked.
        gaps: ranges of rows (first, beyond) that were being loaded when the first page was made, and were not to be seen yet.
    """

    score: float
    row: int
    last: int
    shown: int
    digest: bytes
    gaps: tuple[tuple[int, int], ...] = ()

    def holds(self, row: int) -> bool:
        """Whether a document with this row number was to be seen when the first page was made."""
        return row <= self.last and not any(first <= row < beyond for first, beyond in self.gaps)

    def follows(self, score: float, row: int) -> bool:
        """Whether a document comes after this place, and was there when the first page was made."""
        return self.holds(row) and (score < self.score or (score == self.score and row > self.row))


def write(cursor: Cursor, secret: bytes) -> str:
    """The token of a cursor: URL-safe, sealed with the collection's secret so that a changed one is known."""
    body = _FORM.pack(VERSION, cursor.score, cursor.row, cursor.last, cursor.shown, cursor.digest, len(cursor.gaps)) + b"".join(
        _GAP.pack(*gap) for gap in cursor.gaps
    )
    return base64.urlsafe_b64encode(body + _seal(body, secret)).rstrip(b"=").decode()


def read(token: Any, secret: bytes, digest: bytes) -> Cursor:
    """The cursor of a token.

    Args:
        token: from `hits.next`.
        secret: the collection's.
        digest: of what is asked now.

    Raises:
        InvalidInput: it is no token, was changed, is of another collection or of another version, or belongs to another search.
    """
    remedy = "a token from `next` of the page before"
    if not isinstance(token, str) or not 0 < len(token) <= MOST:
        raise InvalidInput("not a page token", field="after", expected=remedy, received=token)
    try:
        raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise InvalidInput("not a page token", field="after", expected=remedy, received=token) from None
    if raw[:1] != bytes([VERSION]) and raw:
        wrong = "the page token is of another version of nearfield; begin again without it"
        raise InvalidInput(wrong, field="after", expected=f"version {VERSION}", received=raw[0])
    body, seal = raw[:-_SEAL], raw[-_SEAL:]
    if len(body) < _FORM.size or _seal(body, secret) != seal:
        raise InvalidInput(
            "the page token was changed, or is of another collection; begin again without it", field="after",
            expected=remedy, received=token,
        )  # fmt: skip
    _, score, row, last, shown, asked, gaps = _FORM.unpack_from(body)
    if asked != digest:
        raise InvalidInput(
            "the page token belongs to another search; give the same query, filter and thresholds, or begin again without it",
            field="after",
            expected=remedy,
        )
    read_gaps = tuple(_GAP.unpack_from(body, _FORM.size + i * _GAP.size) for i in range(gaps))
    return Cursor(score, row, last, shown, asked, read_gaps)


def _seal(body: bytes, secret: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_SEAL, key=secret, person=b"nearfield-page").digest()


def digest(parts: Sequence[Any]) -> bytes:
    """8 bytes that differ where what is asked does: texts, numbers, bytes, None, and lists of these."""
    return hashlib.blake2b(msgspec.msgpack.encode(list(parts)), digest_size=8).digest()
