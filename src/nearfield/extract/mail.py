"""The text of mails (.eml) and mailboxes (.mbox): bodies, who wrote to whom, when, about what.

Knows RFC 5322 by the standard library. Of a message in several forms the plain text is taken, else its HTML.
Attachments are named in the metadata and not read.
"""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any

from nearfield.extract import dates, decoding, html
from nearfield.extract.results import Contents, Extracted, Unreadable

MOST_PARTS = 1_000
MOST_NAMES = 100
"""Recipients and attachments that the metadata names."""
_START = re.compile(rb"(?:\A|\r?\n\r?\n|(?<=\n\n))From [^\r\n]*\r?\n")
_QUOTED = re.compile(rb"^>(>*From )", re.M)
_ODD = (MessageError, ValueError, LookupError, AttributeError, TypeError, AssertionError)
"""What the parser lets through of headers and bodies that are wrong."""


def read(data: bytes) -> Contents:
    """One message.

    Raises:
        Unreadable: no message, nested without end, or without text.
    """
    return Contents([_extracted(data, None)])


def read_box(data: bytes) -> Contents:
    """Every message of a mailbox, numbered from 1; one that cannot be read is named (RFC 4155, and ">From " undone)."""
    out = Contents()
    for number, message in enumerate(_messages(data), 1):
        try:
            out.texts.append(_extracted(message, number))
        except Unreadable as error:
            out.failed.append((number, error.message))
    if not out.texts and not out.failed and data.strip():
        raise Unreadable('this is no mailbox: it does not begin with a line "From "')
    return out


def _messages(data: bytes) -> Iterator[bytes]:
    starts = list(_START.finditer(data.lstrip())) if data[:1].isspace() else list(_START.finditer(data))
    whole = data.lstrip() if data[:1].isspace() else data
    for i, match in enumerate(starts):
        end = starts[i + 1].start() if i + 1 < len(starts) else len(whole)
        yield _QUOTED.sub(rb"\1", whole[match.end() : end])


def _extracted(data: bytes, number: int | None) -> Extracted:
    try:
        message = email.message_from_bytes(data, policy=email.policy.default)
        headers = _headers(message)
        text, attachments = _body(message)
    except RecursionError:
        raise Unreadable("its parts are nested too deeply") from None
    if not headers and message.defects:
        raise Unreadable("this is no mail: it has no headers")
    if attachments:
        headers["attachments"] = attachments[:MOST_NAMES]
    if not text.strip():
        text = headers.get("subject", "")
    if not text.strip():
        raise Unreadable("the mail has neither text nor subject")
    return Extracted(text.strip(), headers, number)


def _headers(message: EmailMessage) -> dict[str, Any]:
    out: dict[str, Any] = {}
    subject = _header(message, "subject")
    if subject:
        out["subject"] = out["title"] = subject
    sender = next(iter(_addresses(message, "from")), _header(message, "from"))
    if sender:
        out["from"] = sender
        out["author"] = sender.partition(" <")[0]
    recipients = [r for field in ("to", "cc") for r in _addresses(message, field)]
    if recipients:
        out["to"] = recipients[:MOST_NAMES]
    moment = dates.of_mail(_header(message, "date"))
    if moment:
        out["date"] = out["created"] = moment
    return out


def _header(message: EmailMessage, name: str) -> str:
    """A header on one line; "" for one that is missing or cannot be decoded."""
    try:
        return " ".join(str(message.get(name, "")).encode("utf-8", "replace").decode().split())
    except _ODD:
        return ""


def _addresses(message: EmailMessage, name: str) -> list[str]:
    try:
        found = getaddresses([str(v) for v in message.get_all(name, [])])
    except _ODD:
        return []
    return [(f"{who} <{address}>" if who else address).encode("utf-8", "replace").decode() for who, address in found if address]


def _body(message: EmailMessage) -> tuple[str, list[str]]:
    """(the text, names of attachments)."""
    plain: list[str] = []
    pages: list[str] = []
    attachments: list[str] = []
    for number, part in enumerate(message.walk()):
        if number >= MOST_PARTS:
            raise Unreadable(f"it has more than {MOST_PARTS:,} parts")
        if part.is_multipart():
            continue
        name = _name(part)
        kind = part.get_content_type()
        if name is not None or part.get_content_disposition() == "attachment" or kind not in ("text/plain", "text/html"):
            attachments.append(name or kind)
        elif kind == "text/plain":
            plain.append(_text(part))
        else:
            pages.append(html.of_fragment(_text(part)))
    kept = [text.strip() for text in plain if text.strip()] or [text for text in pages if text]
    return "\n\n".join(kept), attachments


def _name(part: Any) -> str | None:
    try:
        name = part.get_filename()
    except _ODD:
        return "?"
    return None if name is None else str(name).encode("utf-8", "replace").decode()


def _text(part: Any) -> str:
    """A part's text, by the charset it says, else by what it is."""
    try:
        raw = part.get_payload(decode=True) or b""
    except _ODD:
        return ""
    try:
        return str(raw.decode(part.get_content_charset() or "utf-8")).replace("\r\n", "\n")
    except (LookupError, UnicodeDecodeError):
        try:
            return decoding.decode(raw)[0]
        except Unreadable:
            return str(raw.decode("utf-8", "replace"))
