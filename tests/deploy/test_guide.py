"""docs/DEPLOY.md runs: its bash blocks, one after another, with a stand-in for docker; what it names otherwise exists."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.engine import ROOT
from tests.test_docs import blocks, environment

PAGE = ROOT / "docs" / "DEPLOY.md"
TEXT = PAGE.read_text("utf-8")


@pytest.mark.slow
def test_its_commands_run(tmp_path: Path) -> None:
    if not all(map(shutil.which, ("curl", "openssl"))):
        pytest.skip("no curl or no openssl here")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, command in (("docker", "-m tests.deploy.engine"), ("nearfield", "-m nearfield")):
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
        (tools / name).chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    container = tmp_path / "container"
    container.mkdir()
    said = environment()
    said |= {"PATH": f"{tools}:{said['PATH']}", "PYTHONPATH": f"{ROOT}{os.pathsep}{said['PYTHONPATH']}"}
    said |= {"ENGINE_ROOT": str(container), "ENGINE_PORT": str(port), "NEARFIELD_SERVE_MODEL": "hash:64"}  # quicker than minilm
    script = "set -euo pipefail\n" + "\n".join(blocks(PAGE, "bash"))
    script = script.replace("127.0.0.1:8000", f"127.0.0.1:{port}").replace('"minilm"', '"hash:64"')
    try:
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=said, capture_output=True, text=True, timeout=240)
    finally:
        if (container / "pid").exists():
            os.kill(int((container / "pid").read_text()), signal.SIGTERM)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert '"hits":[{' in done.stdout.replace(" ", "")
    assert "overlap" in done.stdout
    assert (tmp_path / "monday").is_dir(), "the copy of the backup"
    assert {p.name for p in (container / "data").iterdir()} == {"database", "backups"}
    assert os.stat(tmp_path / ".env").st_mode & 0o077 == 0, "keys are nobody else's"


def test_the_files_and_targets_that_it_names_are_there() -> None:
    for name in re.findall(r"(?:docker|kubernetes|systemd|tests|examples)/[\w./-]*\w", TEXT):
        if not name.startswith("docker/compose.yaml:") and f"http://{name}" not in TEXT:
            assert (ROOT / name).exists() or (ROOT / name.rstrip(".")).exists(), name
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    assert set(re.findall(r"`make ([a-z-]+)`", TEXT)) <= made
    assert ".env" in (ROOT / ".gitignore").read_text("utf-8").splitlines()


def test_the_variables_and_options_that_it_names_exist() -> None:
    reference = (ROOT / "docs" / "CLI.md").read_text("utf-8")
    for name in re.findall(r"NEARFIELD_SERVE_[A-Z_]*[A-Z]", TEXT):
        assert f"`{name}`" in reference, name
    for name in re.findall(r"`(--[a-z-]+)[ `]", TEXT.partition("## Budgets and tiers")[2].partition("## Backup")[0]):
        assert f"`{name}`" in reference.partition("## serve")[2].partition("\n## ")[0], name


def test_alerts_that_it_names_exist() -> None:
    alerts = (ROOT / "docker" / "alerts.yml").read_text("utf-8")
    for name in re.findall(r"`(Nearfield\w+)`", TEXT):
        assert f"alert: {name}" in alerts
