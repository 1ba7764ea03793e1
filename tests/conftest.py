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


@pytest.fixture
def books(db: nf.Database) -> nf.Collection:
    made = db.create("books", embedder="hash:64", fields={"day": "timestamp"})
    made.upsert(
        [
            nf.Document("sea", "the sea moves with the moon", {"year": 1999, "day": "2026-01-01T00:00:00Z"}),
            nf.Document("moon", "the moon and the tides", {"year": 2005}),
            nf.Document("bread", "flour water and salt make bread", {"year": 2020, "tags": ["food"]}),
        ]
    )
    return made


@pytest.fixture
def mine(db: nf.Database) -> nf.Collection:
    made = db.create("mine", embedder=None, dim=4, metric="cosine")
    made.upsert([nf.Document(f"v{i}") for i in range(4)], vectors=3 * np.eye(4, dtype=np.float32))
    return made


SLOW = (
    "benchmarks/",
    "deploy/",
    "device/test_kernel.py",
    "device/test_kmeans.py",
    "doctor/",
    "duplicates/test_joining.py",
    "embed/test_batching.py",
    "embed/test_image.py",
    "embed/test_precision.py",
    "embed/test_rerank.py",
    "embed/test_running.py",
    "examples/",
    "extract/",
    "index/gpu/",
    "index/test_cagra.py",
    "index/test_centroids.py",
    "maintain/test_cloned.py",
    "maintain/test_tier_failures.py",
    "parts/test_killed.py",
    "parts/test_served_page.py",
    "pictures/",
    "reembedding/",
    "serve/test_page_answers.py",
    "serve/test_page_files.py",
    "serve/test_page_likes.py",
    "serve/test_page_pictures.py",
    "serve/test_page_tiers.py",
    "serve/test_tiers.py",
)
"""Files whose tests `make check` leaves out, beside those that are marked one by one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(Path(__file__).parent).as_posix().startswith(SLOW):
            item.add_marker(pytest.mark.slow)
