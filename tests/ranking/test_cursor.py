"""Page tokens: what is written is read; what is changed, foreign or of another search is refused by name."""

import base64
import re

import numpy as np
import pytest

from nearfield.core.errors import InvalidInput
from nearfield.ranking import cursor
from nearfield.ranking.cursor import Cursor

SECRET, OTHER = b"one collection", b"another one"
ASKED = cursor.digest(["query", 1, None])


def made(**changes: object) -> Cursor:
    values = {"score": float(np.float32(0.1)), "row": 17, "last": 99, "shown": 10, "digest": ASKED, "gaps": ((5, 8), (30, 31))}
    return Cursor(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("score", [0.0, -0.0, 1.0, float(np.float32(-1e30)), float(np.float32(0.3))])
def test_what_is_written_is_read(score: float) -> None:
    for one in (made(score=score), made(row=-1, gaps=())):
        token = cursor.write(one, SECRET)
        assert re.fullmatch(r"[A-Za-z0-9_-]+", token), "safe in a URL"
        assert cursor.read(token, SECRET, ASKED) == one


def test_each_changed_character_is_noticed() -> None:
    token = cursor.write(made(), SECRET)
    for i, letter in enumerate(token):
        other = "A" if letter != "A" else "B"
        changed = token[:i] + other + token[i + 1 :]
        if base64.urlsafe_b64decode(changed + "==") == base64.urlsafe_b64decode(token + "=="):
            continue
        with pytest.raises(InvalidInput, match="after"):
            cursor.read(changed, SECRET, ASKED)


@pytest.mark.parametrize("token", ["", "é", "no token!", "QUJD", 7, b"bytes", "A" * 5000, "AQ"])
def test_what_is_no_token_is_refused(token: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        cursor.read(token, SECRET, ASKED)
    assert refused.value.field == "after"


def test_each_shortened_token_is_refused() -> None:
    token = cursor.write(made(), SECRET)
    for length in range(len(token)):
        with pytest.raises(InvalidInput):
            cursor.read(token[:length], SECRET, ASKED)


def test_a_token_of_another_collection_is_refused() -> None:
    with pytest.raises(InvalidInput, match="another collection"):
        cursor.read(cursor.write(made(), OTHER), SECRET, ASKED)


def test_a_token_of_another_search_is_refused() -> None:
    with pytest.raises(InvalidInput, match="another search"):
        cursor.read(cursor.write(made(digest=cursor.digest(["other"])), SECRET), SECRET, ASKED)


def test_a_token_of_another_version_is_named_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursor, "VERSION", 2)
    token = cursor.write(made(), SECRET)
    monkeypatch.undo()
    with pytest.raises(InvalidInput, match="another version"):
        cursor.read(token, SECRET, ASKED)


def test_order_is_by_score_then_row_among_what_was_there() -> None:
    place = made(score=0.5, row=17, last=99)
    assert place.follows(0.4, 3)
    assert place.follows(0.5, 18)
    assert not place.follows(0.5, 17)
    assert not place.follows(0.6, 18)
    assert not place.follows(0.4, 100), "written since"
    assert not place.follows(0.4, 6), "was being loaded"
    assert place.follows(0.4, 8)


def test_digests_differ_where_questions_do() -> None:
    asked = [["a"], ["a", None], [None, "a"], [b"a"], ["ab"], ["a", "b"], [1], [1.5], [["a"]]]
    assert len({cursor.digest(one) for one in asked}) == len(asked)
