"""Pictures are seen as a person sees them, within limits, whatever their form; what is none is refused by name."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nearfield as nf
from nearfield.pictures import decoding

RNG = np.random.default_rng(20261127)
COLOURS = RNG.integers(0, 256, (30, 44, 3), np.uint8)


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


def with_exif(**tags) -> Image.Exif:
    exif = Image.Exif()
    inner = exif.get_ifd(0x8769)
    for name, value in tags.items():
        tag = {"orientation": 274, "changed": 306, "taken": 36867, "zone": 36881, "digitized": 36868}[name]
        (exif if tag < 1000 else inner)[tag] = value
    return exif


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises many pixels and which is a few hundred bytes long."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def test_plain_pixels_are_taken_as_they_are(tmp_path: Path) -> None:
    image = Image.fromarray(COLOURS)
    path = tmp_path / "náïve 🖼 \n.png"
    path.write_bytes(saved(image))
    for source in (path, str(path), saved(image), bytearray(saved(image)), memoryview(saved(image)), image, COLOURS):
        assert np.array_equal(decoding.pixels(source), COLOURS)
        assert np.array_equal(decoding.decode(source).pixels, COLOURS)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    turned = {
        1: COLOURS,
        2: COLOURS[:, ::-1],
        3: COLOURS[::-1, ::-1],
        4: COLOURS[::-1],
        5: COLOURS.transpose(1, 0, 2),
        6: np.rot90(COLOURS, -1),
        7: COLOURS[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(COLOURS),
    }[orientation]
    raw = saved(Image.fromarray(COLOURS), "WEBP", lossless=True, exif=with_exif(orientation=orientation))
    found = decoding.decode(raw)
    assert np.array_equal(found.pixels, turned)
    assert (found.facts.height, found.facts.width) == turned.shape[:2]
    assert decoding.facts(raw) == found.facts
    small = Image.open(io.BytesIO(found.thumbnail))
    assert small.size == (turned.shape[1], turned.shape[0])
    assert not small.getexif()


def test_transparency_is_laid_on_white() -> None:
    alpha = RNG.integers(0, 256, COLOURS.shape[:2], np.uint8)
    wanted = COLOURS * (alpha[..., None] / 255) + 255 * (1 - alpha[..., None] / 255)
    found = decoding.pixels(saved(Image.fromarray(np.dstack([COLOURS, alpha]), "RGBA")))
    assert np.abs(found - wanted).max() <= 1.5
    grey = saved(Image.fromarray(np.dstack([COLOURS[..., 0], alpha]), "LA"))
    assert np.abs(decoding.pixels(grey)[..., 1] - (COLOURS[..., 0] * (alpha / 255) + 255 - alpha)).max() <= 1.5


def test_a_transparent_palette_is_laid_on_white() -> None:
    image = Image.fromarray(np.array([[0, 1], [1, 2]], np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    wanted = [[[255, 0, 0], [255, 255, 255]], [[255, 255, 255], [0, 0, 255]]]
    for kind in ("GIF", "PNG"):
        assert decoding.pixels(saved(image, kind, transparency=1)).tolist() == wanted, kind


def test_cmyk_palettes_and_one_bit_become_rgb() -> None:
    smooth = Image.fromarray(COLOURS).resize((64, 64)).convert("CMYK")
    wanted = np.asarray(smooth.convert("RGB")).astype(int)
    assert np.abs(decoding.pixels(saved(smooth, "TIFF")) - wanted).max() == 0
    assert np.abs(decoding.pixels(saved(smooth, "JPEG", quality=95)) - wanted).mean() < 12
    bits = np.array([[0, 255], [255, 0]], np.uint8)
    assert decoding.pixels(saved(Image.fromarray(bits).convert("1")))[..., 0].tolist() == bits.tolist()


def test_sixteen_bits_keep_their_shades() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    for kind in ("PNG", "TIFF"):
        found = decoding.pixels(saved(Image.fromarray(ramp), kind))
        assert np.abs(found[..., 2].astype(int).ravel() - np.arange(256)).max() <= 1, kind
    real = np.linspace(-3, 5, 64, dtype=np.float32).reshape(8, 8)
    found = decoding.pixels(saved(Image.fromarray(real), "TIFF"))
    assert (found.min(), found.max()) == (0, 255)
    part = decoding.pixels(saved(Image.fromarray((real + 3) / 16), "TIFF"))
    assert part.max() == 128, "numbers from 0 to 1 are shares of white"


@pytest.mark.parametrize(("kind", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})])
def test_the_first_frame_stands_for_an_animation(kind: str, options: dict) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "green")]
    raw = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert decoding.pixels(raw)[3, 3].tolist() == [255, 0, 0]


@pytest.mark.parametrize("size", [(4000, 3000), (3000, 40), (1, 2000), (10, 10), (1, 1)])
def test_thumbnails_are_small_whatever_the_picture(size: tuple[int, int]) -> None:
    noise = RNG.integers(0, 256, (size[1], size[0], 3), np.uint8)
    thumbnail = decoding.decode(noise).thumbnail
    assert len(thumbnail) <= decoding.THUMBNAIL_BYTES
    small = Image.open(io.BytesIO(thumbnail))
    small.load()
    assert max(small.size) <= decoding.SIDE
    assert small.size == size or max(small.size) >= decoding.SIDE // 4
    assert decoding.media_type(thumbnail) == "image/webp"
    assert decoding.media_type(saved(Image.fromarray(noise[:9, :9]), "JPEG")) == "image/jpeg"


def test_no_metadata_goes_into_a_thumbnail() -> None:
    exif = with_exif(taken="2026:01:31 09:30:00")
    exif[270] = "a secret description"
    thumbnail = decoding.decode(saved(Image.fromarray(COLOURS), "JPEG", exif=exif, comment=b"a secret comment")).thumbnail
    assert b"secret" not in thumbnail


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"taken": "2026:01:31 09:30:00", "changed": "2001:01:01 00:00:00"}, "2026-01-31T09:30:00Z"),
        ({"taken": "2026:01:31 09:30:00", "zone": "+05:30"}, "2026-01-31T09:30:00+05:30"),
        ({"taken": "2026:01:31 09:30:00", "zone": "nonsense"}, "2026-01-31T09:30:00Z"),
        ({"taken": "0000:00:00 00:00:00", "digitized": "1999:12:31 23:59:59"}, "1999-12-31T23:59:59Z"),
        ({"changed": "2001:02:03 04:05:06"}, "2001-02-03T04:05:06Z"),
        ({"taken": "yesterday"}, None),
        ({}, None),
    ],
)
def test_when_it_was_taken_is_rfc_3339(tags: dict, said: str | None) -> None:
    assert decoding.facts(saved(Image.fromarray(COLOURS), "JPEG", exif=with_exif(**tags))).taken == said


@pytest.mark.parametrize("size", [(60_000, 60_000), (9_000, 9_000), (65_000_000, 1)])
def test_a_bomb_is_refused_by_its_header(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    raw = bomb(*size)
    assert len(raw) < 1000
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("pixels were decoded"))
    for look in (decoding.decode, decoding.pixels, decoding.facts):
        with pytest.raises(nf.InvalidInput, match="too many pixels"):
            look(raw, "here")


def test_a_pillow_image_that_is_too_large_is_refused_and_left_open() -> None:
    image = Image.open(io.BytesIO(bomb(8001, 8000)))
    with pytest.raises(nf.InvalidInput, match="8001 x 8000"):
        decoding.decode(image)
    assert image.fp is not None


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with open(path, "wb") as file:
        file.truncate(decoding.MAX_BYTES + 1)
    with pytest.raises(nf.InvalidInput, match="too large"):
        decoding.decode(path)


JPEG = saved(Image.fromarray(COLOURS).resize((400, 300)), "JPEG")
PNG = saved(Image.fromarray(COLOURS).resize((400, 300)))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (JPEG[: len(JPEG) // 2], "broken"),
        (PNG[: len(PNG) // 2], "broken"),
        (JPEG[:30], "broken|not a picture"),
        (PNG[:30], "broken|not a picture"),
        (b"", "not a picture"),
        (b"plain text, no picture", "not a picture"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "not a picture"),
        (saved(Image.fromarray(COLOURS), "ICO"), "not a picture"),
        (saved(Image.fromarray(COLOURS), "PDF"), "not a picture"),
    ],
)
def test_what_is_broken_or_no_picture_is_refused(raw: bytes, said: str) -> None:
    with pytest.raises(nf.InvalidInput, match=said) as caught:
        decoding.decode(raw, "image of 'x'")
    assert caught.value.field == "image of 'x'"


def test_every_cut_of_a_picture_is_a_picture_or_a_refusal() -> None:
    for raw in (JPEG, PNG, saved(Image.fromarray(COLOURS), "GIF"), saved(Image.fromarray(COLOURS), "TIFF"),
                saved(Image.fromarray(COLOURS), "WEBP"), saved(Image.fromarray(COLOURS), "BMP")):  # fmt: skip
        for cut in RNG.integers(0, len(raw), 12):
            damaged = bytearray(raw)
            damaged[cut % len(raw)] ^= 0xFF
            for one in (raw[:cut], bytes(damaged)):
                try:
                    found = decoding.decode(one)
                except nf.InvalidInput:
                    continue
                assert found.pixels.dtype == np.uint8
                assert found.pixels.ndim == 3


@pytest.mark.parametrize("value", [None, 7, ["x"], COLOURS[..., 0], COLOURS.astype(np.float32), COLOURS[:0]])
def test_other_things_are_refused(value) -> None:
    with pytest.raises(nf.InvalidInput):
        decoding.decode(value)


def test_a_path_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    for path in (tmp_path / "no.png", tmp_path, "nul\0byte.png", tmp_path / ("x" * 5000)):
        with pytest.raises((nf.NotFound, nf.InvalidInput)):
            decoding.decode(path)


def test_the_facts_of_a_png_cost_none_of_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import PngImagePlugin

    plain, dated = saved(Image.fromarray(COLOURS)), saved(Image.fromarray(COLOURS), exif=with_exif(orientation=6))
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda _: pytest.fail("decoded"))
    assert (decoding.facts(plain).width, decoding.facts(dated).width) == (44, 30)


def test_exif_behind_the_pixels_of_a_png_counts_once_they_are_decoded() -> None:
    whole = saved(Image.fromarray(COLOURS), exif=with_exif(orientation=6))
    start = whole.index(b"eXIf") - 4
    stop = start + 12 + struct.unpack(">I", whole[start : start + 4])[0]
    end = whole.rindex(b"IEND") - 4
    late = whole[:start] + whole[stop:end] + whole[start:stop] + whole[end:]
    found = decoding.decode(late)
    assert found.pixels.shape == (44, 30, 3)
    assert (found.facts.width, found.facts.height) == (30, 44)
