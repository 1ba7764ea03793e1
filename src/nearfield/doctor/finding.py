"""What a check says: one finding, its level and what mends it. Knows no check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Generic, Literal, TypeVar

from nearfield.core.errors import shorten

LONGEST = 400
"""Characters of a line; what libraries say can be much longer."""
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: "ok"; "warn": it works, but not as well as it could; "error": it does not work.
        what: what was found, in one line.
        fix: what to do, with the command, in one line; empty if all is well.
        check: the name of the check, which stays the same from version to version; docs/DOCTOR.md lists them.
    """

    level: Literal["ok", "warn", "error"]
    what: str
    fix: str = ""
    check: str = ""

    def to_dict(self) -> dict[str, str]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Check(Generic[S]):
    """One check: its name, and what looks at a subject and finds."""

    name: str
    look: Callable[[S], Iterator[Finding]]


def ok(what: str) -> Finding:
    """All is well."""
    return Finding("ok", line(what))


def warn(what: str, fix: str) -> Finding:
    """It works, but not as well as it could."""
    return Finding("warn", line(what), line(fix))


def error(what: str, fix: str) -> Finding:
    """It does not work."""
    return Finding("error", line(what), line(fix))


def line(text: str) -> str:
    """The text on one line, and no longer than a line may be."""
    return shorten(" ".join(text.split()), LONGEST)


__all__ = ["Check", "Finding", "error", "line", "ok", "warn"]
