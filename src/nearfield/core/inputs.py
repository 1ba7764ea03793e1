"""Checks of what callers pass, before anything is written. Each refusal names field, expected, received and remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from nearfield.core.errors import DimensionMismatch, InvalidInput
from nearfield.core.metric import Vectors

MAX_ID_BYTES = 512
MAX_TEXT_BYTES = 1 << 20
MAX_K = 1_000_000
IF_EXISTS = ("replace", "skip", "error")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def name(value: Any, field: str = "name") -> str:
    """A collection or alias name: 1 to 128 of A-Z a-z 0-9 . _ -, beginning with a letter or digit."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidInput(
            "not a name",
            field=field,
            expected="1 to 128 letters, digits, '.', '_' or '-', beginning with a letter or digit",
            received=value,
        )
    return value


def ids(values: Sequence[Any], field: str = "ids") -> list[str]:
    """A list of ids, each 1 to 512 bytes of UTF-8, none twice."""
    out = list(values)
    for i, value in enumerate(out):
        if type(value) is not str or not value or len(value) > 128:
            document_id(value, f"{field}[{i}]")
    try:
        "".join(out).encode()
    except UnicodeEncodeError:
        for i, value in enumerate(out):
            document_id(value, f"{field}[{i}]")
    if len(set(out)) != len(out):
        seen: set[str] = set()
        twice = next(v for v in out if v in seen or seen.add(v))  # type: ignore[func-returns-value]
        raise InvalidInput("an id occurs twice in one call; send each once", field=field, received=twice)
    return out


def document_id(value: Any, field: str = "id") -> str:
    """One id: 1 to 512 bytes of UTF-8."""
    expected = f"a string of 1 to {MAX_ID_BYTES} bytes of UTF-8"
    if not isinstance(value, str):
        raise InvalidInput("not an id", field=field, expected=expected, received=value)
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidInput("the id is not valid Unicode", field=field, expected=expected, received=ascii(value)) from None
    if not 1 <= size <= MAX_ID_BYTES:
        raise InvalidInput(f"the id has {size} bytes", field=field, expected=expected, received=value)
    return value


def text(value: Any, field: str = "text") -> str:
    """A text: valid Unicode, not blank, at most 1 MiB of UTF-8."""
    if not isinstance(value, str):
        raise InvalidInput("not a text", field=field, expected="a string", received=value)
    if not value or value.isspace():
        raise InvalidInput("the text is empty; leave the document out or bring a vector", field=field, received=value)
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError:
        raise InvalidInput("the text is not valid Unicode", field=field, received=ascii(value[:80])) from None
    if size > MAX_TEXT_BYTES:
        raise InvalidInput(
            f"the text has {size:,} bytes; split it into passages",
            field=field,
            expected=f"at most {MAX_TEXT_BYTES:,} bytes of UTF-8",
        )
    return value


def vectors(value: Any, dim: int, count: int | None = None, field: str = "vectors") -> Vectors:
    """An (n, dim) array of finite numbers, converted once to C-ordered float32 if it is anything else.

    Raises:
        DimensionMismatch: another number of columns.
        InvalidInput: not two-dimensional, not numbers, NaN or infinite, or not `count` rows.
    """
    try:
        raw = np.asarray(value)
        if raw.dtype.kind not in "fiu":
            raise TypeError
        with np.errstate(over="ignore"):
            out: Vectors = np.ascontiguousarray(raw, dtype=np.float32)
    except (TypeError, ValueError):
        raise InvalidInput(
            "not an array of numbers", field=field, expected=f"float32 (n, {dim})", received=type(value).__name__
        ) from None
    if out.ndim != 2:
        raise InvalidInput("not two-dimensional", field=field, expected=f"(n, {dim})", received=str(out.shape))
    if out.shape[1] != dim:
        raise DimensionMismatch("wrong dimension", field=field, expected=f"(n, {dim})", received=str(out.shape))
    if count is not None and len(out) != count:
        raise InvalidInput("not one vector for each id", field=field, expected=f"{count} rows", received=str(len(out)))
    if out.size and not (np.isfinite(out.max()) and np.isfinite(out.min())):
        bad = int(np.flatnonzero(~np.isfinite(out).all(axis=1))[0])
        raise InvalidInput(
            f"vector {bad} holds NaN or an infinite value (or one too large for float32); leave it out or mend it",
            field=field,
            expected="finite numbers",
            received=raw[bad, :8].tolist(),
        )
    return out


def vector(value: Any, dim: int, field: str = "vector") -> Vectors:
    """One vector of finite numbers, (dim,) or (1, dim), as float32 (1, dim)."""
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return vectors(value[None, :], dim, field=field)
    found = np.asarray(value, dtype=object if isinstance(value, str) else None)
    return vectors(found[None, :] if found.ndim == 1 else found, dim, 1, field)


def k(value: Any) -> int:
    """How many hits: 1 to 1,000,000."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not 1 <= value <= MAX_K:
        raise InvalidInput("not a number of hits", field="k", expected=f"an integer from 1 to {MAX_K:,}", received=repr(value))
    return int(value)


def whole(value: Any, field: str, least: int = 0) -> int:
    """An integer of at least `least`."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise InvalidInput("not a whole number", field=field, expected=f"an integer >= {least}", received=repr(value))
    return int(value)


def recall(value: Any) -> float:
    """A recall: above 0, at most 1."""
    if not isinstance(value, (int, float, np.floating)) or isinstance(value, bool) or not 0 < value <= 1:
        raise InvalidInput("not a recall", field="recall", expected="a number above 0, at most 1", received=repr(value))
    return float(value)


def choice(value: Any, allowed: Iterable[str], field: str) -> str:
    """One of a few words."""
    allowed = tuple(allowed)
    if value not in allowed:
        raise InvalidInput("unknown value", field=field, expected="one of " + ", ".join(map(repr, allowed)), received=value)
    return str(value)
