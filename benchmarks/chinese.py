"""How texts without spaces are best cut for a keyword index: pairs of letters, trigrams, single letters, words, not at all.

The Chinese manual pages of Debian (package manpages-zh), each asked for by the description in its NAME line, which is taken
out of the page; and by every two-letter word of that description alone. All by FTS5's own BM25, so that only the cut differs;
a segmenter is measured too where the package jieba is installed.
Set MANPAGES_ZH to a folder that holds the package's files.
"""

from __future__ import annotations

import gzip
import importlib.util
import os
import re
from collections.abc import Callable
from pathlib import Path

import apsw
import numpy as np

from benchmarks.common import Skipped, report, row
from nearfield.store import bigrams

PLACE = Path(os.environ.get("MANPAGES_ZH", "/usr/share/man")) / "zh_CN"
HAN = re.compile("[\u4e00-\u9fff]+")
NAMES = re.compile(r'^\.SH\s+"?(?:NAME|名称|名字|名稱)', re.IGNORECASE)


def pages() -> tuple[list[str], list[str]]:
    """(texts without their NAME line, descriptions of that line) of pages that have at least four Chinese letters there."""
    texts, asked = [], []
    for path in sorted(PLACE.rglob("*.gz")):
        lines = gzip.decompress(path.read_bytes()).decode("utf-8", "replace").splitlines()
        at = next((i for i, line in enumerate(lines) if NAMES.match(line)), None)
        if at is None or at + 1 >= len(lines):
            continue
        name = lines[at + 1]
        _, dash, about = name.partition("-")
        body = "\n".join(line for i, line in enumerate(lines) if i != at + 1 and not line.startswith('.\\"'))
        body = re.sub(r"\\f.|\\[,/&-]|^\.\w+", " ", body, flags=re.MULTILINE)
        if dash and len("".join(HAN.findall(about))) >= 4 and len("".join(HAN.findall(body))) >= 100:
            texts.append(body)
            asked.append("".join(c if HAN.fullmatch(c) else " " for c in about))
    return texts, asked


def letters(text: str) -> str:
    """Every Chinese letter a token."""
    return HAN.sub(lambda m: " " + " ".join(m[0]) + " ", text)


WAYS = {
    "pairs": ("unicode61", bigrams.spaced, lambda q: bigrams.asked(q).split()),
    "trigrams": ("trigram", str, lambda q: [w[i : i + 3] for w in q.split() for i in range(max(1, len(w) - 2))]),
    "single letters": ("unicode61", letters, lambda q: letters(q).split()),
    "as they are": ("unicode61", str, str.split),
}


def segmented(text: str) -> str:
    """Words by jieba, the longer ones cut again, as it does for search engines."""
    import jieba

    return " ".join(jieba.cut_for_search(text))


def ways() -> dict[str, tuple[str, Callable[[str], str], Callable[[str], list[str]]]]:
    """The ways to compare; a segmenter is among them where jieba is installed."""
    found = dict(WAYS)
    if importlib.util.find_spec("jieba") is not None:
        found["words by a segmenter"] = ("unicode61", segmented, lambda q: segmented(q).split())
    return found


def main(scale: float = 1.0) -> None:
    if not PLACE.exists():
        raise Skipped("the Chinese manual pages are not here; run: apt install manpages-zh, or set MANPAGES_ZH")
    texts, asked = pages()
    texts, asked = texts[: int(len(texts) * scale)], asked[: int(len(asked) * scale)]
    facts: dict[str, object] = {"pages": len(texts)}
    found = {}
    for name, (tokenizer, cut, split) in ways().items():
        connection = apsw.Connection(":memory:")
        connection.execute(f"CREATE VIRTUAL TABLE t USING fts5(text, content='', tokenize='{tokenizer}')")
        connection.executemany("INSERT INTO t(rowid, text) VALUES (?, ?)", ((i, cut(text)) for i, text in enumerate(texts)))
        whole = [_rank(connection, split(query), i) for i, query in enumerate(asked)]
        words = sorted({(w[j : j + 2], i) for i, query in enumerate(asked) for w in query.split() for j in range(len(w) - 1)})
        there = [(word, i) for word, i in words if word in texts[i]]
        short = [_rank(connection, split(word), i) > 0 for word, i in there]
        found[name] = float(np.mean([1 / r if 0 < r <= 10 else 0 for r in whole]))
        facts[name] = {
            "MRR@10": round(found[name], 4),
            "found among ten": round(float(np.mean([0 < r <= 10 for r in whole])), 4),
            "pages found by a two-letter word they have": round(float(np.mean(short)), 4),
            "two-letter words": len(there),
        }
    best = max(value for name, value in found.items() if name != "pairs")
    report("chinese", [row("MRR@10 of pairs beside the best other way", found["pairs"] / best, 1.0)], facts)


def _rank(connection: apsw.Connection, tokens: list[str], wanted: int) -> int:
    """The place of a page among all that match any token, 1 for the best; 0: it is not there."""
    if not tokens:
        return 0
    query = " OR ".join('"' + token.replace('"', "") + '"' for token in dict.fromkeys(tokens))
    for place, (found,) in enumerate(connection.execute("SELECT rowid FROM t WHERE t MATCH ? ORDER BY rank", (query,)), 1):
        if found == wanted:
            return place
    return 0


if __name__ == "__main__":
    main()
