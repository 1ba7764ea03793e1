"""Reads one file's bytes, by its kind, in this process and without bounds of time. Knows every format by its module only."""

from __future__ import annotations

import math

from nearfield.extract.kinds import TABLES, Kind
from nearfield.extract.results import Contents, Extracted, Limits, Unreadable

MOST_TITLE = 1_000
"""Characters of a title, an author and other such values."""


def read(kind: Kind, data: bytes, limits: Limits) -> Contents:
    """What a file of a kind holds; nothing for an empty one.

    Raises:
        Unreadable: with the reason.
        MissingDependency: what reads this kind is not installed.
    """
    if not data.strip():
        return Contents()
    found = _read(kind, data, limits)
    if len(found.texts) > limits.documents:
        raise Unreadable(f"it holds more than {limits.documents:,} documents; split it")
    size = 0
    for i, one in enumerate(found.texts):
        text = one.text.encode("utf-8", "replace").decode() if not one.text.isascii() else one.text
        size += len(text.encode())
        if size > limits.text:
            raise Unreadable(f"it has more than {limits.text >> 20} MiB of text; split it")
        most = limits.text if kind in TABLES else MOST_TITLE
        found.texts[i] = Extracted(text, {str(_clean(k, most)): _clean(v, most) for k, v in one.metadata.items()}, one.number)
    return found


def _read(kind: Kind, data: bytes, limits: Limits) -> Contents:
    from nearfield.extract import decoding, docx, html, mail, markdown, pdf, tables

    if kind in TABLES:
        return tables.read(kind, data, limits)
    if kind == "text":
        text, encoding = decoding.decode(data)
        metadata = {} if encoding == "utf-8" else {"encoding": encoding}
        return Contents([Extracted(text, metadata)] if text.strip() else [])
    if kind == "markdown":
        return markdown.read(data)
    if kind == "html":
        return html.read(data)
    if kind == "pdf":
        return pdf.read(data, limits)
    if kind == "docx":
        return docx.read(data, limits)
    return mail.read(data) if kind == "mail" else mail.read_box(data)


def _clean(value: object, most: int) -> object:
    """Strings as valid Unicode and no longer than `most`; NaN and infinities as None, since JSON has none of them.

    Whole numbers of more than 64 bits, which few readers of JSON keep, become text: they are rather identifiers.
    """
    if isinstance(value, str):
        cut = value if len(value) <= most else value[: most - 1] + "…"
        return cut.encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return str(value)
    if isinstance(value, dict):
        return {str(_clean(k, most)): _clean(v, most) for k, v in value.items()}
    return [_clean(v, most) for v in value] if isinstance(value, list) else value
