"""A task that would not fit is not begun, and says what is missing; searches go on exactly."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import nearfield as nf
from nearfield.maintain import tasks


def test_a_build_that_memory_cannot_hold_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).standard_normal((3000, 8)).astype(np.float32)
    with nf.open(tmp_path / "db") as db:
        c = db.create("c", embedder=None, dim=8, metric="l2", index=nf.Hnsw(links=8, build_effort=16))
        monkeypatch.setattr(tasks.psutil, "virtual_memory", lambda: SimpleNamespace(total=1 << 34, available=1 << 20))
        monkeypatch.setattr(tasks, "run_build", lambda *_, **__: pytest.fail("it was begun"))
        c.load(ids=[f"d{i}" for i in range(3000)], vectors=x)
        with pytest.raises(nf.OutOfSpace, match="memory"):
            c.optimize()
        assert c.stats().indexed == 0
        assert c.search(vector=x[7], k=1).ids == ["d7"]
        monkeypatch.undo()
        c.optimize()
        assert c.stats().indexed == 3000
