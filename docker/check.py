"""Checks without a container engine that what the Dockerfiles install resolves together: `make docker-check`. Needs a network.

For each Dockerfile: the files that it copies are enough to build nearfield's wheel; its `pip install` commands resolve, in
their order and together, for the Python and the platform of the image, from wheels alone; and the result is what the image
promises: one FAISS, the right one, and torch as the base has it. What the base image brings, or comes from torch's own
index (gigabytes), is stood in for by empty wheels of the same name, version and requirements. Knows nothing of what happens
when an image runs: tests/deploy tries that.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
TORCH_NEEDS = (
    "filelock",
    "typing-extensions>=4.10.0",
    "setuptools>=77.0.3",
    "sympy>=1.13.3",
    "networkx>=2.5.1",
    "jinja2",
    "fsspec>=0.8.5",
)
"""What torch 2.13 asks for besides CUDA's libraries: its wheel's metadata."""


@dataclass(frozen=True, slots=True)
class Base:
    """A base image, as far as pip minds.

    Attributes:
        python: version of its interpreter, at least; `glibc`: minor version of its C library, for the tags of wheels.
        given: packages that are there, or come from torch's index, with their versions.
        requires: what a given package asks for.
    """

    python: str
    glibc: int
    given: dict[str, str]
    requires: dict[str, tuple[str, ...]] = field(default_factory=dict)


CUDA = {"nvidia-cuda-runtime-cu12": "12.6.77", "nvidia-cublas-cu12": "12.6.4.1", "nvidia-curand-cu12": "10.3.7.77"}
"""Those of CUDA 12.6's libraries that faiss-gpu asks for too, in the versions that torch's cu126 wheels pin."""

BASES = {
    "python:3.11-slim-bookworm": Base("3.11.9", 36, {"torch": "2.13.0+cpu"}, {"torch": TORCH_NEEDS}),
    "pytorch/pytorch:2.13.0-cuda12.6-cudnn9-runtime": Base(
        "3.12.3",
        39,
        {"torch": "2.13.0+cu126", "triton": "3.7.1", **CUDA},
        {"torch": (*TORCH_NEEDS, "triton", *(f"{name}=={version}" for name, version in CUDA.items()))},
    ),
}


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A Dockerfile in its instructions, continued lines joined, comments left out, arguments of ARG put in."""

    path: Path
    instructions: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, path: Path) -> Dockerfile:
        """Reads a Dockerfile; of ARG only those with a default count."""
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not re.match(r"\s*(#|$)", line)]
        whole = re.sub(r"\\\n\s*", " ", "\n".join(lines))
        found: list[tuple[str, str]] = []
        arguments: dict[str, str] = {}
        for line in whole.splitlines():
            word, _, rest = line.strip().partition(" ")
            for name, value in arguments.items():
                rest = rest.replace(f"${{{name}}}", value)
            if word == "ARG" and "=" in rest:
                name, _, value = rest.partition("=")
                arguments[name] = value
            found.append((word.upper(), rest.strip()))
        return cls(path, tuple(found))

    def all(self, word: str) -> list[str]:
        """What stands after each instruction of a name."""
        return [rest for name, rest in self.instructions if name == word]

    @property
    def bases(self) -> list[str]:
        """The images that it begins from, but for its own stages."""
        stages = {rest.split()[2] for rest in self.all("FROM") if len(rest.split()) == 3}
        return [rest.split()[0] for rest in self.all("FROM") if rest.split()[0] not in stages]

    @property
    def sources(self) -> list[str]:
        """What it copies from the repository."""
        copies = [shlex.split(rest) for rest in self.all("COPY") if "--from=" not in rest]
        return [source for words in copies for source in words[:-1]]

    def installs(self) -> Iterator[list[str]]:
        """The arguments of each `pip install`, in order."""
        for rest in self.all("RUN"):
            for command in rest.split("&&"):
                if found := re.search(r"\bpip install (.*)", command):
                    yield shlex.split(found[1])


def requirements(arguments: list[str]) -> list[str]:
    """What an install asks for: its arguments but for options and their values."""
    found, skip = [], False
    for word in arguments:
        if skip or word.startswith("-"):
            skip = word in ("-c", "--extra-index-url")
        else:
            found.append(word)
    return found


