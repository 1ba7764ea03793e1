"""A file is a room: none above 400 lines."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MOST = 400


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks", "examples"])
def test_no_file_is_longer_than_400_lines(folder: str) -> None:
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MOST
    }
    assert not long, f"split by responsibility: {long}"
