"""The text of a Markdown file without its syntax, and its front matter. Knows CommonMark with tables, by markdown-it-py.

Front matter is YAML between two lines of --- at the start (or TOML between lines of +++). One that cannot be read stays text.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

from nearfield.extract import dates, decoding, html
from nearfield.extract.needed import missing
from nearfield.extract.results import Contents, Extracted

_FRONT = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?)\n(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.S)
MOST_FRONT = 64 << 10
"""Characters of front matter that are read."""
CREATED = ("created", "date", "published", "pubdate")
MODIFIED = ("modified", "updated", "lastmod", "last_modified_at")
AUTHORS = ("author", "authors", "creator")
PLAIN = (str, int, float, bool)


def read(data: bytes) -> Contents:
    """The text, and metadata from its front matter; the title is that of the front matter, else the first heading."""
    text, encoding = decoding.decode(data)
    front, body = split(text)
    metadata = of_front(front)
    found, heading = plain(body)
    if heading:
        metadata.setdefault("title", heading)
    if encoding != "utf-8":
        metadata["encoding"] = encoding
    return Contents([Extracted(found, metadata)] if found else [])


def split(text: str) -> tuple[dict[str, Any], str]:
    """(front matter, the rest); ({}, text) where there is none, or none that can be read."""
    match = _FRONT.match(text)
    if match is None or len(match[2]) > MOST_FRONT:
        return {}, text
    found = _toml(match[2]) if match[1] == "+++" else _yaml(match[2])
    return (found, text[match.end() :]) if isinstance(found, dict) else ({}, text)


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None


def _yaml(text: str) -> Any:
    """What the YAML says, by the safe loader; None where it is none, or has aliases, which can multiply."""
    try:
        import yaml
    except ImportError:
        raise missing("front matter", "pyyaml") from None
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            return None
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def of_front(front: dict[str, Any]) -> dict[str, Any]:
    """Metadata from front matter: title, author, created, modified, and other keys that are plain values or lists of them."""
    out: dict[str, Any] = {}
    for key, value in front.items():
        name = str(key).lower()
        if name in AUTHORS:
            out["author"] = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        elif name in CREATED or name in MODIFIED:
            moment = dates.of_any(value)
            if moment:
                out["created" if name in CREATED else "modified"] = moment
        elif name == "title":
            out["title"] = str(value)
        elif isinstance(value, PLAIN) and value == value and value not in (float("inf"), float("-inf")):
            out[str(key)] = value
        elif isinstance(value, list) and all(isinstance(v, PLAIN) for v in value):
            out[str(key)] = [str(v) for v in value]
        elif (moment := dates.of_any(value)) is not None:
            out[str(key)] = moment
    return out


def plain(text: str) -> tuple[str, str | None]:
    """(the text without syntax, the first heading or None)."""
    try:
        from markdown_it import MarkdownIt
    except ImportError:
        raise missing("Markdown", "markdown-it-py") from None
    blocks = _Blocks()
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        blocks.take(token)
    return re.sub(r"\n\n(?=- )", "\n", "\n\n".join(filter(str.strip, blocks.out))), blocks.heading


class _Blocks:
    """Blocks of text so far; whether a heading, an item of a list or a row of a table is open."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.heading: str | None = None
        self._inside, self._rows = "", 0
        self._cells: list[str] = []

    def take(self, token: Any) -> None:
        """The next token of the parser."""
        kind = token.type
        if kind in ("list_item_open", "heading_open", "tr_open"):
            self._inside, self._cells = kind, []
        elif kind == "table_open":
            self._rows = 0
        elif kind == "tr_close":
            above = self.out.pop() + "\n" if self._rows else ""
            self.out.append(above + " | ".join(self._cells))
            self._inside, self._rows = "", self._rows + 1
        elif kind in ("heading_close", "list_item_close"):
            self._inside = ""
        elif kind == "inline":
            self._line(_inline(token.children or []))
        elif kind in ("fence", "code_block"):
            self.out.append(token.content.rstrip("\n"))
        elif kind == "html_block":
            self.out.append(html.of_fragment(token.content))

    def _line(self, text: str) -> None:
        if self._inside == "tr_open":
            self._cells.append(text)
            return
        if self._inside == "heading_open" and text:
            self.heading = self.heading or text
        self.out.append("- " + text if self._inside == "list_item_open" else text)
        self._inside = "" if self._inside == "list_item_open" else self._inside


def _inline(tokens: list[Any]) -> str:
    """The text of a line's tokens; of an image its description."""
    out = []
    for token in tokens:
        if token.type in ("text", "code_inline"):
            out.append(token.content)
        elif token.type == "image":
            out.append(_inline(token.children or []))
        elif token.type in ("softbreak", "hardbreak"):
            out.append("\n")
    return "".join(out).strip()
