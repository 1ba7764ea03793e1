"""What is printed for people: nothing that a terminal would obey."""

import pytest

from nearfield.cli import show

HOSTILE = "a\x1b]0;owned\x07b\x9bc\r\x7f"


def test_texts_cannot_command_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show.line(HOSTILE)
    show.note(HOSTILE)
    show.pairs({"text": HOSTILE})
    show.table(("id", "text"), [("1", HOSTILE)])
    told = capsys.readouterr()
    for text in (told.out, told.err):
        assert "\\x1b]0;owned\\x07b\\x9bc\\x0d\\x7f" in text
        assert not set(text) & {"\x1b", "\x07", "\x9b", "\r", "\x7f"}


def test_lines_and_letters_stay(capsys: pytest.CaptureFixture[str]) -> None:
    show.line("天气\tÜ\nsecond")
    assert capsys.readouterr().out == "天气\tÜ\nsecond\n"
