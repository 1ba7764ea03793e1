"""The text of a PDF, page by page, by PDFium. Knows no layout.

The order is that of the file, which keeps columns apart where they were written one after the other.
A page's text is separated from the next by an empty line.
"""

from __future__ import annotations

from typing import Any

from nearfield.extract import dates
from nearfield.extract.needed import missing
from nearfield.extract.results import Contents, Extracted, Limits, Unreadable

_ENCRYPTED = "it is encrypted; take the password off and add it again"


def read(data: bytes, limits: Limits) -> Contents:
    """The text of all pages; metadata: title, author, created, modified, pages.

    Raises:
        Unreadable: not a PDF, encrypted, or without text, as a scan is.
    """
    try:
        import pypdfium2
        import pypdfium2.raw as raw
    except ImportError:
        raise missing("PDF", "pypdfium2") from None
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        locked = raw.FPDF_GetLastError() == raw.FPDF_ERR_PASSWORD or "password" in str(error).lower()
        raise Unreadable(_ENCRYPTED if locked else f"this is no PDF that can be read ({error})") from None
    pages: list[str] = []
    size = 0
    for i in range(len(document)):
        pages.append(_page(document, i, pypdfium2.PdfiumError))
        size += len(pages[-1])
        if size > limits.text:
            raise Unreadable(f"it has more than {limits.text >> 20} MiB of text; split it")
    text = "\n\n".join(page for page in pages if page)
    if not text:
        raise Unreadable(f"none of its {len(pages)} pages has text (a scan?); run text recognition (OCR) over it first")
    return Contents([Extracted(text, {**_metadata(document), "pages": len(pages)})])


def _page(document: Any, number: int, failure: type[Exception]) -> str:
    """The text of a page; "" for one that is broken, as long as others are not."""
    try:
        page = document[number]
        text_page = page.get_textpage()
    except failure:
        return ""
    try:
        found = text_page.get_text_range()
    finally:
        text_page.close()
        page.close()
    lines = found.replace("\r\n", "\n").replace("\r", "\n").replace("\ufffe\n", "").replace("\ufffe", "").replace("\0", "")
    return "\n".join(line.rstrip() for line in lines.split("\n")).strip()


def _metadata(document: Any) -> dict[str, Any]:
    told = document.get_metadata_dict(skip_empty=True)
    out: dict[str, Any] = {}
    for key, name in (("title", "Title"), ("author", "Author")):
        if told.get(name, "").strip():
            out[key] = told[name].strip()
    for key, name in (("created", "CreationDate"), ("modified", "ModDate")):
        moment = dates.of_pdf(told.get(name, ""))
        if moment:
            out[key] = moment
    return out
