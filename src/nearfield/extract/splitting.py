"""Cuts a text that is longer than a document's may be, where a paragraph, a line or a word ends. Knows no format."""

from __future__ import annotations


def split(text: str, most: int) -> list[str]:
    """Parts of at most `most` bytes of UTF-8, none blank, each as long as may be; without white space at their ends.

    Every other character is in a part, in order. A cut comes after the last paragraph of the second half of what may be, else
    after its last line, else after its last word, else anywhere between two characters.
    """
    out: list[str] = []
    start = 0
    while start < len(text):
        end = _fitting(text, start, most)
        if end < len(text):
            end = _cut(text, start, end)
        part = text[start:end].strip()
        if part:
            out.append(part)
        start = end
    return out


def _fitting(text: str, start: int, most: int) -> int:
    """The end of the longest part from `start` that has at most `most` bytes."""
    raw = text[start : start + most].encode()
    if len(raw) <= most:
        return min(len(text), start + most)
    return start + len(raw[:most].decode("utf-8", "ignore"))


def _cut(text: str, start: int, end: int) -> int:
    middle = start + (end - start) // 2
    for boundary in ("\n\n", "\n", " "):
        at = text.rfind(boundary, middle, end)
        if at >= 0:
            return at + len(boundary)
    return end
