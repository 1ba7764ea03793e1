"""Documents with pictures: searched by picture; thumbnails follow their documents through everything, and leave with them."""

import io
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nearfield as nf
from nearfield import intake
from nearfield.embed.pixels import PixelEmbedder
from nearfield.pictures import decoding


def colours(seed: int, size: tuple[int, int] = (40, 30)) -> np.ndarray:
    """uint8 (height, width, 3): a few smooth colours, another for each seed."""
    cells = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), np.uint8)
    return np.asarray(Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC))


def png(seed: int, size: tuple[int, int] = (40, 30)) -> bytes:
    written = io.BytesIO()
    Image.fromarray(colours(seed, size)).save(written, "PNG")
    return written.getvalue()


def shown(thumbnail: bytes | None) -> np.ndarray:
    assert thumbnail is not None
    return np.asarray(Image.open(io.BytesIO(thumbnail)).convert("RGB")).astype(int)


def is_of(thumbnail: bytes | None, seed: int) -> bool:
    return bool(np.abs(shown(thumbnail) - colours(seed)).mean() < 8)


@pytest.fixture
def pics(db: nf.Database) -> nf.Collection:
    made = db.create("pics", embedder="pixels:4")
    made.upsert([nf.Document(f"p{i}", image=png(i), metadata={"i": i}) for i in range(20)])
    return made


def test_a_picture_finds_itself_in_another_size_and_quality(pics: nf.Collection, tmp_path: Path) -> None:
    small = io.BytesIO()
    Image.fromarray(colours(7, (90, 70))).save(small, "JPEG", quality=60)
    path = tmp_path / "seven.jpg"
    path.write_bytes(small.getvalue())
    for image in (small.getvalue(), path, str(path), Image.open(path), colours(7)):
        hits = pics.search(image=image, k=3)
        assert hits.ids[0] == "p7"
        assert hits[0].score > 0.99
        assert hits[0].metadata == {"i": 7}
    assert pics.search(image=colours(7), k=3, filter={"i": {"$lt": 7}}).ids[0] != "p7"
    assert pics.embed_images([colours(1), path]).shape == (2, pics.dim)
    assert pics.takes == ("image",)


def test_vectors_are_the_embedders_own(pics: nf.Collection) -> None:
    truth = PixelEmbedder(4).encode_images([lambda i=i: colours(i) for i in range(20)])
    found = pics.get([f"p{i}" for i in range(20)], vectors=True)
    assert np.abs(np.stack([d.vector for d in found]) - truth).max() < 1e-6
    assert all(d.image is None and d.text is None for d in found)


def test_texts_and_pictures_are_refused_where_the_model_takes_none(db: nf.Database, pics: nf.Collection) -> None:
    words = db.create("words", embedder="hash:32")
    assert words.takes == ("text",)
    with pytest.raises(nf.InvalidInput, match="takes texts only"):
        words.search(image=png(1))
    with pytest.raises(nf.InvalidInput, match="takes texts only"):
        words.upsert(nf.Document("a", "text", image=png(1)))
    with pytest.raises(nf.InvalidInput, match="pictures only"):
        pics.search("a text")
    with pytest.raises(nf.InvalidInput, match="pictures only"):
        pics.upsert(nf.Document("a", "a text"))
    brought = db.create("brought", embedder=None, dim=4)
    assert brought.takes == ()
    with pytest.raises(nf.InvalidInput, match="embedder=None"):
        brought.search(image=png(1))
    with pytest.raises(nf.InvalidInput, match="not both"):
        pics.search(image=png(1), vector=np.zeros(pics.dim))
    for wrong in (7, ["a.png"], {"path": "a.png"}):
        with pytest.raises(nf.InvalidInput, match="not a picture"):
            pics.search(image=wrong)
        with pytest.raises(nf.InvalidInput, match="not a picture"):
            pics.upsert(nf.Document("a", image=wrong))
    assert len(words) == len(brought) == 0


