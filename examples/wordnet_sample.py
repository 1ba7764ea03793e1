"""Makes the demo's sample from WordNet: 12,000 of its synsets, always the same ones.

Takes a gzipped JSONL file with id, text ("words: gloss"), pos, lexname and n_words on each line, made from WordNet 3.0
(Debian's package wordnet-base). Names of particular places and persons are left out. Which of the rest are kept is decided
by a hash of their ids, so nothing depends on their order, except that synsets of the words in `KEPT` always are.

    python examples/wordnet_sample.py wordnet.jsonl.gz src/nearfield/demo_data/wordnet-sample.jsonl.gz
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from pathlib import Path

SIZE = 12_000
KEPT = [
    "architect",
    "claustrophobia",
    "thermometer",
    "inaudible",
    "violin",
    "viola",
    "cello",
    "harp",
    "guitar",
    "amble",
    "stroll",
    "lighthouse",
    "procrastinate",
    "orphan",
    "umbrella",
    "volcano",
    "insomnia",
    "tide",
    "archipelago",
    "tiny",
    "minute",
    "telescope",
    "compass",
    "glacier",
    "whisper",
    "nostalgia",
    "plagiarist",
    "barber",
    "surgeon",
    "librarian",
    "insomniac",
    "drizzle",
    "avalanche",
]


def sample(source: Path) -> list[dict[str, object]]:
    """The chosen synsets in the order of the source, as rows of id, text, pos, category and words."""
    with gzip.open(source, "rt", encoding="utf-8") as file:
        entries = [json.loads(line) for line in file]
    common = [e for e in entries if e["text"][:1].islower() and not e["text"].startswith("genus ")]
    common.sort(key=lambda e: (not wanted(e), hashlib.blake2b(e["id"].encode(), digest_size=8).digest()))
    chosen = {e["id"] for e in common[:SIZE]}
    return [
        {"id": e["id"], "text": e["text"], "pos": e["pos"], "category": e["lexname"], "words": e["n_words"]}
        for e in entries
        if e["id"] in chosen
    ]


def wanted(entry: dict[str, str]) -> bool:
    """Whether a synset's first word is in `KEPT`."""
    return entry["text"].split(":", 1)[0].split(",")[0] in KEPT


def main() -> None:
    """Reads argv[1], writes argv[2]; the same bytes every time."""
    rows = sample(Path(sys.argv[1]))
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    Path(sys.argv[2]).write_bytes(gzip.compress(lines.encode(), 9, mtime=0))
    print(f"{len(rows):,} synsets")


if __name__ == "__main__":
    main()
