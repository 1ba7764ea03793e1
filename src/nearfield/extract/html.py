"""The main text of an HTML page, with headings, lists and tables as lines. Knows how pages are built, not where they came from.

Left out: scripts, styles, navigation, footers, asides, forms' controls, what is hidden. Where a page has exactly one <main>, or
one <article>, that is the text; where nothing is left by these rules, all of the body is.
"""

from __future__ import annotations

import re
from typing import Any

from nearfield.extract import dates, decoding, markup
from nearfield.extract.markup import Node
from nearfield.extract.results import Contents, Extracted, Unreadable

_SILENT = (
    "head script style template noscript svg math canvas iframe object embed audio video select button input textarea datalist"
)
_BLOCKS = (
    "address article aside blockquote body caption center dd details dialog div dl dt fieldset figcaption figure footer form "
    "h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol p pre section summary table tbody tfoot thead tr ul"
)
_APART = "article blockquote dl figure h1 h2 h3 h4 h5 h6 hr ol p pre section table ul"
SILENT, BLOCKS, APART = frozenset(_SILENT.split()), frozenset(_BLOCKS.split()), frozenset(_APART.split())
"""Elements without text of the page; those that are lines of their own; of these, those with an empty line before and after."""
AROUND = frozenset(("nav", "footer", "aside", "dialog", "menu"))
AROUND_ROLES = frozenset(("navigation", "contentinfo", "complementary", "search", "banner"))
_DECLARED = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9._:-]{1,40})""", re.I)
_BREAK, _EMPTY = "\x00", "\x01"
"""An end of a line and an empty line, while the pieces are gathered; no document has these characters."""


def read(data: bytes) -> Contents:
    """The page's text, its title, author, dates and language."""
    text, encoding = _decoded(data)
    root = markup.html(text)
    if root is None:
        return Contents()
    metadata = _metadata(root)
    if encoding != "utf-8":
        metadata["encoding"] = encoding
    found = main_text(root)
    if not found:
        raise Unreadable("the page has no text of its own (made by a script?); save it as it is shown")
    return Contents([Extracted(found, metadata)])


def of_fragment(text: str) -> str:
    """The text of a piece of HTML; "" where it has none."""
    root = markup.html(text)
    return "" if root is None else _text(root, around=True)


def _decoded(data: bytes) -> tuple[str, str]:
    """As UTF-8; else by what the page declares (HTML, section 13.2.3.2); else by guessing."""
    try:
        return data.decode("utf-8-sig").replace("\0", ""), "utf-8"
    except UnicodeDecodeError:
        declared = _DECLARED.search(data[:4096])
    if declared is not None:
        try:
            name = declared[1].decode()
            return data.decode("cp1252" if name.lower() in ("iso-8859-1", "latin1", "latin-1") else name), name.lower()
        except (UnicodeDecodeError, LookupError):
            pass
    return decoding.decode(data)


def main_text(root: Node) -> str:
    """The text by the rules above."""
    for name in ("main", "article"):
        there = [n for n in root.iter(name) if not _hidden(n)]
        if len(there) == 1:
            found = _text(there[0], around=False)
            if found:
                return found
    return _text(root, around=False) or _text(root, around=True)


def _text(root: Node, *, around: bool) -> str:
    """The text below an element, without recursion; `around`: also navigation and the like."""
    pieces: list[str] = []
    skipping: Node | None = None
    for event, node in markup.walk(root):
        if skipping is not None:
            if event == "end" and node is skipping:
                skipping = None
                _after(node, root, pieces)
            continue
        if event == "start":
            if _left_out(node, around) and node is not root:
                skipping = node
                continue
            _open(node, pieces)
        else:
            _close(node, pieces)
            _after(node, root, pieces)
    return _joined(pieces)


def _left_out(node: Node, around: bool) -> bool:
    if not isinstance(node.tag, str) or node.tag in SILENT or _hidden(node):
        return True
    return not around and (node.tag in AROUND or (node.get("role") or "") in AROUND_ROLES)


def _hidden(node: Node) -> bool:
    style = (node.get("style") or "").replace(" ", "").lower()
    return node.get("hidden") is not None or node.get("aria-hidden") == "true" or "display:none" in style


def _open(node: Node, pieces: list[str]) -> None:
    tag = node.tag
    if tag in BLOCKS:
        pieces.append(_EMPTY if tag in APART else _BREAK)
    if tag == "li":
        pieces.append("- ")
    if tag == "br":
        pieces.append(_BREAK)
    if tag in ("td", "th") and node.getprevious() is not None:
        pieces.append(" | ")
    if node.text:
        pieces.append(node.text.replace("\n", _BREAK) if tag == "pre" else node.text)


def _close(node: Node, pieces: list[str]) -> None:
    if node.tag in BLOCKS:
        pieces.append(_EMPTY if node.tag in APART else _BREAK)


def _after(node: Node, root: Node, pieces: list[str]) -> None:
    if node is not root and node.tail:
        pieces.append(node.tail)


def _joined(pieces: list[str]) -> str:
    """The pieces with white space as a browser shows it: runs are one space, blocks are lines, at most one line is empty."""
    whole = re.sub(r"[ \t\n\r\f\xa0]+", " ", "".join(pieces))
    lines: list[str] = []
    for paragraph in re.split(rf"[ {_BREAK}]*{_EMPTY}[ {_BREAK}{_EMPTY}]*", whole):
        kept = [line.strip() for line in paragraph.split(_BREAK)]
        body = "\n".join(line for line in kept if line and line != "-")
        if body:
            lines.append(body)
    return re.sub(r"\n\n(?=- )", "\n", "\n\n".join(lines))


def _metadata(root: Node) -> dict[str, Any]:
    metas: dict[str, str] = {}
    for node in root.iter("meta"):
        name = (node.get("name") or node.get("property") or "").lower()
        if name and node.get("content"):
            metas.setdefault(name, node.get("content").strip())
    out: dict[str, Any] = {}
    title = next((t for n in root.iter("title") if (t := _flat(n))), None) or metas.get("og:title")
    title = title or next((t for n in root.iter("h1") if (t := _flat(n))), None)
    author = metas.get("author") or metas.get("article:author") or metas.get("dc.creator")
    created = metas.get("article:published_time") or metas.get("dc.date") or metas.get("date")
    modified = metas.get("article:modified_time") or metas.get("last-modified")
    language = next((n.get("lang") for n in root.iter("html") if n.get("lang")), None)
    for key, value in (("title", title), ("author", author), ("language", language)):
        if value:
            out[key] = value
    for key, value in (("created", created), ("modified", modified)):
        moment = dates.of_any(value)
        if moment:
            out[key] = moment
    return out


def _flat(node: Node) -> str:
    return " ".join("".join(node.itertext()).split())
