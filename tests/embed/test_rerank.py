"""Rerankers score as the reference implementation does; a URL is asked within bounds; what is no cross-encoder is refused."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import nearfield as nf
from nearfield import embed
from nearfield.embed import crossencoder, rerank_remote
from nearfield.embed.rerank_remote import RemoteReranker
from tests.embed.crossencoders import tiny

QUERY = "what moves the tides?"
TEXTS = [
    "The pull of the moon moves the sea twice a day.",
    "",
    "bread",
    "é 鸟在唱歌 🐦 [SEP] [CLS]",
    "tides " * 300,
    *(f"text number {i} about {'the sea and ' * (i % 9)} birds" for i in range(90)),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("labels", "activation"),
    [(1, None), (1, "torch.nn.modules.linear.Identity"), (1, "torch.nn.modules.activation.Sigmoid"), (2, None)],
)
def test_scores_are_the_reference_implementations_own(tmp_path: Path, labels: int, activation: str | None) -> None:
    from sentence_transformers import CrossEncoder

    folder = tiny(tmp_path / "model", labels, activation)
    reranker = embed.load_reranker(str(folder))
    told: list[tuple[int, int | None]] = []
    found = reranker.score(QUERY, TEXTS, progress=lambda done, of: told.append((done, of)))
    theirs = CrossEncoder(str(folder), device="cpu").predict(
        [(QUERY, text) for text in TEXTS], batch_size=7, apply_softmax=labels == 2, show_progress_bar=False
    )
    expected = theirs[:, 1] if labels == 2 else theirs
    assert found.dtype == np.float32
    assert np.ptp(expected) > 0.1
    assert np.abs(found - expected).max() < 1e-5
    assert told[-1] == (len(TEXTS), len(TEXTS))
    assert told == sorted(told)
    assert reranker.name == str(folder.resolve())


@pytest.mark.slow
def test_a_pair_that_is_too_long_loses_the_end_of_its_longer_side_and_is_counted(tmp_path: Path) -> None:
    reranker = embed.load_reranker(str(tiny(tmp_path / "model", positions=32)))
    before = reranker.describe()
    assert (before["loaded"], before["max_tokens"]) == (False, None)
    long = "sea " * 200
    a, b = reranker.score("the moon", [long, long + "moon " * 50])
    assert a == b
    after = reranker.describe()
    assert (after["loaded"], after["max_tokens"], after["cut"], after["device"]) == (True, 32, 2, "cpu")
    assert len(reranker.score("moon " * 200, ["sea"])) == 1
    assert reranker.describe()["cut"] == 3
    assert reranker.score("moon", []).shape == (0,)


@pytest.mark.slow
def test_batches_do_not_change_scores_and_are_halved_where_they_find_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reranker = embed.load_reranker(str(tiny(tmp_path / "model")), device="cpu")
    whole = reranker.score(QUERY, TEXTS)
    sizes: list[int] = []
    forward = crossencoder._forward

    def cramped(placed: Any, encoded: list[Any]) -> Any:
        if len(encoded) > 5:
            raise MemoryError
        sizes.append(len(encoded))
        return forward(placed, encoded)

    monkeypatch.setattr(crossencoder, "_forward", cramped)
    monkeypatch.setattr(crossencoder, "STRETCH", 40)
    assert np.abs(reranker.score(QUERY, TEXTS) - whole).max() < 1e-5
    assert max(sizes) <= 5


@pytest.mark.slow
def test_a_device_that_is_lost_is_left_for_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny(tmp_path / "model")
    expected = embed.load_reranker(str(folder), device="cpu").score(QUERY, TEXTS[:3])
    load, forward = crossencoder._load, crossencoder._forward
    monkeypatch.setattr(crossencoder.text, "place", lambda wanted: ("cuda:0", "a card is said to be there"))
    monkeypatch.setattr(crossencoder, "_budget", lambda placed, longest: (2048, 64))

    def loaded(folder: Path, device: str, why: str) -> crossencoder.Placed:
        made = load(folder, "cpu", why)
        return crossencoder.Placed(made.loaded, made.limit, made.shape, made.raw, device, why)

    def lost(placed: Any, encoded: list[Any]) -> Any:
        if placed.device != "cpu":
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return forward(placed, encoded)

    monkeypatch.setattr(crossencoder, "_load", loaded)
    monkeypatch.setattr(crossencoder, "_forward", lost)
    reranker = embed.load_reranker(str(folder))
    assert np.abs(reranker.score(QUERY, TEXTS[:3]) - expected).max() < 1e-6
    assert reranker.describe()["device"] == "cpu"
    assert "cuda:0 failed" in reranker.describe()["device_reason"]


@pytest.mark.slow
def test_weights_that_are_not_in_the_file_are_never_made_up(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(nf.Corrupt, match=r"classifier\.weight"):
        embed.load_reranker(str(folder)).score(QUERY, ["a"])


def config(folder: Path, **values: object) -> str:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(values))
    return str(folder)


def test_an_embedder_is_no_reranker(tmp_path: Path) -> None:
    with pytest.raises(nf.InvalidInput, match="cannot rerank"):
        embed.load_reranker(config(tmp_path / "m", architectures=["BertModel"]))
    with pytest.raises(nf.InvalidInput, match="one label or two"):
        embed.load_reranker(
            config(tmp_path / "n", architectures=["BertForSequenceClassification"], id2label={"0": "a", "1": "b", "2": "c"})
        )


def test_a_folder_without_a_model_or_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(nf.NotFound, match=r"config\.json"):
        embed.load_reranker(str(tmp_path / "empty"))
    folder = config(tmp_path / "m", architectures=["BertForSequenceClassification"], num_labels=1)
    (Path(folder) / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(nf.NotFound, match="safetensors"):
        embed.load_reranker(folder).score(QUERY, ["a"])
    (Path(folder) / "config.json").write_text("{")
    with pytest.raises(nf.Corrupt, match="not JSON"):
        embed.load_reranker(folder)


@pytest.mark.parametrize("name", ["", "  ", None, 3, "jina:ftp://a#m", "jina:http://a", "cohere:a#b", "tei:", "tei:a"])
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(nf.InvalidInput, match="rerank"):
        embed.load_reranker(name)


def test_the_overlap_of_words_needs_no_model() -> None:
    found = embed.load_reranker("overlap").score("The moon, the SEA", ["moon", "the sea and the moon", ""])
    assert found.tolist() == pytest.approx([1 / 3, 1, 0])


class Server(http.server.BaseHTTPRequestHandler):
    """Scores a text by its length; what it was asked is kept."""

    asked: ClassVar[list[tuple[str, dict[str, Any], str | None]]] = []
    answer: bytes | None = None
    statuses: ClassVar[list[int]] = []
    drip = 0.0

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Server.asked.append((self.path, body, self.headers.get("Authorization")))
        if Server.statuses:
            self.send_error(Server.statuses.pop())
            return
        texts = body.get("documents") or body.get("texts")
        rows: Any = [{"index": i, "relevance_score": len(t) / 7} for i, t in enumerate(texts)][::-1]
        if "texts" in body:
            rows = [{"index": r["index"], "score": r["relevance_score"]} for r in rows]
        out = Server.answer or json.dumps(rows if "texts" in body else {"results": rows}).encode()
        self.send_response(200)
        self.end_headers()
        try:
            for start in range(0, len(out), 65536):
                self.wfile.write(out[start : start + 65536])
                time.sleep(Server.drip)
        except OSError:
            pass

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    Server.asked, Server.answer, Server.statuses, Server.drip = [], None, [], 0.0
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("form", ["jina", "cohere", "tei"])
def test_a_url_is_asked_in_its_form_in_bounded_requests(url: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARFIELD_RERANK_API_KEY", "secret")
    texts = ["x" * (i % 40) for i in range(150)]
    reranker = embed.load_reranker(f"{form}:{url}" + ("" if form == "tei" else "#m"))
    assert np.allclose(reranker.score("q", texts), [len(t) / 7 for t in texts])
    assert [len(b.get("documents") or b["texts"]) for _, b, _ in Server.asked] == [64, 64, 22]
    path, body, key = Server.asked[0]
    assert (path, key, body["query"]) == ("/v1/rerank", "Bearer secret", "q")
    assert (body.get("model"), body.get("top_n")) == ((None, None) if form == "tei" else ("m", 64))
    assert "secret" not in reranker.name


def test_long_texts_go_in_requests_of_their_own(url: str) -> None:
    texts = ["a" * 300_000, "b" * 300_000, "c"]
    assert np.allclose(RemoteReranker("jina", url, "m").score("q", texts), [len(t) / 7 for t in texts])
    assert [len(b["documents"]) for _, b, _ in Server.asked] == [1, 2]


def test_a_busy_server_is_asked_again_and_a_refusal_is_told(url: str) -> None:
    Server.statuses = [429, 503]
    assert len(RemoteReranker("jina", url, "m").score("q", ["a"])) == 1
    Server.statuses = [503] * 9
    with pytest.raises(nf.Overloaded, match="503"):
        RemoteReranker("jina", url, "m").score("q", ["a"])
    Server.statuses = [401]
    with pytest.raises(nf.NearfieldError, match="401"):
        RemoteReranker("jina", url, "m").score("q", ["a"])


def test_a_server_that_is_not_there_or_too_slow_is_given_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerank_remote, "TRIES", 1)
    with pytest.raises(nf.Overloaded, match="ConnectError"):
        RemoteReranker("jina", "http://127.0.0.1:9", "m").score("q", ["a"])
    monkeypatch.setattr(rerank_remote, "TIMEOUT", 0.2)
    Server.answer, Server.drip = b" " * 1_000_000, 0.05
    with pytest.raises(nf.Overloaded, match="too long"):
        RemoteReranker("jina", url, "m").score("q", ["a"])


@pytest.mark.parametrize(
    "answer",
    [
        b"not json",
        b"3",
        b"{}",
        b'{"results": []}',
        b'{"results": [{"index": 0}]}',
        b'{"results": [{"index": 1, "relevance_score": 1}]}',
        b'{"results": [{"index": 0, "relevance_score": 1}, {"index": 0, "relevance_score": 2}]}',
        b'{"results": [{"index": 0, "relevance_score": NaN}]}',
        b'{"results": [{"index": 0, "relevance_score": "1"}]}',
        b'{"results": [{"index": 0, "relevance_score": true}]}',
        b"[" * 100_000,
    ],
)
def test_an_answer_of_another_form_is_refused(url: str, answer: bytes) -> None:
    Server.answer = answer
    with pytest.raises(nf.NearfieldError, match="did not answer in the form"):
        RemoteReranker("jina", url, "m").score("q", ["x"])


def test_an_answer_that_is_too_large_is_not_read_to_its_end(url: str) -> None:
    Server.answer = b" " * 3_000_000
    with pytest.raises(nf.NearfieldError, match="too much"):
        RemoteReranker("jina", url, "m").score("q", ["x"])
