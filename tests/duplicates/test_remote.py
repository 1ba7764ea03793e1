"""A server's collection has the same duplicates as the library's."""

from pathlib import Path

import nearfield as nf
from tests.duplicates import brute
from tests.serve.running import running


def test_remote_says_what_the_library_says(tmp_path: Path) -> None:
    x = brute.planted(300, 12, 90, 0.5, seed=3)
    with nf.open(tmp_path / "db") as db:
        made = db.create("c", embedder=None, dim=12)
        made.upsert([nf.Document(f"d{i}", metadata={"i": i}) for i in range(300)], vectors=x)
        wanted = list(made.duplicates(0.97, keep=nf.KeepBy("i")))
        dry, suggested = made.dedup(0.97), made.suggest_threshold(sample=200)
    with running(tmp_path / "db") as server, nf.connect(server.url) as remote:
        server.until_ready()
        there = remote["c"]
        found = there.duplicates(0.97, keep={"field": "i"})
        assert found.join.exact
        assert list(found) == wanted
        assert there.suggest_threshold(sample=200) == suggested
        assert there.dedup(0.97).groups == dry.groups
        report = there.dedup(0.97, dry_run=False)
        assert (report.deleted, report.documents) == (dry.documents, dry.documents)
        assert len(there) == 300 - dry.documents
        told = there.upsert(nf.Document("copy"), vectors=x[:1], skip_duplicates_above=0.99)
        assert (told.skipped, told.alike[0].id, told.alike[0].like) == (1, "copy", "d0")
