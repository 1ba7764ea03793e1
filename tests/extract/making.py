"""Files of every kind, made anew by libraries other than those that read them."""

import io
import zipfile
from collections.abc import Sequence
from email.message import EmailMessage

import docx
import fpdf


def pdf(pages: Sequence[Sequence[str]], *, title: str = "", password: str | None = None) -> bytes:
    out = fpdf.FPDF()
    out.set_font("Helvetica", size=10)
    if title:
        out.set_title(title)
        out.set_author("An Author")
    if password is not None:
        out.set_encryption(owner_password="owner", user_password=password)
    for lines in pages:
        out.add_page()
        for i, line in enumerate(lines):
            out.text(15, 20 + 6 * i, line)
    return bytes(out.output())


def scan() -> bytes:
    """Two pages with drawings and without text."""
    out = fpdf.FPDF()
    for _ in range(2):
        out.add_page()
        out.rect(20, 20, 100, 100)
    return bytes(out.output())


def two_columns(left: Sequence[str], right: Sequence[str]) -> bytes:
    out = fpdf.FPDF()
    out.set_font("Helvetica", size=9)
    out.add_page()
    for x, column in ((10, left), (110, right)):
        for i, line in enumerate(column):
            out.text(x, 20 + 5 * i, line)
    return bytes(out.output())


def word(paragraphs: Sequence[str] = ("One paragraph.", "And another."), *, title: str = "A title") -> bytes:
    out = docx.Document()
    out.core_properties.title, out.core_properties.author = title, "An Author"
    out.add_heading("The heading", 1)
    for text in paragraphs:
        out.add_paragraph(text)
    out.add_paragraph("an item", style="List Bullet")
    table = out.add_table(2, 2)
    for i, text in enumerate(("a", "b", "c", "d")):
        table.cell(i // 2, i % 2).text = text
    file = io.BytesIO()
    out.save(file)
    return file.getvalue()


def packed(**members: bytes | str) -> bytes:
    """A zip; "__" in a name is "/"."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members.items():
            out.writestr(name.replace("__", "/") + ".xml", content)
    return file.getvalue()


def mail(text: str = "The body.", *, html: str | None = None, attachments: Sequence[tuple[str, bytes]] = ()) -> bytes:
    out = EmailMessage()
    out["From"], out["To"], out["Cc"] = "Ada L. <ada@example.org>", "Bob <bob@example.org>", "cy@example.org"
    out["Subject"], out["Date"] = "Grüße aus dem Süden", "Fri, 31 Jan 2025 10:30:00 +0100"
    out.set_content(text)
    if html is not None:
        out.add_alternative(html, subtype="html")
    for name, data in attachments:
        out.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return bytes(out)
