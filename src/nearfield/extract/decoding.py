"""Which text do these bytes say? A byte order mark, else UTF-8, strictly, else a guess. Knows no format."""

from __future__ import annotations

import codecs
import re

from nearfield.extract.needed import missing
from nearfield.extract.results import Unreadable

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROL = {c: None for c in range(32) if chr(c) not in "\t\n\v\f\r\x1b"} | {127: None}
_COMMON = "cp1252 cp1250 cp1251 cp1253 cp1254 cp1255 cp1256 koi8_r shift_jis euc_jp gb18030 big5 euc_kr"
"""Encodings that texts are met in; among all that there are a guess is a lottery."""
_WESTERN = re.compile(r"(?:[\0-\x7fàâäáãåæçéèêëíìîïñóòôöøœúùüÿßÀÂÄÁÃÅÆÇÉÈÊËÍÌÎÏÑÓÒÔÖØŒÚÙÛÜ“”‘’„–—…€°§«»·£©®]|(?<!\w)[¡¿])*")
MOST_CONTROL = 0.01
"""Share of control characters above which something is no text."""


def decode(data: bytes) -> tuple[str, str]:
    """(text, encoding), "utf-8" where it is that; lines end in a line feed.

    Raises:
        Unreadable: it is no text, or in no encoding that can be told.
        MissingDependency: it is not UTF-8, and what guesses encodings is not installed.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return _checked(data[len(mark) :].decode(encoding)), encoding
            except UnicodeDecodeError as error:
                raise Unreadable(
                    f"it begins as {encoding} and is not, at byte {error.start + len(mark) + 1}; save it as UTF-8"
                ) from None
    if b"\0" in data:
        raise Unreadable("this is no text: it has zero bytes; give it the ending of its own kind, or take it out")
    try:
        return _checked(data.decode()), "utf-8"
    except UnicodeDecodeError:
        return _guessed(data)


def _guessed(data: bytes) -> tuple[str, str]:
    """Windows-1252 where that gives letters and marks of western languages only; else what charset-normalizer says."""
    western = data.decode("cp1252", "ignore")
    if len(western) == len(data) and _WESTERN.fullmatch(western):
        return _checked(western), "cp1252"
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        raise missing("a text that is not UTF-8", "charset-normalizer") from None
    best = from_bytes(data, cp_isolation=_COMMON.split()).best()
    if best is None:
        raise Unreadable("this is neither UTF-8 nor another encoding that can be told; save it as UTF-8")
    return _checked(str(best)), best.encoding.replace("_", "-")


def _checked(text: str) -> str:
    """The text with plain line ends; raises Unreadable where too much of it is control characters."""
    if len(text) - len(text.translate(_CONTROL)) > MOST_CONTROL * len(text):
        raise Unreadable(
            "this is no text: it has too many control characters; give it the ending of its own kind, or take it out"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")
