"""Work that ends: optimize while writes go on, leavings of a killed tuning, a rebuild that wants no index."""

import threading
import time
from pathlib import Path

import numpy as np

import nearfield as nf
from nearfield.store import layout
from tests.maintain.test_tasks import indexed


def test_optimize_returns_while_writes_go_on(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        c = indexed(db)
        stop = threading.Event()

        def write() -> None:
            number = 0
            while not stop.is_set():
                c.upsert([nf.Document(f"new{number % 500}")], vectors=np.full((1, 8), 1 + number % 7, np.float32))
                number += 1
                time.sleep(0.002)

        writer = threading.Thread(target=write)
        writer.start()
        done = [threading.Thread(target=c.optimize, kwargs={"purge": purge}) for purge in (False, True)]
        for each in done:
            each.start()
            each.join(120)
        stop.set()
        writer.join()
        assert not any(each.is_alive() for each in done)
        c.optimize(purge=True)
        assert c.stats().tombstones == 0
        assert c.stats().pending == 0


def test_what_a_killed_tuning_left_goes_when_the_database_is_opened_and_with_a_purge(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        c = indexed(db)
        left = c._engine.directory / layout.TUNE / f"{layout.TEMPORARY}data"
        kept = c._engine.directory / layout.TUNE / "report.json"

        def leave() -> None:
            left.mkdir(parents=True)
            (left / "live.f32").write_bytes(b"vectors")
            kept.write_bytes(b"{}")

        leave()
        c.optimize(purge=True)
        assert not left.exists()
        leave()
    with nf.open(tmp_path / "db") as db:
        assert len(db["c"]) == 3000
        assert not left.exists()
        assert kept.exists()


def test_few_rows_lose_an_index_that_is_wanted_no_more(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        c = indexed(db)
        assert c.stats().indexed == 3000
        c.rebuild("auto")
        assert c.stats().indexed == 0
        assert c.search(vector=np.ones(8, np.float32), k=3, recall=0.9).plan.segments[0].method == "exact"


def test_a_closed_database_is_not_tuned(tmp_path: Path) -> None:
    import pytest

    with nf.open(tmp_path / "db") as db:
        c = indexed(db)
    with pytest.raises(nf.Closed):
        c.tune(recall=0.9)
