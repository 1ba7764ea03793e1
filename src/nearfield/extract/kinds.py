"""Which kinds of files are read, by the ends of their names. Knows no content."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal["text", "markdown", "html", "pdf", "docx", "csv", "tsv", "jsonl", "parquet", "mail", "mbox"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SUFFIXES: dict[str, Kind] = {
    ".txt": "text",
    ".text": "text",
    ".rst": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".docx": "docx",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".eml": "mail",
    ".mbox": "mbox",
}
NUMBERED: frozenset[Kind] = frozenset({"csv", "tsv", "jsonl", "parquet", "mbox"})
"""Kinds whose files hold many documents: each row or message is one."""
TABLES: frozenset[Kind] = frozenset({"csv", "tsv", "jsonl", "parquet"})


def kind_of(name: str) -> Kind | None:
    """The kind of a file by its name; None for one that is not read."""
    dot = name.rfind(".")
    return SUFFIXES.get(name[dot:].lower()) if dot > max(0, name.rfind("/") + 1) else None
