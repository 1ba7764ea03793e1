"""A served database and a client that speaks to it without a network."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import nearfield as nf
from nearfield.serve.app import make
from nearfield.serve.keys import Keys
from nearfield.serve.limits import Limits
from nearfield.serve.service import Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with nf.open(tmp_path / "db") as database:
        made = Service(database, Limits(), models=("hash:32",), backups=tmp_path / "backups", recall_share=0)
        yield made
        made.close()


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    with TestClient(make(service, Keys()), "http://localhost", raise_server_exceptions=False) as found:
        yield found


@pytest.fixture
def books(client: TestClient) -> TestClient:
    """A client with a collection of three books."""
    assert client.post("/v1/collections", json={"name": "books", "embedder": "hash:32"}).status_code == 201
    documents = [
        {"id": "sea", "text": "the sea moves with the moon", "metadata": {"year": 1999}},
        {"id": "moon", "text": "the moon and the tides", "metadata": {"year": 2005}},
        {"id": "a/b?c", "text": "flour water and salt make bread", "metadata": {"year": 2020}},
    ]
    answer = client.post("/v1/collections/books/documents", json={"documents": documents})
    assert answer.json()["added"] == 3
    return client
