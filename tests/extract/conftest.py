import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nearfield.extract.worker import Extractor


@pytest.fixture(scope="session")
def extractor() -> Iterator[Extractor]:
    """One process for all tests that do not end it."""
    with Extractor() as made:
        yield made


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Lets a folder be entered by nobody, root included."""
    there: set[str] = set()
    scan = os.scandir

    def refusing(path: Any = ".") -> Any:
        if os.fspath(path) in there:
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    return lambda path: there.add(str(path))
