"""What a cell of a table of texts says: a number, a bool, or the text itself. Knows no table."""

from __future__ import annotations

import re
from typing import Any

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")


def typed(value: str) -> Any:
    """A value as number, bool or string: numbers only if they are written as JSON writes them (007 stays a string)."""
    if value in ("true", "false", "True", "False"):
        return value.lower() == "true"
    match = _NUMBER.fullmatch(value)
    if match is None or len(value) > 300:
        return value
    return float(value) if match[2] or match[3] else int(value)
