"""A model of MiniLM's sizes with random weights, and texts for it, where there are none: as quick, not as wise.

What a model computes does not change how long it takes; only its shape and the lengths of texts do. Used by `embed`, which then
says in its result that the weights were random.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

from benchmarks.common import DATA

WORDS = 8000
"""Words of made texts; each is one token of the made model."""


def texts(count: int, seed: int) -> tuple[list[str], str]:
    """`count` texts and where they are from: WordNet's glosses over and over where the file is there, else made up."""
    path = DATA / "wordnet.jsonl.gz"
    if path.exists():
        with gzip.open(path, "rt", encoding="utf-8") as file:
            found = [json.loads(row)["text"] for row in file]
        order = np.random.default_rng(seed).permutation(len(found))
        return [found[order[i % len(found)]] for i in range(count)], f"WordNet, {len(found):,} texts"
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(2.6, 0.6, count), 3, 120).astype(int)
    return [" ".join(f"w{w}" for w in rng.integers(0, WORDS, n)) for n in lengths], "made up, about as long as WordNet's"


def made(folder: Path, layers: int = 6, hidden: int = 384, heads: int = 12) -> Path:
    """Writes a sentence-transformers model with random weights into a folder; by default of all-MiniLM-L6-v2's sizes."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    place = folder / "model"
    (place / "1_Pooling").mkdir(parents=True)
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'\"()-/"]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    pieces += [f"w{i}" for i in range(WORDS)]
    pieces += [f"[unused{i}]" for i in range(30_522 - len(pieces))]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
    )
    BertModel(config).save_pretrained(place)
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(place)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    named = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(modules)
    ]
    (place / "modules.json").write_text(json.dumps(named))
    (place / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 256, "do_lower_case": False}))
    pooling = {"word_embedding_dimension": hidden, "pooling_mode_mean_tokens": True}
    (place / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return place
