"""Dates and times as the files write them, told as RFC 3339 in UTC. Knows no file; a time without a zone is taken as UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

_PDF = re.compile(r"(?:D:)?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:([+-])(\d\d)'?(\d\d)?'?|Z.*)?")


def told(moment: datetime) -> str:
    """A moment such as 2026-01-31T09:30:00Z, whole seconds."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.replace(microsecond=0).isoformat().replace("+00:00", "Z")


def of_nanoseconds(since_1970: int) -> str | None:
    """A file system's time; None for one that no calendar has."""
    try:
        return told(datetime.fromtimestamp(since_1970 // 1_000_000_000, UTC))
    except (OverflowError, OSError, ValueError):
        return None


def of_any(value: object) -> str | None:
    """A date or time as documents give them: ISO 8601, RFC 5322, or YAML's own; None for what is none."""
    if isinstance(value, datetime):
        return _safely(value)
    if isinstance(value, date):
        return told(datetime(value.year, value.month, value.day))
    if not isinstance(value, str):
        return None
    text = value.strip()
    try:
        return _safely(datetime.fromisoformat(text))
    except ValueError:
        return of_mail(text)


def of_mail(value: str) -> str | None:
    """The Date of a mail (RFC 5322, section 3.3)."""
    try:
        return _safely(parsedate_to_datetime(value))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def of_pdf(value: str) -> str | None:
    """A date of a PDF (ISO 32000-1, section 7.9.4): D:YYYYMMDDHHmmSS+HH'mm'."""
    match = _PDF.fullmatch(value.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(match[i]) if match[i] else (1 if i in (2, 3) else 0) for i in range(1, 7))
    try:
        offset = timedelta(hours=int(match[8] or 0), minutes=int(match[9] or 0)) * (-1 if match[7] == "-" else 1)
        return _safely(datetime(year, month, day, hour, minute, second, tzinfo=timezone(offset)))
    except ValueError:
        return None


def _safely(moment: datetime) -> str | None:
    try:
        return told(moment)
    except (OverflowError, ValueError):
        return None
