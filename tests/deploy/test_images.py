"""The Dockerfiles: what can be known of an image without building it. `make docker-check` resolves what they install."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from nearfield.cli.main import build, check_environment
from tests.deploy.engine import DOCKER, ROOT, Image, check

FILES = sorted(path for path in DOCKER.glob("Dockerfile*"))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
named = pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)


@pytest.fixture
def file(path: Path) -> Any:
    return check().Dockerfile.read(path)


@named
def test_hadolint_finds_nothing(path: Path) -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("no hadolint here")
    done = subprocess.run([hadolint, "-c", DOCKER / ".hadolint.yaml", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@named
def test_bases_are_pinned_and_known_to_the_check(file: Any) -> None:
    for base in file.bases:
        assert re.search(r":\d+\.\d+", base), "a version, never latest"
        assert base in check().BASES


@named
def test_what_is_copied_is_there_and_reaches_the_builder(file: Any) -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in ignored
    for source in file.sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in ignored
        assert not any(fnmatch.fnmatch(source, line) for line in ignored if not line.startswith(("!", "#")) and line != "*")


@named
def test_extras_are_there_and_faiss_is_one(path: Path, file: Any) -> None:
    for arguments in file.installs():
        assert "--no-cache-dir" in arguments
        for extras in re.findall(r"/src\[([\w,]+)\]", " ".join(arguments)):
            assert set(extras.split(",")) <= EXTRAS.keys()
            assert ("gpu" in extras.split(",")) == (path.suffix == ".gpu")
            assert ("cpu" in extras.split(",")) != (path.suffix == ".gpu")


@named
def test_it_is_not_root_and_leaves_nothing_behind(path: Path, file: Any) -> None:
    words = [word for word, _ in file.instructions]
    last = max(i for i, word in enumerate(words) if word == "FROM")
    stage = file.instructions[last:]
    assert "ADD" not in words
    users = [i for i, (word, rest) in enumerate(stage) if word == "USER" and re.fullmatch(r"[1-9]\d+:[1-9]\d+", rest)]
    assert users
    assert users[-1] < [word for word, _ in stage].index("ENTRYPOINT"), "a number, so that Kubernetes can tell who it is"
    for rest in file.all("RUN"):
        if "apt-get install" in rest:
            assert "--no-install-recommends" in rest
            assert "rm -rf /var/lib/apt/lists/*" in rest
    assert file.all("STOPSIGNAL") == ["SIGTERM"]


@named
def test_what_is_written_goes_where_it_may(path: Path, file: Any) -> None:
    """Homes and caches are on volumes: the root file system is read-only."""
    volumes = set(re.findall(r"/\w+", " ".join(file.all("VOLUME"))))
    assert {"/data", "/cache"} <= volumes
    environment = Image.read(path).environment
    homes = ["HOME", "XDG_CACHE_HOME", "HF_HOME", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"]
    for name in [*homes, *(["CUDA_CACHE_PATH"] if path.suffix == ".gpu" else [])]:
        assert environment[name].startswith("/cache"), name


@named
def test_its_command_and_variables_mean_something(path: Path) -> None:
    image = Image.read(path)
    check_environment(build(), image.environment)
    command = typer.main.get_command(build()).commands  # type: ignore[attr-defined]
    assert image.entrypoint == ["nearfield"]
    assert image.command[0] == "serve" in command
    assert image.environment["NEARFIELD_SERVE_HOST"] == "0.0.0.0"
    assert "/readyz" in " ".join(image.health)


def test_both_images_are_served_alike() -> None:
    first, second = (Image.read(path) for path in FILES)
    assert (first.entrypoint, first.command, first.health) == (second.entrypoint, second.command, second.health)
    assert {k: second.environment.get(k) for k in first.environment} == first.environment


def test_torch_of_the_base_is_the_one_that_is_tested() -> None:
    (base,) = set(check().Dockerfile.read(DOCKER / "Dockerfile.gpu").bases)
    tested = re.search(r"^torch==(.*)$", (ROOT / "constraints.txt").read_text("utf-8"), re.M)[1]
    assert base.partition(":")[2].startswith(f"{tested}-cuda12.")
    assert check().BASES[base].given["torch"].startswith(f"{tested}+cu12")


def test_the_unit_s_options_exist() -> None:
    options = {o for p in typer.main.get_command(build()).commands["serve"].params for o in p.opts}  # type: ignore[attr-defined]
    unit = (ROOT / "systemd/nearfield.service").read_text("utf-8")
    assert set(re.findall(r"(--[a-z-]+)", re.search(r"ExecStart=.*", unit)[0])) <= options
