"""Files that are broken or meant to harm: each has its answer, and the next file is read."""

import contextlib
import io
import random
import time
import zipfile
from pathlib import Path

import psutil
import pytest

from nearfield import Closed
from nearfield.extract import Extracted, Limits, Unreadable
from nearfield.extract.kinds import KINDS, Kind
from nearfield.extract.worker import Extractor
from tests.extract import making

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def refusal(extractor: Extractor, kind: Kind, data: bytes) -> str:
    """Why it is not read; and the next one is."""
    with pytest.raises(Unreadable) as refused:
        extractor.read(kind, data)
    assert extractor.read("text", b"next").texts == [Extracted("next")]
    return refused.value.message


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_file_is_no_document_and_no_failure(extractor: Extractor, kind: Kind) -> None:
    assert extractor.read(kind, b"").texts == []
    assert extractor.read(kind, b" \r\n\t\n").texts == []


@pytest.mark.parametrize("kind", KINDS)
def test_junk_is_refused_or_read_and_stops_nothing(extractor: Extractor, kind: Kind) -> None:
    draw = random.Random(KINDS.index(kind))
    heads = (b"", b"%PDF-1.7\n", b"PK\x03\x04", b"From x\n", b"Subject: a\n\n", b"PAR1", b"<html>", b'{"text":', b"---\n")
    for head in heads:
        data = head + draw.randbytes(3000) + (b"PAR1" if head == b"PAR1" else b"")
        with contextlib.suppress(Unreadable):
            found = extractor.read(kind, data)
            assert all(t.text.strip() for t in found.texts)
    assert extractor.read("text", b"next").texts == [Extracted("next")]


@pytest.mark.parametrize(
    "data",
    [b"a\0b", random.Random(64).randbytes(64) + b"\0", b"\x01\x02\x03\x04 text", b"\xff\xfea", bytes(range(1, 32)) * 9],
    ids=repr,
)
def test_binary_junk_under_the_name_of_a_text(extractor: Extractor, data: bytes) -> None:
    assert "text" in refusal(extractor, "text", data) or data.startswith(b"\xff\xfe")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Le café est très bon, déjà", "cp1252"),
        ("“Smart” quotes – and dashes", "cp1252"),
        ("Привет, как дела сегодня?", "cp1251"),
        ("今天天气很好，我们去公园散步吧。", "gb18030"),
        ("今日は天気がいいですね。散歩に行きましょう。", "shift_jis"),
        ("Καλημέρα, τι κάνετε σήμερα;", "cp1253"),
        ("with a mark: é 今", "utf-16"),
        ("with a mark: é 今", "utf-32"),
        ("with a mark: é 今", "utf-8-sig"),
    ],
)
def test_texts_that_are_not_utf8_are_read_and_say_so(extractor: Extractor, text: str, encoding: str) -> None:
    (found,) = extractor.read("text", text.encode(encoding)).texts
    assert found.text == text
    assert ("encoding" in found.metadata) == (encoding != "utf-8-sig")


