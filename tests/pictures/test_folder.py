"""A folder of pictures becomes a collection: what is broken is told and passed over, what is there is not embedded again."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nearfield as nf
from nearfield.embed.pixels import PixelEmbedder
from nearfield.pictures import folder
from tests.pictures.test_collection import is_of, png
from tests.pictures.test_decoding import bomb


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with all that folders have in them."""
    root = tmp_path / "photos"
    (root / "2026" / "sea").mkdir(parents=True)
    (root / ".hidden").mkdir()
    for i in range(5):
        (root / f"p{i}.png").write_bytes(png(i))
    (root / "2026" / "sea" / "Ünïcode 鸟 'quoted' & \n.PNG").write_bytes(png(5))
    (root / "2026" / os.fsdecode(b"caf\xe9.png")).write_bytes(png(6))
    exif = Image.Exif()
    exif[274] = 6
    exif.get_ifd(0x8769)[36867] = "2026:01:31 09:30:00"
    Image.fromarray(np.asarray(Image.open(io.BytesIO(png(7, (60, 30)))))).save(root / "turned.jpg", "JPEG", exif=exif)
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not really")
    (root / "cut.png").write_bytes(png(8)[:120])
    (root / "bomb.png").write_bytes(bomb(60_000, 60_000))
    (root / "empty.gif").write_bytes(b"")
    (root / "notes.txt").write_text("not a picture")
    (root / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (root / ".hidden" / "secret.png").write_bytes(png(9))
    (root / ".hidden.png").write_bytes(png(9))
    (root / "link.png").symlink_to(root / "nowhere.png")
    return root


GOOD = {f"p{i}.png": i for i in range(5)} | {"2026/sea/Ünïcode 鸟 'quoted' & \n.PNG": 5, "2026/caf\\xe9.png": 6}
BAD = ["bomb.png", "broken.jpg", "cut.png", "empty.gif"]


class Counting(PixelEmbedder):
    """Counts the pictures it was shown."""

    def __init__(self) -> None:
        super().__init__(4)
        self.seen = 0

    def encode_images(self, items, progress=None):
        self.seen += len(items)
        return super().encode_images(items, progress)


def test_a_folder_is_read_whole(db: nf.Database, photos: Path) -> None:
    made = db.create("pics", embedder="pixels:4")
    told: list[tuple[int, int | None]] = []
    done = made.add_pictures(photos, batch=5, progress=lambda n, total: told.append((n, total)))
    assert (done.added, done.replaced, done.unchanged) == (8, 0, 0)
    assert [name for name, _ in done.broken] == BAD
    assert "too many pixels" in done.broken[0][1]
    assert {d.id for d in made.scan()} == {*GOOD, "turned.jpg"}
    assert all(is_of(made.thumbnail(name), seed) for name, seed in GOOD.items())
    assert told[-1] == (12, 12)
    assert told == sorted(told)
    turned = made.get("turned.jpg").metadata
    assert (turned["width"], turned["height"], turned["taken"]) == (30, 60, "2026-01-31T09:30:00Z")
    plain = made.get("p3.png").metadata
    assert {k: plain[k] for k in ("path", "name", "width", "height", "bytes")} == {
        "path": "p3.png", "name": "p3.png", "width": 40, "height": 30, "bytes": len(png(3)),
    }  # fmt: skip
    assert "taken" not in plain
    modified = plain["modified"]
    assert modified.endswith("Z")
    assert made.search(image=photos / "p2.png", k=1).ids == ["p2.png"]


def test_run_again_nothing_is_embedded_or_opened_twice(db: nf.Database, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = Counting()
    made = db.create("pics", embedder=embedder)
    made.add_pictures(photos)
    first = embedder.seen
    made.update("p1.png", metadata={"album": "sea"})
    again = made.add_pictures(photos)
    assert (again.added, again.replaced, again.unchanged) == (0, 0, 8)
    assert [name for name, _ in again.broken] == BAD
    assert embedder.seen == first + 1, "only the cut file, whose header is whole, is looked at again"
    (photos / "p1.png").write_bytes(png(71))
    os.utime(photos / "p1.png", ns=(1, 1_700_000_000_000_000_000))
    (photos / "p2.png").unlink()
    third = made.add_pictures(photos)
    assert (third.added, third.replaced, third.unchanged) == (0, 1, 6)
    assert is_of(made.thumbnail("p1.png"), 71)
    found = made.get("p1.png").metadata
    assert found["album"] == "sea", "what people added stays"
    assert found["modified"] == "2023-11-14T22:13:20Z"
    assert "p2.png" in made, "what is gone from the folder is not gone from the collection"


def test_one_picture_is_added_by_its_name(db: nf.Database, photos: Path) -> None:
    made = db.create("pics", embedder="pixels:4")
    assert made.add_pictures(photos / "p4.png").added == 1
    assert made.add_pictures(str(photos / "cut.png")).broken[0][0] == "cut.png"
    assert [d.id for d in made.scan()] == ["p4.png"]
    with pytest.raises(nf.NotFound):
        made.add_pictures(photos / "no.png")
    with pytest.raises(nf.InvalidInput, match="not a picture's name"):
        made.add_pictures(photos / "notes.txt")
    with pytest.raises(nf.InvalidInput, match="takes no pictures"):
        db.create("words", embedder="hash:8").add_pictures(photos)
    with pytest.raises(nf.InvalidInput, match="batch"):
        made.add_pictures(photos, batch=0)


def test_a_path_too_long_for_an_id_is_told(db: nf.Database, tmp_path: Path) -> None:
    deep = tmp_path / "root" / ("d" * 200) / ("e" * 200) / ("f" * 120)
    deep.mkdir(parents=True)
    (deep / "a.png").write_bytes(png(1))
    (tmp_path / "root" / "b.png").write_bytes(png(2))
    made = db.create("pics", embedder="pixels:4")
    done = made.add_pictures(tmp_path / "root")
    assert done.added == 1
    assert "bytes" in done.broken[0][1]


def test_a_stamp_is_of_the_file_as_it_was_before_it_was_read(photos: Path) -> None:
    (found,) = folder.find(photos / "p0.png")
    assert found.is_stored({"bytes": found.size, "modified": found.modified, "other": 1})
    assert not found.is_stored(None)
    assert not found.is_stored({"bytes": found.size})
    assert not found.is_stored({"bytes": found.size + 1, "modified": found.modified})


SLOWLY = """
import sys, time
import nearfield as nf
from nearfield.embed.pixels import PixelEmbedder
look = PixelEmbedder.encode_images
def slowly(self, items, progress=None):
    time.sleep(0.2)
    return look(self, items, progress)
PixelEmbedder.encode_images = slowly
with nf.open(sys.argv[1]) as db:
    made = db.get_or_create("pics", embedder="pixels:4")
    print("ready", flush=True)
    made.add_pictures(sys.argv[2], batch=4, progress=lambda n, total: print(n, flush=True))
"""


@pytest.mark.slow
def test_killed_and_run_again_it_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    for i in range(40):
        (root / f"p{i:02}.png").write_bytes(png(i))
    process = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, str(tmp_path / "db"), str(root)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while process.stdout.readline() != "12\n":
        assert process.poll() is None
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with nf.open(tmp_path / "db") as db:
        made = db["pics"]
        before = len(made)
        assert 12 <= before < 40
        assert before % 4 == 0, "a batch is written whole or not at all"
        done = made.add_pictures(root)
        assert (done.added, done.unchanged) == (40 - before, before)
        assert all(is_of(made.thumbnail(f"p{i:02}.png"), i) for i in range(40))
        assert made.verify().ok
