"""Frames arrive whole or not at all, and none is larger than was agreed."""

import io

import pytest

from nearfield.extract import framing


@pytest.mark.parametrize("frame", [b"", b"x", bytes(100_000)])
def test_a_frame_comes_back_and_one_that_is_cut_off_does_not(frame: bytes) -> None:
    file = io.BytesIO()
    framing.send(file, frame)
    whole = file.getvalue()
    assert framing.receive(io.BytesIO(whole), len(frame)) == frame
    for cut in {0, 7, len(whole) - 1} - {len(whole)}:
        assert framing.receive(io.BytesIO(whole[:cut])) is None


def test_a_frame_that_announces_too_much_is_not_waited_for() -> None:
    assert framing.receive(io.BytesIO((1 << 61).to_bytes(8, "little") + b"x"), 1000) is None
