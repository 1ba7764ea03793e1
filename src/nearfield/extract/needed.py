"""The one sentence about a package that is not installed. Knows no package."""

from __future__ import annotations

from nearfield.core.errors import MissingDependency


def missing(what: str, package: str) -> MissingDependency:
    """The error for a kind of file whose package is not there."""
    return MissingDependency(f"reading {what} needs {package}: pip install 'nearfield[documents]'")
