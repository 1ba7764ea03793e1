"""Embedders keep the contract; another model is refused; the real model gives the library's own vectors."""

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield import embed
from nearfield.embed import fingerprint
from nearfield.embed.batching import batches
from nearfield.embed.remote import RemoteEmbedder
from nearfield.testing import EmbedderContract, HashEmbedder


class TestHash(EmbedderContract):
    def embedder(self) -> HashEmbedder:
        return HashEmbedder(32)


@pytest.mark.slow
class TestMiniLM(EmbedderContract):
    def embedder(self):
        return embed.load("minilm")

    def test_vectors_are_the_librarys_own(self) -> None:
        from sentence_transformers import SentenceTransformer

        embedder = self.embedder()
        texts = [f"text number {i} about {'tides ' * (i % 30)}" for i in range(100)]
        theirs = SentenceTransformer(str(embedder.folder)).encode(texts, batch_size=32, show_progress_bar=False)
        assert np.abs(embedder.encode(texts) - theirs).max() < 1e-5

    def test_searching_by_meaning(self, tmp_path: Path) -> None:
        with nf.open(tmp_path / "db") as db:
            words = db.create("words")
            words.upsert([nf.Document("a", "architect: someone who creates plans"), nf.Document("b", "baker: makes bread")])
            assert words.search("a person who designs buildings", k=1).ids == ["a"]


class Server(http.server.BaseHTTPRequestHandler):
    failures = 0

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if Server.failures:
            Server.failures -= 1
            self.send_error(503)
            return
        found = HashEmbedder(16).encode(body["input"])
        data = [{"index": i, "embedding": v.tolist()} for i, v in enumerate(found)][::-1]
        out = json.dumps({"data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_remote_model_is_asked_in_batches_and_again_after_a_failure(url: str) -> None:
    remote = embed.load(f"openai:{url}#m")
    texts = [f"word{i} and word{i + 1}" for i in range(150)]
    Server.failures = 1
    assert np.allclose(remote.encode(texts), HashEmbedder(16).encode(texts), atol=1e-6)
    assert remote.dim == 16
    Server.failures = 99
    with pytest.raises(nf.Overloaded, match="503"):
        RemoteEmbedder(url, "m").encode(["x"])
    Server.failures = 0


def test_batches_cover_each_item_once_under_the_budget() -> None:
    lengths = np.random.default_rng(0).integers(1, 300, 1000).tolist()
    found = list(batches(lengths, 1000, 32))
    assert sorted(i for b in found for i in b) == list(range(1000))
    assert all(len(b) == 1 or len(b) * max(lengths[i] for i in b) <= 1000 for b in found)
    assert all(len(b) <= 32 for b in found)


class Changed(HashEmbedder):
    """The same name and declaration, other vectors: other weights."""

    def encode(self, items, kind="document", progress=None):
        return np.ascontiguousarray(super().encode(items, kind)[:, ::-1])


def test_another_model_is_refused(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        db.create("c", embedder="hash:32").upsert([nf.Document("a", "one")])
    with nf.open(tmp_path / "db") as db:
        with pytest.raises(nf.ModelMismatch, match="dim 32"):
            db.get("c", embedder=HashEmbedder(16))
        with pytest.raises(nf.ModelMismatch, match="salt"):
            db.get("c", embedder=HashEmbedder(32, "other"))
        with pytest.raises(nf.ModelMismatch, match="other vectors"):
            db.get("c", embedder=Changed(32)).search("one")
        assert db.get("c", embedder=HashEmbedder(32)).search("one").ids == ["a"]


def test_another_hash_with_the_same_vectors_is_accepted() -> None:
    stored = fingerprint.take(HashEmbedder(16))
    now = fingerprint.Fingerprint({**stored.declared, "weights": "other"}, stored.probes)
    assert fingerprint.compare_probes(stored, now) is False


@pytest.mark.parametrize("name", ["", 5, "openai:nowhere", "hash:1", "hash:99999"])
def test_bad_names(name) -> None:
    with pytest.raises(nf.InvalidInput, match="embedder"):
        embed.load(name)


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"hidden_size": 8}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(nf.NotFound, match="safetensors"):
        embed.load(str(tmp_path)).encode(["x"])


def test_a_vector_query_loads_no_model(tmp_path: Path) -> None:
    script = """
import sys, numpy as np, nearfield as nf
with nf.open(sys.argv[1]) as db:
    c = db.create("c")
    c.upsert([nf.Document("a", "text")], vectors=np.ones((1, 384)))
    assert c.search(vector=np.ones(384)).ids == ["a"]
    assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "db")], check=True)
