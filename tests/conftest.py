"""Fixtures shared by all tests: a database in a fresh directory, and small worlds of documents."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf


@pytest.fixture
def db(tmp_path: Path) -> Iterator[nf.Database]:
    with nf.open(tmp_path / "db") as opened:
        yield opened


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261123)
