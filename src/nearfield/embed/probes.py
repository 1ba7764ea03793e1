"""A few pictures made by arithmetic, the same everywhere: by them a model of pictures is told from another. Knows no model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

NAMES = ("a gradient", "a chequered board", "a disc on a ground", "noise", "a narrow strip")


def pictures() -> list[npt.NDArray[np.uint8]]:
    """uint8 (height, width, 3) each, in the order of NAMES."""
    y, x = np.mgrid[0:96, 0:128]
    gradient = np.stack([2 * x, 2 * y, 255 - x - y], axis=-1)
    board = np.where(((x // 16 + y // 16) % 2)[..., None] == 0, [230, 220, 190], [40, 90, 60])
    disc = np.where(((x - 64) ** 2 + (y - 40) ** 2 < 900)[..., None], [220, 40, 30], [90, 150, 230])
    mixed = (x * 2_654_435_761 + y * 40_503 * 65_537) % 4_294_967_291
    noise = np.stack([mixed >> 3, mixed >> 11, mixed >> 19], axis=-1) & 255
    strip = gradient[:24]
    return [np.ascontiguousarray(one.astype(np.uint8)) for one in (gradient, board, disc, noise, strip)]
