"""Sizes, times and environment variables, read once at the edge into plain values."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nearfield.core.errors import InvalidInput

_SIZE = {"": 1, "B": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_TIME = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def parse_size(value: int | str, field: str) -> int:
    """Bytes from 4096, "64MB" (10^6) or "64MiB" (2^20); raises InvalidInput naming `field`."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (m := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*", value, re.I)):
        unit = m[2].upper()
        if m[3] and unit:
            return int(float(m[1]) * 1024 ** ("KMGT".index(unit) + 1))
        return int(float(m[1]) * _SIZE[unit])
    raise InvalidInput("not a size", field=field, expected="bytes, or text such as '64MB' or '4GiB'", received=value)


def plain_url(url: str) -> str:
    """An address without a name and password in it, as errors and logs tell it."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def parse_time(value: float | str, field: str) -> float:
    """Seconds from 1.5, "50ms", "10s", "5min", "2h"; raises InvalidInput naming `field`."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    if isinstance(value, str) and (m := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", value)) and m[2] in _TIME:
        return float(m[1]) * _TIME[m[2]]
    raise InvalidInput("not a time", field=field, expected="seconds, or text such as '50ms' or '2h'", received=value)


def format_size(n: float) -> str:
    """Bytes for people: 1.5 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(n) < 1000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"


def check_keys(given: Mapping[str, object], known: tuple[str, ...], field: str) -> None:
    """Raises InvalidInput if `given` has a key that is not in `known`, naming the nearest one."""
    import difflib

    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InvalidInput(f"unknown key {key!r}{hint}", field=field, expected="one of " + ", ".join(known), received=key)
