"""What is read of each kind, and what each says of itself."""

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nearfield import InvalidInput
from nearfield.extract import SUFFIXES, Extracted, Unreadable, extract, kind_of
from nearfield.extract.kinds import Kind
from nearfield.extract.worker import Extractor
from tests.extract import making


def one(extractor: Extractor, kind: Kind, data: bytes | str) -> Extracted:
    (found,) = extractor.read(kind, data.encode() if isinstance(data, str) else data).texts
    return found


def test_kinds_go_by_the_end_of_the_name() -> None:
    assert kind_of("a/b.c/Report.PDF") == "pdf"
    assert kind_of("notes.tar.md") == "markdown"
    assert [kind_of(n) for n in ("README", ".md", "a/.txt", "x.exe", "a.txt/b", "")] == [None] * 6
    assert {kind_of("x" + suffix) for suffix in SUFFIXES} == set(SUFFIXES.values())


def test_text_is_kept_as_it_is(extractor: Extractor) -> None:
    assert one(extractor, "text", "two\nlines  \n\n# no heading\n") == Extracted("two\nlines  \n\n# no heading\n")


def test_markdown_loses_its_syntax_and_keeps_its_words(extractor: Extractor) -> None:
    found = one(
        extractor,
        "markdown",
        "# The *head*\n\nSome **bold** [link](http://x.y 'z') and `code`,\nnext line. ![a picture](p.png)\n\n"
        "- one\n- two\n  1. deep\n\n> quoted\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "```py\nx = 1\n\ny = 2\n```\n\n<div>plain <b>HTML</b></div>\n<script>no()</script>\n",
    )
    assert found.text == (
        "The head\n\nSome bold link and code,\nnext line. a picture\n- one\n- two\n- deep\n\nquoted\n\na | b\n1 | 2\n\n"
        "x = 1\n\ny = 2\n\nplain HTML"
    )
    assert found.metadata == {"title": "The head"}


def test_front_matter_is_metadata(extractor: Extractor) -> None:
    front = (
        "title: 'Of: things'\nauthors: [Ada, Bob]\ndate: 2024-03-01\nupdated: 2024-03-02T10:00:00+02:00\n"
        "tags: [x, 7]\ndraft: true\nnested: {a: 1}\n"
    )
    found = one(extractor, "markdown", f"---\n{front}---\n# Head\ntext")
    assert found.text == "Head\n\ntext"
    assert found.metadata == {
        "title": "Of: things",
        "author": "Ada, Bob",
        "created": "2024-03-01T00:00:00Z",
        "modified": "2024-03-02T08:00:00Z",
        "tags": ["x", "7"],
        "draft": True,
    }
    assert one(extractor, "markdown", "+++\ntitle = 'T'\ndate = 2024-03-01\n+++\nx").metadata["title"] == "T"


@pytest.mark.parametrize(
    "front", ["---\na: [1\n---\n", "---\n- a\n---\n", "---\na: &x [1]\nb: *x\n---\n", "---\n!!python/object:os.x {}\n---\n"]
)
def test_front_matter_that_is_none_stays_text(extractor: Extractor, front: str) -> None:
    found = one(extractor, "markdown", front + "the text")
    assert "the text" in found.text
    assert found.text != "the text"


def test_html_gives_the_main_text(extractor: Extractor) -> None:
    page = """<!doctype html><html lang="en"><head><title> The  title </title><meta name="author" content="Ada">
    <meta property="article:published_time" content="2024-03-01T12:00:00+01:00"><style>p {}</style></head><body>
    <header><h1>Site</h1></header><nav><a>Home</a></nav>
    <h2>Heading</h2><p>One  <b>two</b>three<br>next &amp; last</p><ul><li>a</li><li>b</li></ul>
    <table><tr><th>x</th><th>y</th></tr><tr><td>1</td><td>2</td></tr></table>
    <p hidden>secret</p><div style="display: none">secret</div><script>secret()</script>tail<footer>foot</footer></body>"""
    found = one(extractor, "html", page)
    assert found.text == "Site\n\nHeading\n\nOne twothree\nnext & last\n- a\n- b\n\nx | y\n1 | 2\n\ntail"
    assert found.metadata == {"title": "The title", "author": "Ada", "created": "2024-03-01T11:00:00Z", "language": "en"}


