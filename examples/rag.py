"""Answers a question from texts on this machine, with citations: one page, no framework.

    python examples/rag.py "what moves the tides?"                           # the passages, from a sample of WordNet
    python examples/rag.py "how long is the warranty?" --texts manuals/      # from the .txt and .md files of a folder
    python examples/rag.py "..." --texts manuals/ --url http://127.0.0.1:11434/v1 --model llama3.2

Without --url nothing leaves the machine and the passages are printed; with it question and passages go to that address, which
any OpenAI-compatible server can be (its key: NEARFIELD_CHAT_API_KEY). The collection is kept in --db: a second run embeds
only what is new.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import nearfield as nf


def paragraphs(folder: Path) -> Iterator[nf.Document]:
    """The paragraphs of a folder's .txt and .md files; an id says the file and which paragraph of it."""
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".txt", ".md")):
        blocks = path.read_text(encoding="utf-8", errors="replace").split("\n\n")
        for number, block in enumerate(filter(str.strip, blocks), 1):
            yield nf.Document(f"{path.relative_to(folder)}#{number}", block.strip(), {"file": path.name})


def sample() -> Iterator[nf.Document]:
    """Twelve thousand entries of WordNet that come with the package."""
    packed = resources.files("nearfield.demo_data") / "wordnet-sample.jsonl.gz"
    for line in gzip.decompress(packed.read_bytes()).splitlines():
        row = json.loads(line)
        yield nf.Document(row["id"], row["text"], {"category": row["category"]})


def fill(collection: nf.Collection, documents: list[nf.Document]) -> None:
    """Writes what is not there yet; stopped in the middle, the next run goes on."""
    for start in range(0, len(documents), 500):
        collection.upsert(documents[start : start + 500], if_exists="skip")
        print(f"\r{len(collection):,} passages", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def main() -> int:
    """0: answered; 1: nothing was found."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("question")
    options.add_argument("--texts", type=Path, help="a folder of .txt and .md files; a sample of WordNet by default")
    options.add_argument("--db", type=Path, default=Path("rag-data"), help="where the collection is kept")
    options.add_argument("--embedder", default="minilm")
    options.add_argument("--url", help="an OpenAI-compatible API, such as http://127.0.0.1:11434/v1")
    options.add_argument("--model", help="the chat model's name there")
    told = options.parse_args()
    with nf.open(told.db) as db:
        name = "wordnet" if told.texts is None else "texts"
        collection = db.get_or_create(name, embedder=told.embedder)
        fill(collection, list(sample() if told.texts is None else paragraphs(told.texts)))
        answer = collection.ask(told.question, k=5, url=told.url, model=told.model)
    if not answer.passages:
        print("nothing was found")
        return 1
    if answer.text is None:
        for passage in answer.passages:
            print(f"[{passage.number}] {passage.id}: {passage.text}\n")
        return 0
    print(answer.text, end="\n\n")
    for passage in answer.sources:
        print(f"[{passage.number}] {passage.id}: {passage.text}")
    for number in answer.unknown:
        print(f"[{number}] names no passage: do not trust what is said there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