def test_brought_vectors_may_come_with_pictures(db: nf.Database) -> None:
    brought = db.create("brought", embedder=None, dim=4)
    brought.upsert([nf.Document("a", image=png(1)), nf.Document("b")], vectors=np.eye(2, 4))
    assert is_of(brought.thumbnail("a"), 1)
    assert brought.thumbnail("b") is None
    assert brought.search(vector=np.eye(1, 4)[0], k=1).ids == ["a"]


def test_a_text_may_stand_beside_a_picture(pics: nf.Collection) -> None:
    pics.upsert(nf.Document("p3", "a few colours", {"i": 3}, image=png(3)))
    assert pics.get("p3").text == "a few colours"
    assert pics.search(image=png(3), k=1).ids == ["p3"]


def test_a_bad_picture_writes_nothing_or_is_left_out_and_told(pics: nf.Collection, tmp_path: Path) -> None:
    documents = [
        nf.Document("new1", image=png(31)),
        nf.Document("broken", image=png(32)[:80]),
        nf.Document("gone", image=tmp_path / "gone.png"),
        nf.Document("new2", image=png(33)),
    ]
    with pytest.raises(nf.InvalidInput, match="image of 'broken'"):
        pics.upsert(documents)
    assert len(pics) == 20
    told: list[tuple[str, str]] = []
    written = pics.upsert(documents, broken=lambda name, why: told.append((name, why)))
    assert (written.added, len(pics)) == (2, 22)
    assert [name for name, _ in told] == ["broken", "gone"]
    assert "broken" in told[0][1]
    assert "no such file" in told[1][1]
    assert pics.search(image=png(33), k=1).ids == ["new2"]
    assert is_of(pics.thumbnail("new2"), 33)
    only = pics.upsert(documents[1:3], broken=lambda name, why: None)
    assert (only.added, only.replaced, only.commit) == (0, 0, pics.commit)


def test_thumbnails_follow_their_documents(db: nf.Database, pics: nf.Collection) -> None:
    assert all(is_of(pics.thumbnail(f"p{i}"), i) for i in range(20))
    pics.update("p1", metadata={"seen": True})
    assert is_of(pics.thumbnail("p1"), 1)
    pics.optimize()
    pics.update("p2", metadata={"seen": True})
    pics.upsert(nf.Document("p4", image=png(44)))
    pics.delete(["p5"])
    pics.delete(filter={"i": 6})
    pics.upsert(nf.Document("p0", image=png(0)), if_exists="skip")
    assert is_of(pics.thumbnail("p2"), 2)
    assert is_of(pics.thumbnail("p4"), 44)
    for gone in ("p5", "p6"):
        with pytest.raises(nf.NotFound):
            pics.thumbnail(gone)
    pics.optimize(purge=True)
    kept = {"p0": 0, "p1": 1, "p2": 2, "p4": 44, "p19": 19}
    assert all(is_of(pics.thumbnail(name), seed) for name, seed in kept.items())
    copied = db.copy("pics", "copied")
    pics.delete(["p0"])
    assert is_of(copied.thumbnail("p0"), 0)
    rows = pics._engine._connection.execute("SELECT count(*) FROM thumbnails").fetchone()[0]
    assert rows == len(pics), "none is left of a document that died"


def test_a_document_without_a_picture_any_more_has_no_thumbnail(db: nf.Database) -> None:
    both = db.create("both", embedder=Both())
    both.upsert(nf.Document("a", "some words", image=png(1)))
    by_picture = both.get("a", vectors=True).vector
    both.upsert(nf.Document("a", "some words"))
    assert both.thumbnail("a") is None
    assert np.abs(both.get("a", vectors=True).vector - by_picture).max() > 0.01, "the text decides now"


class Both(PixelEmbedder):
    """Texts and pictures in one space, as CLIP has it."""

    takes = ("text", "image")

    def __init__(self) -> None:
        super().__init__(2)
        self.name = "both"

    def encode(self, items, kind="document", progress=None):
        from nearfield.embed.hashing import HashEmbedder

        return HashEmbedder(self.dim).encode(items, kind)


def test_texts_and_pictures_share_a_collection(db: nf.Database) -> None:
    both = db.create("both", embedder=Both())
    both.upsert([nf.Document("word", "the sea"), nf.Document("picture", image=png(1)), nf.Document("other", "the moon")])
    assert both.search("the sea", k=1).ids == ["word"]
    assert both.search(image=png(1), k=1).ids == ["picture"]
    assert both.search("the sea", k=3).complete


