"""A stand-in for `docker compose`: what its commands would run in the service's container, run as plain processes.

The image is read from its Dockerfile (ENV, ENTRYPOINT, CMD, HEALTHCHECK), the service from the compose files that COMPOSE_FILE
names; /data and /cache are folders of ENGINE_ROOT, the published port is ENGINE_PORT. Knows no image: the packages are
those of the interpreter that runs it. `python -m tests.deploy.engine compose up -d --wait` and the like.
"""

import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"


def check() -> ModuleType:
    """docker/check.py, which is no package."""
    name = "docker_check"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, DOCKER / "check.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def merged(one: Any, other: Any) -> Any:
    """Two compose files as one: mappings key by key, otherwise the other's."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {**one, **{key: merged(one.get(key), value) for key, value in other.items()}}
    return one if other is None and one is not None else other


def project(files: str) -> dict[str, Any]:
    """What the files of COMPOSE_FILE say together."""
    found: dict[str, Any] = {}
    for name in files.split(":"):
        found = merged(found, yaml.safe_load((ROOT / name).read_text(encoding="utf-8")))
    return found


@dataclass(frozen=True)
class Image:
    """What a Dockerfile says of the containers that are made of it: of its last stage where stages differ."""

    environment: dict[str, str]
    entrypoint: list[str]
    command: list[str]
    health: list[str]

    @classmethod
    def read(cls, path: Path) -> "Image":
        file = check().Dockerfile.read(path)
        pairs = [word.split("=", 1) for rest in file.all("ENV") for word in shlex.split(rest)]
        health = file.all("HEALTHCHECK")[-1].partition("CMD ")[2]
        return cls(dict(pairs), json.loads(file.all("ENTRYPOINT")[-1]), json.loads(file.all("CMD")[-1]), json.loads(health))


@dataclass(frozen=True)
class Container:
    """A service's container as processes: its environment and its files below a folder."""

    image: Image
    environment: dict[str, str]
    root: Path
    port: int

    @classmethod
    def of(cls, service: dict[str, Any], outside: dict[str, str], root: Path, port: int) -> "Container":
        image = Image.read(ROOT / service["build"]["dockerfile"])
        given = {}
        for name, value in service["environment"].items():
            if value is None and name in outside:
                given[name] = outside[name]
            elif value is not None:
                wanted = re.fullmatch(r"\$\{(\w+):\?[^}]*\}", value)
                given[name] = outside[wanted[1]] if wanted else value
        return cls(image, {**image.environment, **given}, root, port)

    def inside(self, text: str) -> str:
        """A path of the container as one of this machine."""
        return re.sub(r"(^|=)/(data|cache|tmp)\b", rf"\1{self.root}/\2", text)

    def variables(self) -> dict[str, str]:
        """The container's environment, and no other, but for how this machine finds Python, and its own address."""
        mine = {key: self.inside(value) for key, value in self.environment.items() if key != "PATH"}
        place = {"NEARFIELD_SERVE_HOST": "127.0.0.1", "NEARFIELD_SERVE_PORT": str(self.port), "TMPDIR": f"{self.root}/tmp"}
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), **mine, **place}

    def words(self, command: list[str]) -> list[str]:
        program = {"nearfield": [sys.executable, "-m", "nearfield"], "python": [sys.executable]}.get(command[0], [command[0]])
        return [*program, *(self.inside(word) for word in command[1:])]

    def run(self, command: list[str]) -> int:
        return subprocess.run(self.words(command), env=self.variables(), cwd=self.root / "data").returncode

    def start(self, before: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """The entry command with the image's own arguments, after those of `before`; its log goes to a file."""
        for name in ("data", "cache", "tmp"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        words = self.words([*self.image.entrypoint, *self.image.command])
        with (self.root / "log").open("ab") as log:
            return subprocess.Popen(
                [*before, *words], env=self.variables(), cwd=self.root / "data", stdout=log, stderr=log, start_new_session=True
            )

    def healthy(self) -> bool:
        """What HEALTHCHECK says."""
        done = subprocess.run(self.words(self.image.health), env=self.variables(), cwd=self.root, capture_output=True)
        return done.returncode == 0

    def until_healthy(self, seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while not self.healthy():
            if time.monotonic() > end:
                sys.exit(f"it never was healthy:\n{(self.root / 'log').read_text()}")
            time.sleep(0.2)


def stop(root: Path) -> None:
    """What `docker compose stop` does: SIGTERM, and waits."""
    written = root / "pid"
    if written.exists():
        number = int(written.read_text())
        written.unlink()
        os.kill(number, signal.SIGTERM)
        end = time.monotonic() + 45
        while Path(f"/proc/{number}/stat").exists() and " Z " not in Path(f"/proc/{number}/stat").read_text():
            if time.monotonic() > end:
                os.killpg(number, signal.SIGKILL)
                sys.exit("it did not stop when it was told to")
            time.sleep(0.05)


def compose(words: list[str], root: Path, port: int) -> int:
    """One command of `docker compose`."""
    service = project(os.environ["COMPOSE_FILE"])["services"]["nearfield"]
    made = Container.of(service, dict(os.environ), root, port)
    verb, *rest = words
    if verb == "up":
        stop(root)
        (root / "pid").write_text(str(made.start().pid))
        made.until_healthy()
    elif verb == "stop":
        stop(root)
    elif verb == "exec":
        return made.run(rest[rest.index("nearfield") + 1 :])
    elif verb == "run":
        entry = [rest[rest.index("--entrypoint") + 1]] if "--entrypoint" in rest else made.image.entrypoint
        return made.run([*entry, *rest[rest.index("nearfield") + 1 :]])
    elif verb == "cp":
        shutil.copytree(made.inside(rest[0].removeprefix("nearfield:")), rest[1])
    elif verb != "build":
        sys.exit(f"docker compose {verb}: the stand-in does not know it")
    return 0


if __name__ == "__main__":
    assert sys.argv[1] == "compose"
    sys.exit(compose(sys.argv[2:], Path(os.environ["ENGINE_ROOT"]), int(os.environ["ENGINE_PORT"])))
