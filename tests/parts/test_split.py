"""Texts in passages: nothing is lost, nothing is too long, and cuts are where a person would make them."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.parts.sentences import HEADING, spans
from nearfield.parts.split import Piece, split, word_starts

SIGNS = st.sampled_from(list("ab Z.!?。！\n\n\t #-1中ée\u0301\u200d😀\u00a0\r\f\"')"))
TEXTS = st.one_of(st.text(max_size=400), st.text(SIGNS, max_size=400), st.lists(SIGNS.map(lambda c: c * 40)).map("".join))


def sentences_of(text: str) -> list[str]:
    return [text[s.start : s.end] for s in spans(text)]


def passages_of(text: str, tokens: int, overlap: int = 0) -> list[str]:
    return [text[p.start : p.end] for p in split(text, word_starts(text), tokens, overlap)]


def covered(text: str, pieces: list[tuple[int, int]]) -> str:
    seen = np.zeros(len(text), bool)
    for start, end in pieces:
        seen[start:end] = True
    return "".join(c for c, there in zip(text, seen, strict=True) if not there)


@given(TEXTS)
def test_sentences_hold_all_that_is_not_blank_in_order_without_overlap(text: str) -> None:
    found = spans(text)
    assert not covered(text, [(s.start, s.end) for s in found]).strip()
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert all(text[s.start : s.end] == text[s.start : s.end].strip() != "" for s in found)


@settings(max_examples=400)
@given(TEXTS, st.integers(8, 40), st.data())
def test_passages_hold_all_that_is_not_blank_and_are_never_too_long(text: str, tokens: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, (tokens - 1) // 2))
    starts = word_starts(text)
    found = split(text, starts, tokens, overlap)
    assert not covered(text, [(p.start, p.end) for p in found]).strip()
    for piece in found:
        inside = int(((starts >= piece.start) & (starts < piece.end)).sum())
        assert piece.tokens == inside <= tokens
        assert text[piece.start : piece.end].strip()
    for before, after in pairwise(found):
        assert before.start < after.start
        assert before.end < after.end
        assert int(((starts >= after.start) & (starts < before.end)).sum()) <= overlap


@given(st.text(SIGNS, min_size=1, max_size=200), st.integers(8, 20), st.integers(1, 4))
def test_tokens_that_share_a_character_never_stop_it(text: str, tokens: int, each: int) -> None:
    starts = np.repeat(np.arange(len(text)), each)
    found = split(text, starts, tokens, tokens // 4)
    assert not covered(text, [(p.start, p.end) for p in found]).strip()
    assert all(p.tokens <= tokens for p in found)


def test_a_character_of_more_tokens_than_a_passage_may_have_is_a_passage() -> None:
    assert split("ab", np.repeat([0, 1], 20), 8, 2) == [Piece(0, 1, 20), Piece(1, 2, 20)]


def test_a_text_that_fits_is_one_passage() -> None:
    assert passages_of("  One. Two.\n\nThree.  ", 20) == ["One. Two.\n\nThree."]


def test_a_blank_text_has_none() -> None:
    assert passages_of(" \n\t ", 8) == []


def test_sentences_end_at_the_signs_of_many_scripts() -> None:
    assert sentences_of("He left! “Did he?” Yes… So.") == ["He left!", "“Did he?”", "Yes…", "So."]
    assert sentences_of("他走了。「真的吗？」是！好") == ["他走了。", "「真的吗？」", "是！", "好"]
    assert sentences_of("यह है। वह था।") == ["यह है।", "वह था।"]
    assert sentences_of("هل ذهب؟ نعم.") == ["هل ذهب؟", "نعم."]


def test_full_stops_of_abbreviations_initials_and_numbers_end_nothing() -> None:
    for text in (
        "Dr. Smith paid 3.14 dollars.",
        "J. R. R. Tolkien wrote it, e.g. at night, cf. Fig. 3 and No. 7.",
        "See example.com or v1.2.3 of it.",
        "Das gilt z.B. hier.",
        "1. First of all.",
        "They left, etc. and so on.",
    ):
        assert sentences_of(text) == [text]
    assert sentences_of("The answer is no. Next one.") == ["The answer is no.", "Next one."]


def test_headings_are_told_from_sentences() -> None:
    text = "# Markdown\n\nA sentence.\n\nA short line\n\nAnother one.\n\nUnderlined\n---\n\n- an item\n"
    headings = [text[s.start : s.end] for s in spans(text) if s.kind == HEADING]
    assert headings == ["# Markdown", "A short line", "Underlined\n---"]


def test_a_passage_ends_before_a_heading_rather_than_after_it() -> None:
    text = "One two three four five. Six seven.\n\nHeading\n\nEight nine ten eleven twelve thirteen."
    assert passages_of(text, 12) == [
        "One two three four five. Six seven.",
        "Heading\n\nEight nine ten eleven twelve thirteen.",
    ]


def test_a_passage_ends_at_a_paragraph_where_one_is_near() -> None:
    text = "A b c d e f. G h.\n\nI j k. L m n o p q r s t."
    assert passages_of(text, 16) == ["A b c d e f. G h.", "I j k. L m n o p q r s t."]


def test_whole_sentences_are_repeated_and_none_across_a_heading() -> None:
    text = "One two three. Four five. Six seven eight. Nine ten."
    assert passages_of(text, 8, 3) == ["One two three. Four five.", "Four five. Six seven eight.", "seven eight. Nine ten."]
    assert passages_of("One two three four five.\n\n# Next\n\nSix seven.", 8, 3) == [
        "One two three four five.",
        "# Next\n\nSix seven.",
    ]


def test_words_are_repeated_of_a_sentence_that_is_longer_than_the_overlap() -> None:
    text = "One two three four five six seven. Eight nine ten."
    assert passages_of(text, 8, 3) == ["One two three four five six seven.", "six seven. Eight nine ten."]
    assert passages_of("一二三四五六七。八九十。", 9, 3) == ["一二三四五六七。", "六七。八九十。"]


def test_nothing_but_a_sign_is_repeated() -> None:
    assert passages_of("One two three four five six. Seven eight nine.", 8, 1) == [
        "One two three four five six.",
        "Seven eight nine.",
    ]
    assert passages_of("一二三四五六七。八九十。", 9, 1) == ["一二三四五六七。", "八九十。"]


def test_a_long_sentence_is_cut_at_lines_then_words_then_characters() -> None:
    words = " ".join(f"w{i}" for i in range(20))
    assert passages_of(words, 8) == [" ".join(f"w{i}" for i in range(a, min(a + 8, 20))) for a in (0, 8, 16)]
    assert passages_of("a b c d e f\ng h i j k l", 8) == ["a b c d e f", "g h i j k l"]
    assert passages_of("中" * 20, 8) == ["中" * 8, "中" * 8, "中" * 4]


def test_marks_stay_with_their_sign() -> None:
    text = "e\u0301" * 30
    found = split(text, np.arange(len(text)), 9, 0)
    assert all(text[p.start] == "e" for p in found)
