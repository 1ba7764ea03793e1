"""Documents in: what the process apart costs, what a second run over a folder costs, and PDFium beside pypdf on two columns."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import fpdf

import nearfield as nf
from benchmarks.common import SEED, report, row, seconds
from nearfield.extract.reading import read
from nearfield.extract.results import Limits
from nearfield.extract.worker import Extractor

_WORDS = "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa quebec"
WORDS = _WORDS.split()
ROUNDS = 3


def main(scale: float = 1.0) -> None:
    draw = random.Random(SEED)
    files = max(50, int(2000 * scale))
    pages = max(3, int(30 * scale))
    html = [_page(draw) for _ in range(files)]
    rows, facts = [], {"files": files, "pages": pages, "pypdfium2": version("pypdfium2"), "lxml": version("lxml")}
    with Extractor() as extractor:
        extractor.read("html", html[0])
        apart = min(seconds(lambda: [extractor.read("html", page) for page in html]) for _ in range(ROUNDS))
    here = min(seconds(lambda: [read("html", page, Limits()) for page in html]) for _ in range(ROUNDS))
    facts |= {"HTML files/s in a process apart": round(files / apart), "in this one": round(files / here)}
    rows.append(row("HTML of 4 kB: a process apart, against this one", apart / here, 1.5, least=False))
    first, second = _twice(html)
    facts |= {"first run s": round(first, 2), "second run s": round(second, 3)}
    rows.append(row("a folder of them: reading it, against a second look", first / second, 5))
    document, wanted = _columns(draw, pages)
    quick, kept = _timed(lambda: read("pdf", document, Limits()).texts[0].text, wanted)
    facts |= {"PDFium pages/s": round(pages / quick), "PDFium pairs kept": kept}
    try:
        import pypdf
    except ImportError:
        facts["pypdf"] = "not installed: pip install pypdf"
    else:
        import io

        slow, also = _timed(lambda: "\n".join(p.extract_text() for p in pypdf.PdfReader(io.BytesIO(document)).pages), wanted)
        facts |= {"pypdf": pypdf.__version__, "pypdf pages/s": round(pages / slow), "pypdf pairs kept": also}
        rows.append(row("two columns: pypdf's time against PDFium's", slow / quick, 3))
    rows.append(row("two columns: neighbouring words still neighbours", kept, 0.99, ""))
    report("documents", rows, facts)


def _page(draw: random.Random) -> bytes:
    body = "".join(f"<p>{' '.join(draw.choices(WORDS, k=60))}</p>" for _ in range(10))
    return f"<html><head><title>T</title></head><body><nav>a b c</nav>{body}</body></html>".encode()


class Shelf:
    """Where documents are already: a dict."""

    def __init__(self) -> None:
        self.there: dict[str, nf.Document] = {}

    def get(self, ids: list[str]) -> list[nf.Document | None]:
        return [self.there.get(id) for id in ids]


def _twice(html: list[bytes]) -> tuple[float, float]:
    """Seconds of reading a folder, and of reading it again when its documents are there."""
    with tempfile.TemporaryDirectory() as folder:
        root, shelf = Path(folder), Shelf()
        for i, page in enumerate(html):
            (root / f"{i}.html").write_bytes(page)
        time.sleep(2.1)  # younger files are told apart by their bytes

        def look() -> None:
            shelf.there |= {d.id: d for d in nf.read_documents(root, known=shelf)}

        first = seconds(look)
        return first, min(seconds(look) for _ in range(ROUNDS))


def _columns(draw: random.Random, pages: int) -> tuple[bytes, list[str]]:
    """A PDF in two columns of numbered words, and the words in the order of reading."""
    out, wanted = fpdf.FPDF(), list[str]()
    out.set_font("Helvetica", size=9)
    for _ in range(pages):
        out.add_page()
        for x in (10, 110):
            for line in range(50):
                words = [f"{draw.choice(WORDS)}{len(wanted) + i}" for i in range(5)]
                wanted += words
                out.text(x, 15 + 5 * line, " ".join(words))
    return bytes(out.output()), wanted


def _timed(extract: Callable[[], str], wanted: list[str]) -> tuple[float, float]:
    """(seconds, share of neighbouring words that are neighbours in the text)."""
    took = min(seconds(extract) for _ in range(ROUNDS))
    place = {word: i for i, word in enumerate(extract().split())}
    pairs = list(pairwise(wanted))
    return took, sum(place.get(b, -1) == place.get(a, -9) + 1 for a, b in pairs) / len(pairs)
