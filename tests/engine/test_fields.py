"""The fields of a collection against counting in Python, while documents are sealed, pending, replaced and deleted."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import nearfield as nf

KINDS = {bool: "bool", int: "int", float: "float", str: "string", list: "list", dict: "object", type(None): "null"}


def made(i: int) -> dict[str, Any]:
    """Metadata of mixed and missing fields, by a number."""
    out: dict[str, Any] = {"n": i if i % 3 else i / 2, "deep": {"word": f"w{i % 7}"}}
    if i % 4 == 0:
        out["tags"] = [f"t{i % 5}", i, None][: i % 3 + 1]
    if i % 10 == 0:
        out["mixed"] = [True, None, "x", 4, 2.5, {"inner": 1}][i // 10 % 6]
    return out


def flat(metadata: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted path: an object, and what is in it."""
    out: dict[str, Any] = {}
    for key, value in metadata.items():
        out[prefix + key] = value
        if isinstance(value, dict):
            out |= flat(value, f"{prefix}{key}.")
    return out


def counted(held: dict[str, dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """For each path: documents, types, types of elements, least and greatest number, words."""
    values: dict[str, list[Any]] = {}
    for metadata in held.values():
        for path, value in flat(metadata).items():
            values.setdefault(path, []).append(value)
    out = {}
    for path, found in values.items():
        inside = [e for v in found if isinstance(v, list) for e in v]
        every = [v for v in found if not isinstance(v, list)] + inside
        numbers = [v for v in every if isinstance(v, (int, float)) and not isinstance(v, bool)]
        words = Counter(v for v in every if isinstance(v, str))
        types = Counter(KINDS[type(v)] for v in found)
        out[path] = (
            len(found), dict(types), dict(Counter(KINDS[type(v)] for v in inside)),
            min(numbers, default=None), max(numbers, default=None), dict(words),
        )  # fmt: skip
    return out


def told(c: nf.Collection) -> dict[str, tuple[Any, ...]]:
    return {f.name: (f.documents, f.types, f.elements, f.least, f.greatest, f.words) for f in c.fields()}


def test_fields_are_those_of_the_live_documents(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with nf.open(tmp_path / "db") as db:
        c = db.create("c", embedder=None, dim=4)
        held: dict[str, dict[str, Any]] = {}

        def put(numbers: range, shift: int) -> None:
            documents = [nf.Document(str(i), metadata=made(i + shift)) for i in numbers]
            c.upsert(documents, vectors=rng.standard_normal((len(documents), 4)).astype(np.float32))
            held.update({d.id: made(int(d.id) + shift) for d in documents})

        assert c.fields() == []
        put(range(200), 0)
        assert told(c) == counted(held)
        c.optimize()
        assert told(c) == counted(held)
        put(range(150, 260), 1000)
        gone = [str(i) for i in range(0, 260, 3)]
        c.delete(gone)
        for i in gone:
            del held[i]
        assert told(c) == counted(held)
        c.optimize()
        assert told(c) == counted(held)
        c.delete(list(held))
        assert c.fields() == []


def test_only_the_commonest_words_are_named(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        c = db.create("c", embedder=None, dim=2)
        words = [f"w{i}" for i in range(40) for _ in range(i + 1)]
        c.upsert([nf.Document(str(i), metadata={"w": w}) for i, w in enumerate(words)], vectors=np.ones((len(words), 2)))
        (field,) = c.fields()
        assert field.words == {f"w{i}": i + 1 for i in range(39, 19, -1)}
        assert field.documents == len(words)
