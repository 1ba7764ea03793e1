"""Who may import whom: one list, from the bottom up. Imports for type checking only do not count."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nearfield

ROOT = Path(nearfield.__file__).parent

BELOW: dict[str, set[str]] = {
    "core": set(),
    "device": {"core"},
    "index": {"core", "device"},
    "store": {"core"},
    "embed": {"core", "device"},
    "extract": {"core"},
    "planning": {"core", "device", "index"},
    "engine": {"core", "device", "index", "store"},
    "maintain": {"core", "device", "index", "store", "planning", "engine"},
    "embedding": {"core", "embed"},
    "intake": {"core", "store", "engine", "embedding"},
    "pictures": {"core"},
    "evaluate": {"core"},
    "answering": {"core"},
    "uses": {"core", "evaluate", "answering"},
    "picturing": {"core", "engine", "embedding", "intake", "pictures"},
    "parts": {"core", "store", "embed", "engine", "embedding", "intake", "pictures", "picturing", "ranking"},
    "transfer": {"core", "store"},
    "generation": {"core", "engine", "embedding"},
    "ranking": {"core", "embed", "engine"},
    "reading": {"core", "engine", "embedding", "generation"},
    "searching": {"parts", "core", "index", "engine", "embedding", "generation", "reading", "picturing", "ranking"},
    "recommending": {"core", "generation", "ranking", "reading", "searching"},
    "filing": {"core", "extract"},
    "collection": {
        "filing",
        "duplicates",
        "duplicating",
        "parts",
        "core",
        "store",
        "engine",
        "embedding",
        "generation",
        "intake",
        "picturing",
        "transfer",
        "reading",
        "searching",
        "uses",
        "recommending",
        "creating",
    },
    "duplicates": {"core", "index", "store", "engine", "intake"},
    "duplicating": {"core", "engine", "duplicates", "generation"},
    "creating": {"core", "embed", "index", "store", "parts"},
    "reembedding": {
        "core",
        "embed",
        "embedding",
        "engine",
        "index",
        "maintain",
        "store",
        "generation",
        "collection",
        "evaluate",
    },
    "database": {
        "parts",
        "creating",
        "core",
        "device",
        "index",
        "store",
        "embed",
        "engine",
        "maintain",
        "embedding",
        "generation",
        "collection",
        "reembedding",
    },
    "remote": {"core", "extract", "pictures", "answering", "uses"},
    "testing": {"core", "index", "embed"},
    "doctor": {"core", "device", "store", ""},
    "serve": {"core", "device", "extract", "index", "engine", "ranking", "embed", "pictures", ""},
    "load": {"core", "planning", "remote", ""},
    "cli": {"core", "embed", "evaluate", "extract", "pictures", "index", "store", "planning", "serve", "load", "doctor", ""},
    "__main__": {"cli"},
}
"""Layer: what it imports besides itself. "" is the public door, `import nearfield`."""

ONLY_HERE: dict[str, set[str]] = {
    "faiss": {"index/_faiss.py"},
    "torch": {"device/_torch.py", "embed/text.py", "embed/image.py", "embed/crossencoder.py"},
    "triton": {"device/_kernels.py"},
    "sentence_transformers": {"embed/text.py"},
    "PIL": {"pictures/decoding.py"},
    "transformers": {"embed/text.py", "embed/image.py", "embed/crossencoder.py"},
    "huggingface_hub": {"embed/text.py"},
    "tokenizers": {"embed/tokens.py"},
    "apsw": {"store/sqlite.py"},
    "httpx": {"answering/chat.py", "embed/remote.py", "embed/rerank_remote.py", "remote/database.py", "serve/forward.py"},
    "opentelemetry": {"serve/tracing.py"},
    "aiohttp": {"load/targets.py"},
    "usearch": {"index/usearch_graph.py"},
    "matplotlib": {"planning/report.py"},
    "pynvml": {"doctor/outside.py", "serve/gpu.py"},
    "threadpoolctl": {"index/threads.py"},
    "psutil": {"device/cards.py", "doctor/", "maintain/tasks.py", "serve/gauges.py"},
    "pyarrow": {"store/", "cli/arrays.py", "extract/tables.py", "serve/arrow.py", "serve/body.py", "serve/routes/documents.py"},
    "lxml": {"extract/markup.py"},
    "pypdfium2": {"extract/pdf.py"},
    "charset_normalizer": {"extract/decoding.py"},
    "markdown_it": {"extract/markdown.py"},
    "yaml": {"extract/markdown.py"},
    "watchfiles": {"extract/watching.py"},
    "starlette": {"serve/"},
    "uvicorn": {"serve/server.py", "serve/connections.py"},
    "prometheus_client": {"serve/telemetry.py"},
    "typer": {"cli/"},
    "rich": {"cli/"},
    "sqlite3": set(),
    "pickle": set(),
    "fcntl": {"store/files.py"},
}
"""Package: the files (or folders) that may import it."""

HEAVY = ("faiss", "usearch", "torch", "sentence_transformers", "apsw", "pyarrow", "httpx", "typer", "rich")


def files() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Full names of what a file imports at run time, however deep in it."""

    def walk(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
                for other in child.orelse:
                    yield from walk(other)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: relative import"
                yield from (f"{child.module}.{name.name}" for name in child.names)
            elif isinstance(child, ast.Import):
                yield from (name.name for name in child.names)
            else:
                yield from walk(child)

    return walk(ast.parse(path.read_text(encoding="utf-8")))


def layer(name: str) -> str:
    """The layer of a dotted name below nearfield; "" for the public names."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in BELOW else ""


@pytest.mark.parametrize("path", files(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_go_down_only(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    assert own in BELOW, f"{own} is in no layer: add it to the list"
    for name in imports(path):
        if name == "nearfield" or name.startswith("nearfield."):
            target = layer(name)
            assert target == own or target in BELOW[own], f"{path.relative_to(ROOT)} must not import {name}"


def test_the_list_has_no_circle() -> None:
    done: set[str] = set()
    order = [name for name in BELOW if name]
    while order:
        ready = [name for name in order if BELOW[name] - {""} <= done]
        assert ready, f"a circle among {order}"
        done |= set(ready)
        order = [name for name in order if name not in done]


@pytest.mark.parametrize("path", files(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_packages_are_imported_in_their_place_only(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    for name in imports(path):
        places = ONLY_HERE.get(name.split(".")[0])
        if places is not None:
            assert any(relative == place or (place.endswith("/") and relative.startswith(place)) for place in places), (
                f"{relative} must not import {name}"
            )


def loaded(statement: str) -> list[str]:
    code = f"import sys; {statement}; print(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_importing_nearfield_loads_nothing_heavy() -> None:
    assert loaded("import nearfield") == []


def test_the_command_line_loads_nothing_heavy_before_a_verb_runs() -> None:
    assert set(loaded("import nearfield.cli.main")) <= {"typer", "rich"}


def test_a_search_by_vector_loads_no_torch(tmp_path: Path) -> None:
    statement = (
        f"import nearfield as nf; db = nf.open({str(tmp_path / 'db')!r}); c = db.create('c', embedder=None, dim=2); "
        "c.upsert([nf.Document('a')], vectors=[[1.0, 2.0]]); c.search(vector=[1.0, 2.0]); db.close()"
    )
    found = loaded(statement)
    assert "torch" not in found
    assert "sentence_transformers" not in found


def test_only_files_touches_the_disk() -> None:
    """Syncs, renames, removals and locks go through store/files.py."""
    forbidden = ("os.fsync", "os.rename", "os.replace", "os.unlink", "os.remove", "os.mkdir", "fcntl.flock")
    for path in files():
        if path.relative_to(ROOT).as_posix() == "store/files.py":
            continue
        text = path.read_text(encoding="utf-8")
        assert not [call for call in forbidden if f"{call}(" in text], path