def stub(folder: Path, name: str, version: str, requires: tuple[str, ...]) -> None:
    """An empty wheel."""
    plain = name.replace("-", "_")
    info = f"{plain}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {r}" for r in requires)]
    with zipfile.ZipFile(folder / f"{plain}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "\n".join(metadata) + "\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def wheel(file: Dockerfile, pip: Path, folder: Path) -> Path:
    """Nearfield's wheel, from a folder with nothing but what the Dockerfile copies."""
    source = folder / "src"
    source.mkdir()
    for name in file.sources:
        target = source / Path(name).name
        shutil.copytree(ROOT / name, target) if (ROOT / name).is_dir() else shutil.copy(ROOT / name, target)
    run([pip, "wheel", "-q", "--no-deps", "-w", folder / "wheel", source])
    return next((folder / "wheel").glob("nearfield-*.whl"))


def run(command: list[object]) -> None:
    """Runs a command; ends the program with what it said where it fails."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("WARNING")]
        sys.exit("\n".join([" ".join(str(c) for c in command), *said]))


def resolve(file: Dockerfile, pip: Path, folder: Path) -> dict[str, str]:
    """Package by package what the image would hold, after all of its installs together."""
    (name,) = set(file.bases)
    base = BASES[name]
    stubs = folder / "stubs"
    stubs.mkdir()
    for package, version in base.given.items():
        stub(stubs, package, version, base.requires.get(package, ()))
    others = re.sub(r"^(torch|triton)==.*\n", "", (ROOT / "constraints.txt").read_text(encoding="utf-8"), flags=re.M)
    (folder / "held.txt").write_text(others + "".join(f"{p}=={v}\n" for p, v in base.given.items()), encoding="utf-8")
    built = wheel(file, pip, folder)
    asked: list[str] = []
    report = folder / "report.json"
    tags = [f"manylinux_2_{minor}_x86_64" for minor in range(base.glibc, 4, -1)]
    platforms = [
        word for tag in [*tags, "manylinux2014_x86_64", "manylinux1_x86_64", "linux_x86_64"] for word in ("--platform", tag)
    ]
    for arguments in file.installs():
        asked += [r.replace("/src", str(built)) if r.startswith("/src") else r for r in requirements(arguments)]
        target = ["--python-version", base.python, "--only-binary=:all:", "--target", folder / "none", *platforms]
        held = ["--find-links", stubs, "-c", folder / "held.txt"]
        run(
            [pip, "install", "-q", "--dry-run", "--ignore-installed", "--report", report, *target, *held, *dict.fromkeys(asked)]
        )
    return {i["metadata"]["name"].lower(): i["metadata"]["version"] for i in json.loads(report.read_text())["install"]}


def promised(file: Dockerfile, found: dict[str, str]) -> Iterator[str]:
    """What is wrong with the packages of an image."""
    gpu = any(base.startswith("pytorch/") for base in file.bases)
    ours, other = ("faiss-gpu", "faiss-cpu") if gpu else ("faiss-cpu", "faiss-gpu")
    if ours not in found or other in found:
        yield f"{ours} and not {other}: {sorted(n for n in found if n.startswith('faiss'))}"
    given = BASES[file.bases[0]].given
    for name, version in found.items():
        if name in given and version != given[name]:
            yield f"{name} of the base is {given[name]}, the image would get {version}"
        if name.startswith("nvidia-") and name not in given and name != "nvidia-ml-py":
            yield f"a second CUDA would come beside the base's: {name} {version}"


def main() -> None:
    """Checks every Dockerfile, and the alerts where promtool is installed; exit code 1 where something is wrong."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wrong = []
    with tempfile.TemporaryDirectory() as made:
        venv.create(Path(made) / "pip", with_pip=True)
        pip = Path(made) / "pip" / "bin" / "pip"
        run([pip, "install", "-q", "-U", "pip>=25"])
        for path in sorted((ROOT / "docker").glob("Dockerfile*")):
            file = Dockerfile.read(path)
            folder = Path(made) / path.name
            folder.mkdir()
            found = resolve(file, pip, folder)
            wrong += [f"{path.name}: {problem}" for problem in promised(file, found)]
            named = [e for a in file.installs() for r in requirements(a) for e in re.findall(r"\[(.*)\]", r)]
            wrong += [f"{path.name}: no extra {e}" for some in named for e in some.split(",") if e not in extras]
            shown = {n: v for n, v in sorted(found.items()) if n.startswith(("faiss", "torch", "triton", "nvidia", "numpy"))}
            print(f"{path.name}: {len(found)} packages resolve together: {shown}")
    if promtool := shutil.which("promtool"):
        run([promtool, "check", "rules", ROOT / "docker" / "alerts.yml"])
        run([promtool, "test", "rules", ROOT / "docker" / "alerts-test.yml"])
        print("alerts.yml: promtool agrees")
    sys.exit("\n".join(wrong) or None)


if __name__ == "__main__":
    main()