def test_reopened_and_read_only_it_is_the_same(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        made = db.create("pics", embedder="pixels:4")
        made.upsert([nf.Document(f"p{i}", image=png(i)) for i in range(5)])
        with nf.open(tmp_path / "db", read_only=True) as reader:
            assert is_of(reader["pics"].thumbnail("p3"), 3)
            made.delete(["p3"])
            made.upsert(nf.Document("p9", image=png(9)))
            reader["pics"].refresh()
            assert is_of(reader["pics"].thumbnail("p9"), 9)
    with nf.open(tmp_path / "db") as db:
        assert is_of(db["pics"].thumbnail("p9"), 9)
        assert db["pics"].search(image=png(9), k=1).ids == ["p9"]
        db.backup(tmp_path / "backup")
    nf.restore(tmp_path / "backup", tmp_path / "restored")
    with nf.open(tmp_path / "restored") as db:
        assert is_of(db["pics"].thumbnail("p2"), 2)


def test_a_large_write_keeps_thumbnails(db: nf.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "BULK", 10)
    monkeypatch.setattr(intake, "_chunk_rows", lambda dim: 8)
    made = db.create("pics", embedder="pixels:4")
    made.upsert([nf.Document("p3", image=png(99)), nf.Document("p4", image=png(98))])
    made.upsert([nf.Document(f"p{i}", image=png(i)) for i in range(20)])
    assert all(is_of(made.thumbnail(f"p{i}"), i) for i in range(20))
    made.upsert([nf.Document(f"p{i}", image=png(100 + i)) for i in range(10, 40)], if_exists="skip")
    assert is_of(made.thumbnail("p15"), 15)
    assert is_of(made.thumbnail("p25"), 125)
    rows = made._engine._connection.execute("SELECT count(*) FROM thumbnails").fetchone()[0]
    assert rows == len(made) == 40


def test_purged_thumbnails_leave_no_byte(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        made = db.create("pics", embedder="pixels:4")
        made.upsert([nf.Document(f"p{i}", image=png(i)) for i in range(8)])
        gone = made.thumbnail("p5")
        assert gone is not None
        piece = gone[40:72]
        assert any(piece in path.read_bytes() for path in (tmp_path / "db").rglob("*") if path.is_file())
        made.delete(["p5"])
        made.optimize(purge=True)
        assert not any(piece in path.read_bytes() for path in (tmp_path / "db").rglob("*") if path.is_file())
        assert is_of(made.thumbnail("p6"), 6)


def test_thumbnails_are_read_beside_writes(pics: nf.Collection) -> None:
    stop, wrong = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            for i in range(20):
                found = pics.thumbnail(f"p{i}")
                if found is not None and not is_of(found, i):
                    wrong.append(i)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(15):
        pics.upsert([nf.Document(f"p{i}", image=png(i)) for i in range(turn % 5, 20, 5)])
        pics.update(f"p{turn}", metadata={"turn": turn})
    pics.optimize()
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_collection_without_pictures_makes_no_table(books: nf.Collection) -> None:
    assert books.thumbnail("sea") is None
    books.delete(["sea"])
    books.update("moon", metadata={"x": 1})
    assert books._engine._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'thumbnails'").fetchone() is None


def test_without_pillow_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, pics: nf.Collection) -> None:
    import builtins

    load = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("PIL"):
            raise ImportError(name)
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(nf.MissingDependency, match=r"pip install 'nearfield\[images\]'"):
        pics.search(image=b"x")
    with pytest.raises(nf.MissingDependency):
        pics.upsert(nf.Document("x", image=b"x"), broken=lambda *_: None)
    assert decoding.is_picture(b"x")


def test_files_are_closed(tmp_path: Path, pics: nf.Collection) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(1))
    broken = tmp_path / "b.png"
    broken.write_bytes(png(1)[:60])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        pics.search(image=path)
        with pytest.raises(nf.InvalidInput):
            pics.search(image=broken)
    assert len(os.listdir("/proc/self/fd")) <= before + 2
