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

    def test_odd_texts_give_the_librarys_own_vectors(self) -> None:
        from sentence_transformers import SentenceTransformer

        embedder = self.embedder()
        texts = ["", "   ", "  space around\n", "LOUD", "é\u0301 鸟在唱歌 🐦", "[SEP] [CLS] [PAD]", "a\x00b", "long " * 3000]
        theirs = SentenceTransformer(str(embedder.folder)).encode(texts, batch_size=32, show_progress_bar=False)
        assert np.abs(embedder.encode(texts) - theirs).max() < 1e-5

    def test_a_query_does_not_wait_for_a_bulk(self) -> None:
        embedder = self.embedder()
        embedder.encode(["warm"])
        done: list[str] = []
        first = threading.Event()

        def bulk() -> None:
            embedder.encode(["tides of the sea " * 20] * 600, progress=lambda *_: first.set())
            done.append("bulk")

        thread = threading.Thread(target=bulk)
        thread.start()
        assert first.wait(60)
        embedder.encode(["a query"], kind="query")
        done.append("query")
        thread.join()
        assert done == ["query", "bulk"]

    def test_searching_by_meaning(self, tmp_path: Path) -> None:
        with nf.open(tmp_path / "db") as db:
            words = db.create("words")
            words.upsert([nf.Document("a", "architect: someone who creates plans"), nf.Document("b", "baker: makes bread")])
            assert words.search("a person who designs buildings", k=1).ids == ["a"]


def small_model(folder: Path, *, prompts=None, include_prompt=True, modes="mean", dense=None) -> None:
    """A transformer of random weights with MiniLM's tokenizer, saved in `folder`."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(str(embed.load("minilm").folder))
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(folder / "bare")
    tokenizer.save_pretrained(folder / "bare")
    modules = [Transformer(str(folder / "bare")), Pooling(16, pooling_mode=modes, include_prompt=include_prompt)]
    if dense is not None:
        modules.append(Dense(modules[1].get_embedding_dimension(), dense))
    SentenceTransformer(modules=modules, prompts=prompts, device="cpu").save(str(folder / "model"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"prompts": {"query": "query: ", "document": "passage: "}},
        {"prompts": {"query": "query: ", "document": "passage: "}, "include_prompt": False},
        {"modes": ("cls", "max")},
        {"modes": ("cls", "mean"), "dense": 5},
    ],
)
def test_models_of_every_shape_give_the_librarys_own_vectors(tmp_path: Path, shape) -> None:
    from sentence_transformers import SentenceTransformer

    small_model(tmp_path, **shape)
    embedder = embed.load(str(tmp_path / "model"))
    library = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    texts = ["tides", "the moon and " * 9, "birds " * 600]
    for kind, encode in (("query", library.encode_query), ("document", library.encode_document)):
        found = embedder.encode(texts, kind=kind)
        assert found.shape == (3, embedder.dim)
        assert np.abs(found - encode(texts, show_progress_bar=False)).max() < 1e-5


def test_a_folder_is_stored_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"hidden_size": 8}')
    monkeypatch.chdir(tmp_path)
    assert embed.load("model").name == str((tmp_path / "model").resolve())
    assert embed.load("model").dim == 8


class Server(http.server.BaseHTTPRequestHandler):
    failures = 0
    answer: bytes | None = None

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if Server.failures:
            Server.failures -= 1
            self.send_error(503)
            return
        found = HashEmbedder(16).encode(body["input"])
        data = [{"index": i, "embedding": v.tolist()} for i, v in enumerate(found)][::-1]
        out = Server.answer or json.dumps({"data": data}).encode()
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
    Server.failures, Server.answer = 0, None
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


def test_a_remote_model_keeps_the_contract(url: str) -> None:
    class Remote(EmbedderContract):
        def embedder(self) -> RemoteEmbedder:
            return RemoteEmbedder(url, "m")

    for name in [name for name in dir(Remote) if name.startswith("test_")]:
        getattr(Remote(), name)()


@pytest.mark.parametrize(
    "answer",
    [
        b"not json",
        b"[]",
        b'{"data": []}',
        b'{"data": [{"index": 0}]}',
        b'{"data": [{"index": 1, "embedding": [1, 2]}]}',
        b'{"data": [{"index": 0, "embedding": [NaN, 1]}]}',
        b'{"data": [{"index": 0, "embedding": "AACAPw=="}]}',
    ],
)
def test_a_remote_answer_of_another_form_is_refused(url: str, answer: bytes) -> None:
    Server.answer = answer
    with pytest.raises(nf.NearfieldError, match="did not"):
        RemoteEmbedder(url, "m").encode(["x"])


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


def test_the_same_directions_with_other_lengths_are_another_model() -> None:
    stored = fingerprint.take(HashEmbedder(16))
    with pytest.raises(nf.ModelMismatch, match="other lengths"):
        fingerprint.compare_probes(stored, fingerprint.Fingerprint(stored.declared, stored.probes * 3))
    assert fingerprint.compare_probes(stored, fingerprint.Fingerprint(stored.declared, stored.probes * 1.001))


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