def test_encrypted_scanned_cut_off_and_false_pdfs(extractor: Extractor) -> None:
    good = making.pdf([["text"] * 30] * 5)
    assert "encrypted" in refusal(extractor, "pdf", making.pdf([["secret"]], password="x"))
    assert "OCR" in refusal(extractor, "pdf", making.scan())
    assert "no PDF" in refusal(extractor, "pdf", b"hello")
    assert "no PDF" in refusal(extractor, "pdf", good[:10])
    with contextlib.suppress(Unreadable):  # PDFium mends what it can
        assert set(extractor.read("pdf", good[: len(good) // 2]).texts[0].text.split()) == {"text"}


def test_false_and_encrypted_word_documents(extractor: Extractor) -> None:
    good = making.word()
    assert "no .docx" in refusal(extractor, "docx", b"hello")
    assert "no .docx" in refusal(extractor, "docx", good[: len(good) // 2])
    assert "encrypted" in refusal(extractor, "docx", b"\xd0\xcf\x11\xe0" + bytes(500))
    assert "no word/document.xml" in refusal(extractor, "docx", making.packed(other="x"))
    assert "no text" in refusal(extractor, "docx", making.packed(word__document=f"<w:document {W}/>"))
    assert "not well-formed" in refusal(extractor, "docx", making.packed(word__document="<a>"))


def test_zip_bombs_are_bounded_whatever_the_zip_says_of_itself() -> None:
    bomb = making.packed(word__document=b"<a>" + b" " * (40 << 20))
    with Extractor(Limits(unpacked=1 << 20)) as extractor:
        assert "unpacks to more than 1 MiB" in refusal(extractor, "docx", bomb)
        lying = bytearray(bomb)
        size = (40 << 20) + 3
        for start in (i for i in range(len(lying)) if lying[i : i + 4] == size.to_bytes(4, "little")):
            lying[start : start + 4] = (1000).to_bytes(4, "little")
        assert bytes(lying) != bomb
        assert refusal(extractor, "docx", bytes(lying))
        other = io.BytesIO(making.word())
        with zipfile.ZipFile(other, "a", zipfile.ZIP_DEFLATED) as out:
            out.writestr("word/media/image1.png", bytes(40 << 20))
        assert extractor.read("docx", other.getvalue()).texts  # what is not read is not unpacked


def test_entity_bombs_and_files_named_in_xml_are_refused(extractor: Extractor, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("SECRET")
    levels = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    bomb = f'<!DOCTYPE d [<!ENTITY e0 "ha">{levels}]><w:document {W}><w:p><w:t>&e11;</w:t></w:p></w:document>'
    outside = f'<!DOCTYPE d [<!ENTITY x SYSTEM "{secret.as_uri()}">]><w:document {W}><w:p><w:t>&x;</w:t></w:p></w:document>'
    for body in (bomb, outside):
        said = refusal(extractor, "docx", making.packed(word__document=body))
        assert "document type" in said or "not well-formed" in said
    page = extractor.read("html", f'<!DOCTYPE d [<!ENTITY x SYSTEM "{secret.as_uri()}">]><p>a &x; b'.encode())
    assert "SECRET" not in page.texts[0].text


def test_nesting_without_end_is_refused_or_read_and_never_cut_off_in_silence(extractor: Extractor) -> None:
    deep = "<div>" * 1000 + "inside" + "</div>" * 1000 + "<p>after</p>"
    assert extractor.read("html", deep.encode()).texts[0].text.split() == ["inside", "after"]
    assert "to its end" in refusal(extractor, "html", deep.replace("<div>", "<div>" * 100).encode())
    assert refusal(extractor, "docx", making.packed(word__document=f"<w:document {W}>" + "<w:p>" * 100_000))
    many = b"Subject: s\nContent-Type: multipart/mixed; boundary=b0\n\n" + b"".join(
        b"--b%d\nContent-Type: multipart/mixed; boundary=b%d\n\n" % (i, i + 1) for i in range(3000)
    )
    assert "nested" in refusal(extractor, "mail", many)
    rows = extractor.read("jsonl", b'{"text": "a", "x": ' + b"[" * 100_000 + b"\n" + b'{"text": "b"}\n')
    assert ([t.number for t in rows.texts], [n for n, _ in rows.failed]) == ([2], [1])
    quotes = extractor.read("markdown", b">" * 20_000 + b" deep\n\nafter\n").texts[0].text
    assert quotes.endswith("after")


@pytest.mark.slow
def test_a_huge_page_is_read_or_named_for_its_size(extractor: Extractor) -> None:
    page = b"<p>word</p>" * 250_000
    assert len(extractor.read("html", page).texts[0].text) > 1_000_000
    with Extractor(Limits(text=1 << 20)) as small:
        assert "more than 1 MiB of text" in refusal(small, "html", page)
        assert "more than 1 MiB of text" in refusal(small, "jsonl", b'{"text": "%s"}\n' % (b"x" * 1000) * 2000)
    with Extractor(Limits(file=1000)) as small:
        assert "1,001 bytes" in refusal(small, "text", b"x" * 1001)


def test_a_file_that_takes_too_long_is_named_and_the_rest_go_on() -> None:
    with Extractor(Limits(seconds=0.5)) as extractor:
        extractor.read("text", b"begun")
        slow = b"".join(b"[%d](x) *a* `b` | c\n\n" % i for i in range(400_000))
        began = time.monotonic()
        assert "longer than 0.5 s" in refusal(extractor, "markdown", slow)
        assert time.monotonic() - began < 60


@pytest.mark.skipif(not psutil.LINUX, reason="other systems set no limit on memory")
def test_a_file_that_takes_too_much_memory_is_named_and_the_rest_go_on() -> None:
    bomb = making.packed(word__document=f"<w:document {W}>".encode() + b"<w:p/>" * (3 << 20))
    with Extractor(Limits(memory=128 << 20)) as extractor:
        assert "memory" in refusal(extractor, "docx", bomb)


def test_a_reader_that_breaks_down_is_replaced(extractor: Extractor) -> None:
    with Extractor() as own:
        own.read("text", b"begun")
        assert own._child is not None
        own._child.kill()
        own._child.wait()
        assert "broke down" in refusal(own, "text", b"unlucky")


def test_nothing_is_left_when_it_is_closed() -> None:
    extractor = Extractor()
    extractor.read("text", b"x")
    assert extractor._child is not None
    process = psutil.Process(extractor._child.pid)
    extractor.close()
    assert not process.is_running()
    with pytest.raises(Closed):
        extractor.read("text", b"x")


def test_the_reading_process_is_given_bytes_and_cannot_write(extractor: Extractor) -> None:
    extractor.read("text", b"x")
    assert extractor._child is not None
    process = psutil.Process(extractor._child.pid)
    assert process.open_files() == []
    if psutil.LINUX:
        assert process.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
