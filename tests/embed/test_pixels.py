"""The embedder without a model: copies of a picture are near whatever their size; another grid is another model."""

import numpy as np
import pytest
from PIL import Image

import nearfield as nf
from nearfield import embed
from nearfield.embed import fingerprint, probes
from nearfield.embed.base import takes
from nearfield.embed.pixels import PixelEmbedder
from tests.pictures.test_collection import colours


def vectors(embedder, *pictures) -> np.ndarray:
    return embedder.encode_images([lambda p=p: p for p in pictures])


def test_names_are_read_and_wrong_ones_refused() -> None:
    assert (embed.load("pixels").name, embed.load("pixels").dim) == ("pixels:8", 193)
    assert embed.load("pixels:3").dim == 28
    assert takes(embed.load("pixels:3")) == ("image",)
    for wrong in ("pixels:", "pixels:0", "pixels:65", "pixels:x", "pixels:²"):
        with pytest.raises(nf.InvalidInput, match="embedder"):
            embed.load(wrong)


def test_means_are_those_of_the_cells() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (24, 36, 3), np.uint8)
    cells = picture.astype(float).reshape(4, 6, 4, 9, 3).mean(axis=(1, 3)).ravel() - 127.5
    wanted = np.append(cells, 16.0)
    found = vectors(PixelEmbedder(4), picture)[0]
    assert np.abs(found - wanted / np.linalg.norm(wanted)).max() < 1e-6


@pytest.mark.parametrize("size", [(400, 300), (37, 91), (9, 9), (3, 2), (1, 1)])
def test_another_size_is_near_and_another_picture_is_not(size: tuple[int, int]) -> None:
    embedder = PixelEmbedder(4)
    other = np.asarray(Image.fromarray(colours(1)).resize(size, Image.Resampling.BOX))
    near, far = vectors(embedder, colours(1), other, colours(2))[[1, 2]] @ vectors(embedder, colours(1))[0]
    assert near > far
    if min(size) > 8:
        assert near > 0.95


def test_one_colour_has_a_direction_too() -> None:
    flat = [np.full((5, 5, 3), shade, np.uint8) for shade in (0, 127, 128, 255)]
    found = vectors(PixelEmbedder(2), *flat)
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-6


def test_what_is_left_out_is_a_row_of_zeros() -> None:
    told: list[tuple[int, int | None]] = []
    found = PixelEmbedder(2).encode_images([lambda: None, lambda: colours(1)], lambda n, total: told.append((n, total)))
    assert not found[0].any()
    assert found[1].any()
    assert told == [(1, 2), (2, 2)]


def test_probe_pictures_are_the_same_everywhere() -> None:
    import hashlib

    found = probes.pictures()
    assert len(found) == len(probes.NAMES)
    digest = hashlib.sha256(b"".join(str(p.shape).encode() + p.tobytes() for p in found)).hexdigest()
    assert digest == "c0c22de90831a6bb9b2623b37c476edd3bcc71c0027c032062bbaf7b6d6d3bbc"


class Turned(PixelEmbedder):
    """Says that it is the same, and makes other vectors."""

    def encode_images(self, items, progress=None):
        return np.ascontiguousarray(super().encode_images(items, progress)[:, ::-1])


def test_another_model_of_pictures_is_refused(tmp_path) -> None:
    with nf.open(tmp_path / "db") as db:
        made = db.create("pics", embedder=PixelEmbedder(4))
        made.upsert(nf.Document("a", image=colours(1)))
    with nf.open(tmp_path / "db") as db:
        with pytest.raises(nf.ModelMismatch, match="dim"):
            db.get("pics", embedder=PixelEmbedder(5))
        with pytest.raises(nf.ModelMismatch, match="the picture of"):
            db.get("pics", embedder=Turned(4)).search(image=colours(1))
        assert db.get("pics", embedder=PixelEmbedder(4)).search(image=colours(1), k=1).ids == ["a"]


def test_what_a_collection_takes_is_known_without_its_model(tmp_path) -> None:
    class Nowhere(PixelEmbedder):
        """Of a name that cannot be loaded."""

        def __init__(self) -> None:
            super().__init__(2)
            self.name = "no/such-model"

    with nf.open(tmp_path / "db") as db:
        db.create("pics", embedder=Nowhere()).upsert(nf.Document("a", image=colours(1)))
    with nf.open(tmp_path / "db") as db:
        assert db["pics"].takes == ("image",)


def test_a_fingerprint_of_pictures_survives_json() -> None:
    kept = fingerprint.take(PixelEmbedder(3))
    assert kept.probes.shape == (len(probes.NAMES), 28)
    again = fingerprint.Fingerprint.from_dict(kept.to_dict())
    assert fingerprint.compare_probes(again, fingerprint.take(PixelEmbedder(3)))
