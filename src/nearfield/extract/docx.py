"""The text of a Word document (.docx): paragraphs, lists, tables, notes. Knows ECMA-376 as far as text goes.

A .docx is a zip of XML files. Four of them are read and no other is unpacked, each bounded by what really comes out of it.
Text that was deleted with changes tracked is left out; headers and footers are, since they repeat on each page.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from typing import Any

from nearfield.extract import dates, markup
from nearfield.extract.markup import Node
from nearfield.extract.results import Contents, Extracted, Limits, Unreadable

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/wordprocessingml/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_SKIPPED = ("del", "moveFrom", "instrText", "pPr", "rPr", "sectPr", "tblPr")
_DC, _TERMS = "{http://purl.org/dc/elements/1.1/}", "{http://purl.org/dc/terms/}"
_OLE = b"\xd0\xcf\x11\xe0"
BODY, NOTES, PROPERTIES = "word/document.xml", ("word/footnotes.xml", "word/endnotes.xml"), "docProps/core.xml"


def read(data: bytes, limits: Limits) -> Contents:
    """The text; metadata: title, author, created, modified.

    Raises:
        Unreadable: not a .docx, encrypted, damaged, unpacking to more than `limits.unpacked` bytes, or without text.
    """
    if data.startswith(_OLE):
        raise Unreadable("it is encrypted, or an old .doc; save it without a password, as .docx")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            members = _Members(packed, limits.unpacked)
            body = members.read(BODY)
            if body is None:
                raise Unreadable(f"this is no Word document: it has no {BODY}")
            blocks = text_of(markup.xml(body, BODY))
            for name in NOTES:
                notes = members.read(name)
                if notes is not None:
                    blocks += text_of(markup.xml(notes, name))
            properties = members.read(PROPERTIES)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise Unreadable(f"this is no .docx that can be read ({error or type(error).__name__})") from None
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(blocks)).strip()
    if not text:
        raise Unreadable("the document has no text")
    return Contents([Extracted(text, {} if properties is None else _metadata(markup.xml(properties, PROPERTIES)))])


class _Members:
    """Files of a zip, unpacked as far as `most` bytes of all of them together."""

    def __init__(self, packed: zipfile.ZipFile, most: int) -> None:
        self._packed, self._left, self._most = packed, most, most

    def read(self, name: str) -> bytes | None:
        """A file's bytes, None where it is not there; raises Unreadable where they are too many, whatever the zip says."""
        try:
            info = self._packed.getinfo(name)
        except KeyError:
            return None
        if info.file_size <= self._left:
            with self._packed.open(info) as file:
                found = file.read(self._left + 1)
            self._left -= len(found)
            if self._left >= 0:
                return found
        raise Unreadable(f"it unpacks to more than {self._most >> 20} MiB; no document of words is as large")


def text_of(root: Node) -> list[str]:
    """Paragraphs and rows of tables, in order, each one line or more; "" before and after a heading."""
    lines = _Lines()
    skipping: Node | None = None
    for event, node in markup.walk(root):
        if skipping is not None:
            if event == "end" and node is skipping:
                skipping = None
            continue
        name = _local(node)
        if event == "end":
            lines.end(name)
        elif name in _SKIPPED or node.tag == _FALLBACK:
            skipping = node
            if name == "pPr":
                lines.heading, lines.listed = _style(node)
        else:
            lines.start(name, node)
    return lines.out


class _Lines:
    """What was read so far: finished lines, the pieces of a paragraph, the cells of rows that are open."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.heading = self.listed = False
        self._pieces: list[str] = []
        self._rows: list[list[str]] = []

    def start(self, name: str, node: Node) -> None:
        """An element begins."""
        if name == "p":
            self.heading = self.listed = False
        elif name == "tr":
            self._rows.append([])
        elif name == "tc" and self._rows:
            self._rows[-1].append("")
        elif name == "t":
            self._pieces.append(node.text or "")
        else:
            self._pieces.append({"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}.get(name, ""))

    def end(self, name: str) -> None:
        """An element ends."""
        if name == "p":
            line = "".join(self._pieces).strip()
            self._pieces.clear()
            if line and not self._in_cell(line):
                self.out += ["", line, ""] if self.heading else ["- " + line] if self.listed else [line]
        elif name == "tr" and self._rows:
            cells = self._rows.pop()
            if any(cells) and not self._in_cell(" ".join(cells)):
                self.out.append(" | ".join(cells))

    def _in_cell(self, text: str) -> bool:
        """Adds a text to the cell that is open; False where none is."""
        if not self._rows or not self._rows[-1]:
            return False
        self._rows[-1][-1] = f"{self._rows[-1][-1]} {text}".strip()
        return True


def _local(node: Node) -> str:
    """A name of the vocabulary of Word without its namespace; "" for any other."""
    tag = node.tag
    if not isinstance(tag, str):
        return ""
    return tag.removeprefix(_W) if tag.startswith(_W) else tag.removeprefix(_STRICT) if tag.startswith(_STRICT) else ""


def _style(properties: Node) -> tuple[bool, bool]:
    """(it is a heading, it is an item of a list)."""
    heading = listed = False
    for node in properties.iter():
        name = _local(node)
        if name == "pStyle":
            style = str(next(iter(node.attrib.values()), "")).lower().replace(" ", "")
            heading = style.startswith(("heading", "title", "subtitle"))
            listed = listed or style.startswith("list")
        elif name == "numPr":
            listed = True
    return heading, listed and not heading


def _metadata(root: Node) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, tag in (("title", _DC + "title"), ("author", _DC + "creator")):
        value = (root.findtext(tag) or "").strip()
        if value:
            out[key] = value
    for key, tag in (("created", _TERMS + "created"), ("modified", _TERMS + "modified")):
        moment = dates.of_any(root.findtext(tag))
        if moment:
            out[key] = moment
    return out