def test_of_a_page_with_one_main_that_is_the_text(extractor: Extractor) -> None:
    assert one(extractor, "html", "<p>around</p><main><h1>In</h1>side</main><div>around</div>").text == "In\n\nside"
    assert one(extractor, "html", "<article>a</article><article>b</article>c").text == "a\n\nb\n\nc"
    assert one(extractor, "html", "<nav>only this</nav>").text == "only this"


def test_html_in_a_declared_encoding(extractor: Extractor) -> None:
    found = one(extractor, "html", "<meta charset=windows-1251><p>Привет, мир</p>".encode("cp1251"))
    assert found.text == "Привет, мир"
    assert found.metadata["encoding"] == "windows-1251"


def test_pdf_text_pages_and_metadata(extractor: Extractor) -> None:
    found = one(extractor, "pdf", making.pdf([["Line one", "line two"], [], ["The third page"]], title="A title"))
    assert found.text == "Line one\nline two\n\nThe third page"
    assert found.metadata | {"created": ""} == {"title": "A title", "author": "An Author", "pages": 3, "created": ""}
    assert found.metadata["created"].endswith("Z")


def test_pdf_columns_come_one_after_the_other(extractor: Extractor) -> None:
    left, right = [f"left {i} of the column" for i in range(30)], [f"right {i} of the column" for i in range(30)]
    assert one(extractor, "pdf", making.two_columns(left, right)).text.split("\n") == [*left, *right]


def test_a_pdf_that_opens_without_a_password_is_read(extractor: Extractor) -> None:
    assert one(extractor, "pdf", making.pdf([["open"]], password="")).text == "open"


def test_word_text_headings_lists_tables_and_metadata(extractor: Extractor) -> None:
    found = one(extractor, "docx", making.word())
    assert found.text == "The heading\n\nOne paragraph.\nAnd another.\n- an item\na | b\nc | d"
    assert (found.metadata["title"], found.metadata["author"]) == ("A title", "An Author")
    assert found.metadata["created"].endswith("Z")


