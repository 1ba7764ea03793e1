"""Runs of letters without spaces as pairs: whatever is asked for inside a run is found, and nothing else is changed."""

from hypothesis import given
from hypothesis import strategies as st

from nearfield.store import bigrams

HAN = "天地玄黄宇宙洪荒日月盈昃"


def test_a_run_becomes_its_pairs_and_its_last_letter() -> None:
    assert bigrams.spaced("天气预报").split() == ["天气", "气预", "预报", "报"]
    assert bigrams.asked("天气预报").split() == ["天气", "气预", "预报"]
    assert bigrams.asked("天").split() == ["天"]


def test_words_around_a_run_stay_words() -> None:
    assert bigrams.spaced("GPU显存8GB").split() == ["GPU", "显存", "存", "8GB"]


def test_kana_hangul_and_thai_are_cut_too() -> None:
    for text in ("カメラ", "검색엔진", "ค้นหา"):
        assert len(bigrams.spaced(text).split()) == len(text)


@given(st.text(alphabet="abc xyzäöé.,!?-'\n0123456789", max_size=80))
def test_other_scripts_pass_unchanged(text: str) -> None:
    assert bigrams.spaced(text) == text
    assert bigrams.asked(text) == text


@given(st.text(alphabet=HAN, min_size=2, max_size=12), st.data())
def test_every_stretch_of_a_run_is_asked_for_by_pairs_that_the_run_has(run: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(run) - 2))
    stop = data.draw(st.integers(start + 2, len(run)))
    indexed = " ".join(bigrams.spaced(run).split())
    asked = " ".join(bigrams.asked(run[start:stop]).split())
    assert f" {asked} " in f" {indexed} "


@given(st.text(alphabet=HAN, min_size=1, max_size=12))
def test_every_letter_begins_a_token(run: str) -> None:
    tokens = bigrams.spaced(run).split()
    assert all(any(token.startswith(letter) for token in tokens) for letter in run)
