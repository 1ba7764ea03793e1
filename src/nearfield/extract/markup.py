"""The door to lxml: trees of HTML and XML from bytes, with nothing fetched and no entity expanded.

Knows no element's meaning.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nearfield.extract.needed import missing
from nearfield.extract.results import Unreadable

Node = Any
"""An lxml element."""
NO_MEMORY = 2
"""XML_ERR_NO_MEMORY of libxml2."""


def html(text: str) -> Node | None:
    """The root of an HTML document, however broken; None where there is nothing in it.

    Raises:
        Unreadable: nested more deeply than the parser goes (2,048 levels), or something else that it gives up at.
    """
    try:
        from lxml import etree
    except ImportError:
        raise missing("HTML", "lxml") from None
    parser = etree.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True, no_network=True)
    try:
        root = etree.fromstring(text.encode("utf-8", "replace"), parser)
    except etree.ParserError:
        return None
    except etree.XMLSyntaxError as error:
        if not text.strip() or "Document is empty" in str(error):
            return None
        _check_memory(error)
        raise Unreadable(f"this HTML cannot be read ({error})") from None
    fatal = [entry for entry in parser.error_log if entry.level == etree.ErrorLevels.FATAL]
    if fatal:
        raise Unreadable(f"this HTML cannot be read to its end ({fatal[0].message})")
    return root


def xml(data: bytes, what: str) -> Node:
    """The root of an XML document without a document type.

    Raises:
        Unreadable: not well-formed, nested more deeply than 256 levels, or with a document type: entities are declared in one,
            and what reads here needs none.
    """
    try:
        from lxml import etree
    except ImportError:
        raise missing("DOCX", "lxml") from None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        _check_memory(error)
        raise Unreadable(f"{what} is not well-formed XML ({error})") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise Unreadable(f"{what} declares a document type, where entities could be; save the file anew")
    return root


def _check_memory(error: Any) -> None:
    """Raises MemoryError where libxml2 ended for want of memory: it says so by its code, or can say nothing at all."""
    if error.code in (0, NO_MEMORY):
        raise MemoryError


def walk(root: Node) -> Iterator[tuple[str, Node]]:
    """("start", element) and ("end", element) of all below and of itself, in the order of the document, without recursion."""
    from lxml import etree

    return etree.iterwalk(root, events=("start", "end"))  # type: ignore[no-any-return]