def test_word_leaves_out_deleted_text_and_says_text_boxes_once(extractor: Extractor) -> None:
    names = (
        'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
        'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    )
    body = (
        f"<w:document {names}><w:body><w:p><w:r><w:t>kept</w:t><w:tab/><w:t>on</w:t></w:r>"
        "<w:del><w:r><w:delText>gone</w:delText><w:t>gone</w:t></w:r></w:del>"
        "<w:ins><w:r><w:t> new</w:t></w:r></w:ins><w:r><w:instrText>FIELD</w:instrText></w:r></w:p><w:p>"
        "<mc:AlternateContent><mc:Choice><w:t>box</w:t></mc:Choice><mc:Fallback><w:t>box</w:t></mc:Fallback></mc:AlternateContent>"
        "</w:p></w:body></w:document>"
    )
    notes = f"<w:footnotes {names}><w:footnote><w:p><w:r><w:t>a note</w:t></w:r></w:p></w:footnote></w:footnotes>"
    assert one(extractor, "docx", making.packed(word__document=body, word__footnotes=notes)).text == "kept\ton new\nbox\na note"


def test_mail_headers_body_and_names_of_attachments(extractor: Extractor) -> None:
    found = one(extractor, "mail", making.mail(html="<p>other</p>", attachments=[("a.pdf", b"%PDF"), ("b.txt", b"text")]))
    assert found.text == "The body."
    assert found.metadata == {
        "subject": "Grüße aus dem Süden",
        "title": "Grüße aus dem Süden",
        "from": "Ada L. <ada@example.org>",
        "author": "Ada L.",
        "to": ["Bob <bob@example.org>", "cy@example.org"],
        "date": "2025-01-31T09:30:00Z",
        "created": "2025-01-31T09:30:00Z",
        "attachments": ["a.pdf", "b.txt"],
    }


def test_mail_with_html_alone_and_without_a_body(extractor: Extractor) -> None:
    head = b"Subject: s\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n"
    assert one(extractor, "mail", head + "<p>caf\xe9<br>two</p>".encode("latin-1")).text == "café\ntwo"
    assert one(extractor, "mail", b"From: a@b\r\nSubject: only this\r\n\r\n").text == "only this"
    with pytest.raises(Unreadable, match="neither text nor subject"):
        extractor.read("mail", b"From: a@b\r\n\r\n\r\n")


def test_a_mailbox_is_its_messages(extractor: Extractor) -> None:
    box = (
        b"From a@b Thu Jan  1\nSubject: one\n\nfirst\n\n>From quoted\n>>From twice\nFrom inside a paragraph\n\n"
        b"From c@d x\nSubject: two\n\nsecond\n"
    )
    texts = extractor.read("mbox", box + b"\nFrom e@f x\nFrom: e@f\n\n\n")
    assert [(t.number, t.text) for t in texts.texts] == [
        (1, "first\n\nFrom quoted\n>From twice\nFrom inside a paragraph"),
        (2, "second"),
    ]
    assert [number for number, _ in texts.failed] == [3]
    crlf = extractor.read("mbox", box.replace(b"\n", b"\r\n")).texts
    assert [t.metadata["subject"] for t in crlf] == ["one", "two"]
    with pytest.raises(Unreadable, match="no mailbox"):
        extractor.read("mbox", b"just text")


def test_rows_are_documents_and_wrong_ones_are_named(extractor: Extractor) -> None:
    found = extractor.read(
        "jsonl",
        b'{"text": "a", "n": 1, "vector": [1, 2], "metadata": {"x": 2}}\n\n{"text": 5}\n[1]\n{bad\n{"name": "Ada", "age": 3}\n',
    )
    assert found.texts == [Extracted("a", {"n": 1, "x": 2}, 1), Extracted("name: Ada", {"name": "Ada", "age": 3}, 5)]
    assert [number for number, _ in found.failed] == [2, 3, 4]


def test_csv_and_tsv_rows(extractor: Extractor) -> None:
    found = extractor.read("csv", '\ufeffid,text,n,zip\n1,"a, ""b""\nc",-3,007\n2,,1,1\n3,short\n'.encode())
    assert found.texts == [Extracted('a, "b"\nc', {"id": 1, "n": -3, "zip": "007"}, 1)]
    assert found.failed == [(2, "it has 2 columns, the first line has 4, line 5")]
    assert extractor.read("tsv", b"text\tyes\none, two\ttrue\n").texts == [Extracted("one, two", {"yes": True}, 1)]
    broken = extractor.read("csv", b'text\nfine\n"x"y\nlost\n')
    assert [t.text for t in broken.texts] == ["fine"]
    assert broken.failed[0][0] == 2
    with pytest.raises(Unreadable, match="twice"):
        extractor.read("csv", b"a,a\n1,2\n")


def test_parquet_rows(extractor: Extractor) -> None:
    file = io.BytesIO()
    day = pa.array([0, None], pa.date32())
    vectors = pa.array([[1.0, 2.0], [3.0, 4.0]])
    pq.write_table(
        pa.table({"text": ["a", None], "day": day, "vector": vectors, "x": [1.5, float("nan")], "t": ["u", "v"]}), file
    )
    found = extractor.read("parquet", file.getvalue())
    assert found.texts[0] == Extracted("a", {"day": "1970-01-01", "x": 1.5, "t": "u"}, 1)
    assert found.texts[1].text == "t: v"
    assert json.dumps(found.texts[1].metadata, allow_nan=False)


def test_extract_takes_a_path_or_bytes(tmp_path: Path) -> None:
    (tmp_path / "x.md").write_text("# Hi")
    assert extract(tmp_path / "x.md") == [Extracted("Hi", {"title": "Hi"})]
    assert extract(b"# Hi", "text") == [Extracted("# Hi")]
    assert extract(b" \n", "pdf") == []
    (tmp_path / "bad.pdf").write_text("no")
    with pytest.raises(Unreadable, match=r"bad\.pdf: this is no PDF"):
        extract(str(tmp_path / "bad.pdf"))
    for wrong in ((b"x", None), (tmp_path / "x.exe", None), (b"x", "doc")):
        with pytest.raises(InvalidInput, match="unknown kind"):
            extract(*wrong)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("csv", "text,n\nhello,12345678901234567890123\n"), ("jsonl", '{"text": "hello", "n": 12345678901234567890123}'),
        ("markdown", "---\nn: 12345678901234567890123\n---\nhello\n"),
        ("markdown", "+++\nn = 12345678901234567890123\n+++\nhello\n"),
    ],
)  # fmt: skip
def test_a_number_of_more_digits_than_a_number_has_is_text(extractor: Extractor, kind: Kind, data: str) -> None:
    assert one(extractor, kind, data).metadata == {"n": "12345678901234567890123"}


def test_the_largest_numbers_stay_numbers(extractor: Extractor) -> None:
    for n in (2**63 - 1, -(2**63)):
        assert one(extractor, "csv", f"text,n\nhello,{n}\n").metadata == {"n": n}
