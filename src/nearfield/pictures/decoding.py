"""A picture's pixels and its thumbnail, from a file, bytes, an array or a Pillow image: the only place that imports Pillow.

Knows no model and no collection. What a file says of itself is believed only as far as its header: format, width and height
are looked at, and limited, before a pixel is decoded. A first frame stands for an animation or a file of several pages.
"""

from __future__ import annotations

import datetime
import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import InvalidInput, MissingDependency, NotFound, shorten

T = TypeVar("T")
Pixels = npt.NDArray[np.uint8]
"""uint8 (height, width, 3): red, green, blue."""

MAX_BYTES = 64 << 20
"""Of one picture's file."""
MAX_PIXELS = 64_000_000
"""Width times height of one picture: about 190 MB once decoded. Below what Pillow itself warns of."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""What is read, by Pillow's names. SVG is a document that can name other files, and is no picture here."""
SIDE = 256
"""The most pixels of a thumbnail's side."""
THUMBNAIL_BYTES = 20_000
"""The most bytes of a thumbnail."""
_QUALITIES = (75, 50, 25)
_DATES = (36867, 36868, 306)
"""EXIF tags: DateTimeOriginal, DateTimeDigitized, DateTime; _OFFSETS: the times' zones (EXIF 2.31)."""
_OFFSETS = {36867: 36881, 36868: 36882, 306: 36880}
_EXIF_IFD = 0x8769


@dataclass(frozen=True, slots=True)
class Facts:
    """What a picture's header says.

    Attributes:
        width, height: pixels, as it is to be looked at: turned by its EXIF orientation.
        format: Pillow's name, such as "JPEG"; "" of an array.
        taken: when, as RFC 3339; None where EXIF does not say. Without a zone in EXIF it is taken to be UTC.
    """

    width: int
    height: int
    format: str
    taken: str | None


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture in memory: its pixels, a thumbnail (WebP, at most SIDE pixels and THUMBNAIL_BYTES), and its facts."""

    pixels: Pixels
    thumbnail: bytes
    facts: Facts


def decode(source: Any, field: str = "image") -> Decoded:
    """The picture of a path, bytes, uint8 array (height, width, 3) or Pillow image.

    Transparency is laid on white; 16 bits of grey become 8; CMYK, palettes and the like become RGB.

    Args:
        source: where it is.
        field: how errors name it.

    Raises:
        NotFound: no such file.
        InvalidInput: not a picture, a broken one, or one that is too large.
        MissingDependency: Pillow is not installed.
    """
    image = _opened(source, field)
    try:
        plain = _reading(lambda: _as_rgb(_upright(image)), field)
        return Decoded(np.asarray(plain), _thumbnail(plain), _facts(image))
    finally:
        if image is not source:
            image.close()


def pixels(source: Any, field: str = "image") -> Pixels:
    """The pixels alone; see decode."""
    if isinstance(source, np.ndarray):
        return _checked_array(source, field)
    image = _opened(source, field)
    try:
        return np.asarray(_reading(lambda: _as_rgb(_upright(image)), field))
    finally:
        if image is not source:
            image.close()


def facts(source: Any, field: str = "image") -> Facts:
    """What the header says; no pixel is decoded. Raises as decode does."""
    image = _opened(source, field)
    try:
        return _facts(image)
    finally:
        if image is not source:
            image.close()


def file_of(source: Any, field: str = "image") -> bytes:
    """The bytes of a picture's file, for sending: those of a path; what has no file becomes a PNG. Raises as decode does."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if isinstance(source, (str, os.PathLike)):
        path, size = _file(source, field)
        if size > MAX_BYTES:
            expected = f"at most {MAX_BYTES:,} bytes"
            raise InvalidInput("the picture's file is too large", field=field, expected=expected, received=size)
        found: bytes = path.read_bytes()
        return found
    written = io.BytesIO()
    _pillow().Image.fromarray(pixels(source, field)).save(written, "PNG")
    return written.getvalue()


def is_picture(value: Any) -> bool:
    """Whether `value` is of a type that decode takes."""
    return isinstance(value, (str, os.PathLike, bytes, bytearray, memoryview, np.ndarray)) or _is_pillow(value)


def _is_pillow(value: Any) -> bool:
    return type(value).__module__.startswith("PIL.") and hasattr(value, "getexif")


def _pillow() -> Any:
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError as error:
        raise MissingDependency("pictures need Pillow; run: pip install 'nearfield[images]'", field="image") from error
    return PIL


def _features() -> Any:
    import PIL.features

    return PIL.features


def _opened(source: Any, field: str) -> Any:
    """A Pillow image of which only the header was read, within the limits."""
    if _is_pillow(source):
        return _within(source, field)
    image = _pillow().Image
    if isinstance(source, np.ndarray):
        return image.fromarray(_checked_array(source, field))
    if not is_picture(source):
        raise InvalidInput(
            "not a picture", field=field, expected="a path, bytes or a Pillow image", received=type(source).__name__
        )
    file, size = _file(source, field)
    if size > MAX_BYTES:
        raise InvalidInput(
            "the picture's file is too large", field=field, expected=f"at most {MAX_BYTES:,} bytes", received=size
        )
    image.init()
    known = [name for name in FORMATS if name in image.OPEN]
    found = _reading(lambda: image.open(file, formats=known), field)
    try:
        return _within(found, field)
    except InvalidInput:
        found.close()
        raise


