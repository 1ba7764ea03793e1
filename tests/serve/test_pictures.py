"""Pictures over HTTP: written, searched with, shown; within limits; no path is ever opened."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import nearfield as nf
from nearfield.remote import packing
from nearfield.remote.database import RemoteDatabase
from nearfield.serve.app import make
from nearfield.serve.keys import Keys
from nearfield.serve.limits import Limits
from nearfield.serve.service import Service
from tests.pictures.test_collection import colours, is_of, png
from tests.pictures.test_decoding import bomb

HERE = "/v1/collections/pics"


def packed(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.fixture
def service(tmp_path: Path):
    limits = Limits(image=100_000, pixels=1_000_000)
    with nf.open(tmp_path / "db") as database:
        made = Service(database, limits, models=("pixels:4", "hash:32"), recall_share=0)
        yield made
        made.close()


@pytest.fixture
def client(service: Service):
    with TestClient(make(service, Keys()), "http://localhost", raise_server_exceptions=False) as found:
        assert found.post("/v1/collections", json={"name": "pics", "embedder": "pixels:4"}).status_code == 201
        documents = [{"id": f"a/p{i}.png", "image": packed(png(i)), "metadata": {"i": i}} for i in range(12)]
        answer = found.post(f"{HERE}/documents", json={"documents": documents})
        assert answer.json()["added"] == 12, answer.text
        yield found


def test_a_picture_is_searched_with_and_explained(client: TestClient) -> None:
    answer = client.post(f"{HERE}/search", json={"image": packed(png(7, (80, 60))), "k": 3, "filter": {"i": {"$gt": 2}}})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["hits"][0]["id"] == "a/p7.png"
    assert found["hits"][0]["score"] > 0.99
    assert found["took"]["embed"] > 0
    why = client.post(f"{HERE}/explain", json={"image": packed(png(7)), "id": "a/p3.png"})
    assert why.status_code == 200, why.text
    assert "a/p3.png" in why.json()["text"]


def test_thumbnails_are_shown(client: TestClient) -> None:
    answer = client.get(f"{HERE}/thumbnails/a%2Fp5.png")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert is_of(answer.content, 5)
    assert client.get(f"{HERE}/thumbnails/a/p5.png").content == answer.content
    assert client.get(f"{HERE}/thumbnails/none").status_code == 404
    client.post("/v1/collections", json={"name": "words", "embedder": "hash:32"})
    client.post("/v1/collections/words/documents", json={"documents": [{"id": "a", "text": "the sea"}]})
    without = client.get("/v1/collections/words/thumbnails/a")
    assert (without.status_code, without.content) == (204, b"")


def test_collections_say_what_they_take(client: TestClient) -> None:
    client.post("/v1/collections", json={"name": "words", "embedder": "hash:32"})
    client.post("/v1/collections", json={"name": "brought", "dim": 3})
    told = {c["name"]: c.get("takes", []) for c in client.get("/v1/collections").json()["collections"]}
    assert told == {"pics": ["image"], "words": ["text"], "brought": []}


def refused(answer, code: str) -> dict:
    assert answer.status_code in (400, 413, 422), answer.text
    found = answer.json()["error"]
    assert found["code"] == code, found
    return found


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("/etc/passwd", "base64|not a picture"),
        ("file:///etc/passwd", "base64"),
        ("http://localhost/a.png", "base64"),
        ("not base64!", "base64"),
        (packed(b"/etc/passwd"), "not a picture"),
        (packed(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "not a picture"),
        (packed(png(1)[:100]), "broken"),
        (packed(bomb(60_000, 60_000)), "too many pixels"),
        (packed(bomb(1001, 1000)), "more than this server allows"),
        (packed(b"x" * 100_001), "more than this server allows"),
        ("", "not a picture"),
    ],
)
def test_what_is_no_picture_or_too_large_is_refused(client: TestClient, image: str, said: str) -> None:
    import re

    found = refused(client.post(f"{HERE}/search", json={"image": image}), "invalid_input")
    assert re.search(said, found["message"]), found
    assert found["field"] == "image"
    body = {"documents": [{"id": "good", "image": packed(png(1))}, {"id": "bad", "image": image}]}
    found = refused(client.post(f"{HERE}/documents", json=body), "invalid_input")
    assert client.post(f"{HERE}/count", json={}).json()["count"] == 12


def test_a_path_is_not_opened_even_where_it_is_base64(client: TestClient, tmp_path: Path) -> None:
    """A path whose letters are base64 too: it is decoded to bytes, and never opened."""
    place = Path("/tmp/aaa")
    made = not place.exists()
    if made:
        place.write_bytes(png(3))
    try:
        refused(client.post(f"{HERE}/search", json={"image": str(place)}), "invalid_input")
    finally:
        if made:
            place.unlink()


def test_mixed_questions_and_wrong_models_are_refused(client: TestClient) -> None:
    image = packed(png(1))
    refused(client.post(f"{HERE}/search", json={"image": image, "vector": [0.0] * 49}), "invalid_input")
    refused(client.post(f"{HERE}/search", json={"image": image, "id": "a/p1.png"}), "invalid_input")
    assert "pictures only" in refused(client.post(f"{HERE}/search", json={"query": "the sea"}), "invalid_input")["message"]
    client.post("/v1/collections", json={"name": "words", "embedder": "hash:32"})
    found = refused(client.post("/v1/collections/words/search", json={"image": image}), "invalid_input")
    assert "takes texts only" in found["message"]
    refused(client.post("/v1/collections", json={"name": "x", "embedder": "openai/clip-vit-base-patch32"}), "invalid_input")


def test_a_stream_names_broken_pictures_and_writes_the_rest(client: TestClient) -> None:
    lines = [{"id": f"s{i}", "image": packed(png(40 + i) if i != 2 else png(40)[:90])} for i in range(5)]
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    told = client.post(f"{HERE}/documents", content=content, headers={"content-type": "application/x-ndjson"}).json()
    assert (told["added"], told["failed"]) == (4, 1)
    assert told["errors"][0]["line"] == 3


def test_a_server_is_warm_with_models_of_pictures(service: Service, client: TestClient) -> None:
    service.warming.run()
    assert service.warming.ready() == (True, {"warm": 1, "waiting": 0, "failed": 0})


def test_a_remote_collection_does_the_same(client: TestClient, tmp_path: Path) -> None:
    db = RemoteDatabase.__new__(RemoteDatabase)
    db._client = client
    pics = db["pics"] if hasattr(RemoteDatabase, "__getitem__") else db.get("pics")
    assert pics.takes == ("image",)
    path = tmp_path / "seven.png"
    path.write_bytes(png(7))
    for image in (path, str(path), png(7), colours(7), Image.fromarray(colours(7))):
        assert pics.search(image=image, k=1).ids == ["a/p7.png"]
    pics.upsert([nf.Document("new", "beside", {"x": 1}, image=path)])
    assert is_of(pics.thumbnail("new"), 7)
    assert pics.get("new").text == "beside"
    with pytest.raises(nf.NotFound):
        pics.thumbnail("none")
    with pytest.raises(nf.InvalidInput, match="broken"):
        pics.search(image=png(1)[:90])
    assert packing.picture(np.zeros((2, 2, 3), np.uint8), "image").startswith("iVBOR")