def _file(source: Any, field: str) -> tuple[Any, int]:
    """What Pillow opens, and its bytes; a path stays one, so that Pillow closes the file."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        raw = bytes(source)
        return io.BytesIO(raw), len(raw)
    path = Path(source)
    try:
        if path.is_file():
            return path, path.stat().st_size
    except (OSError, ValueError) as error:
        raise InvalidInput(f"the file cannot be read ({error})", field=field, received=str(path)) from None
    raise NotFound("there is no such file", field=field, received=str(path))


def _within(image: Any, field: str) -> Any:
    width, height = image.size
    if not (width and height) or width * height > MAX_PIXELS:
        raise InvalidInput(
            "the picture has too many pixels; make it smaller",
            field=field,
            expected=f"at most {MAX_PIXELS:,}",
            received=f"{width} x {height}",
        )
    return image


def _reading(work: Callable[[], T], field: str) -> T:
    """Runs what reads a file, with whatever Pillow and its codecs raise for a bad one as InvalidInput."""
    image = _pillow().Image
    try:
        return work()
    except (image.DecompressionBombError, image.DecompressionBombWarning):
        raise InvalidInput(
            "the picture has too many pixels; make it smaller", field=field, expected=f"at most {MAX_PIXELS:,}"
        ) from None
    except _pillow().UnidentifiedImageError:
        raise InvalidInput("not a picture of a known form", field=field, expected=", ".join(FORMATS)) from None
    except OSError as error:
        raise InvalidInput(f"the picture is broken ({shorten(str(error))})", field=field) from None
    except MemoryError:
        raise
    except Exception as error:  # struct.error, zlib.error and those of plug-ins have no common class
        raise InvalidInput(f"the picture is broken ({shorten(f'{type(error).__name__}: {error}')})", field=field) from None


def _checked_array(array: npt.NDArray[Any], field: str) -> Pixels:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise InvalidInput(
            "not pixels", field=field, expected="uint8 (height, width, 3)", received=f"{array.dtype} {array.shape}"
        )
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise InvalidInput("too many pixels", field=field, expected=f"at most {MAX_PIXELS:,}", received=str(array.shape))
    return np.ascontiguousarray(array)


def _upright(image: Any) -> Any:
    return _pillow().ImageOps.exif_transpose(image)


def _as_rgb(image: Any) -> Any:
    """The picture in mode RGB."""
    if image.mode == "RGB" and "transparency" not in image.info:
        image.load()
        return image
    if image.mode.startswith(("I", "F")):
        return _pillow().Image.fromarray(_grey(np.asarray(image), image.mode)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        seen = image.convert("RGBA")
        white = _pillow().Image.new("RGBA", seen.size, (255, 255, 255, 255))
        white.alpha_composite(seen)
        return white.convert("RGB")
    return image.convert("RGB")


def _grey(values: npt.NDArray[Any], mode: str) -> npt.NDArray[np.uint8]:
    """8 bits of grey from more: whole numbers are of 16 bits where any is above 255; others are spread from least to most."""
    if mode.startswith("I"):
        whole = values.astype(np.int64)
        if whole.max() > 255 or mode.startswith("I;16"):
            whole = (whole + 128) // 257
        return np.clip(whole, 0, 255).astype(np.uint8)
    real = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    least, most = (0.0, 1.0) if real.min() >= 0 and real.max() <= 1 else (float(real.min()), float(real.max()))
    return np.rint(255 * (real - least) / max(most - least, 1e-12)).astype(np.uint8)


def _thumbnail(image: Any) -> bytes:
    """WebP of an RGB image, or JPEG where Pillow was built without it."""
    small = image.copy() if max(image.size) <= SIDE else image.resize(_fitting(image.size), reducing_gap=3.0)
    small.info.clear()
    kind = "WEBP" if _features().check("webp") else "JPEG"
    out = b""
    for quality in _QUALITIES:
        written = io.BytesIO()
        small.save(written, kind, quality=quality)
        out = written.getvalue()
        if len(out) <= THUMBNAIL_BYTES:
            break
    while len(out) > THUMBNAIL_BYTES:
        small = small.resize((max(1, small.width // 2), max(1, small.height // 2)))
        written = io.BytesIO()
        small.save(written, kind, quality=_QUALITIES[-1])
        out = written.getvalue()
    return out


def _fitting(size: tuple[int, int]) -> tuple[int, int]:
    scale = SIDE / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def media_type(thumbnail: bytes) -> str:
    """The media type of a thumbnail's bytes."""
    return "image/webp" if thumbnail[:4] == b"RIFF" and thumbnail[8:12] == b"WEBP" else "image/jpeg"


def _facts(image: Any) -> Facts:
    exif = _exif(image)
    width, height = image.size
    if exif.get(274) in (5, 6, 7, 8):
        width, height = height, width
    return Facts(width, height, image.format or "", _taken(exif))


def _exif(image: Any) -> dict[int, Any]:
    """EXIF tags of the picture and of how it was taken; empty where they cannot be read: they are nobody's promise.

    Pillow decodes a PNG to look for tags behind its pixels: before they are decoded there, only tags before them count.
    """
    try:
        found = _pillow().Image.Image.getexif(image) if image.format == "PNG" else image.getexif()
        return {**dict(found), **dict(found.get_ifd(_EXIF_IFD))}
    except Exception:
        return {}


def _taken(exif: dict[int, Any]) -> str | None:
    """RFC 3339 of EXIF's "2026:01:31 09:30:00"; None where there is none, or none that is a date."""
    for tag in _DATES:
        value = exif.get(tag)
        if not isinstance(value, str):
            continue
        try:
            when = datetime.datetime.strptime(value.strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S")
        except ValueError:
            continue
        zone = exif.get(_OFFSETS[tag])
        known = isinstance(zone, str) and re.fullmatch(r"[+-](0\d|1[0-4]):[0-5]\d", zone.strip("\0 "))
        return when.isoformat() + (known.string if known and known.string != "+00:00" else "Z")
    return None
