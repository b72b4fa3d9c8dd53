"""The painter's layers, laid over the warped picture: the main one over all of it, those of mouth and eyes in their
windows.

A layer is what the painter returns, folded: float32 (1, h, w, 16), in which 2 x 2 pixels lie in the channels, row by
row: premultiplied colour (3), and the logit of how much of the picture beneath it hides.
"""

from functools import cache
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.compiled import compiled
from engines.expression import FloatArray
from engines.face_geometry import FaceGeometry
from engines.media import FRAME_SIZE

SEAM: Final = 6
"""Pixels over which a window's layer blends into the picture at its border."""


def compose(
    warped: NDArray[np.uint8], geometry: FaceGeometry, main: FloatArray, mouth: FloatArray, eyes: FloatArray
) -> NDArray[np.uint8]:
    """Lay the painter's layers over the `warped` picture, RGB uint8 (512, 512, 3); the windows replace the main layer,
    with a soft seam."""
    picture = np.empty_like(warped)
    keep, colour = (_stretched(part) for part in unfold(main[0]))
    _lay(warped.reshape(FRAME_SIZE, -1), _tripled(keep), _rows(colour), picture.reshape(FRAME_SIZE, -1))
    for window, layer in ((geometry.mouth, mouth), (geometry.eyes, eyes)):
        first = (window.top * FRAME_SIZE + window.left) * 3
        keep, colour = unfold(layer[0])
        share = _share(window.height, window.width)
        _replace(warped.ravel(), _tripled(keep), _rows(colour), share, picture.ravel(), first)
    return picture


def unfold(folded: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(h, w, 16) to how much of what is beneath stays, (2h, 2w), and premultiplied colour in levels, (2h, 2w, 3)."""
    height, width = 2 * folded.shape[0], 2 * folded.shape[1]
    keep, colour = np.empty((height, width), np.float32), np.empty((height, width, 3), np.float32)
    odds = cv2.exp(np.ascontiguousarray(folded[..., 3::4]))  # all at once: by itself each takes ten times as long
    _unfold(folded, odds, keep, colour)
    return keep, colour


@cache
def _share(height: int, width: int) -> FloatArray:
    """How much of a window's layer shows instead of what is there: (h, 3 * w)."""
    rows, columns = (np.minimum(np.arange(size), np.arange(size)[::-1]) for size in (height, width))
    border = np.minimum(rows[:, None], columns) + 0.5
    return np.minimum(border / SEAM, 1).astype(np.float32).repeat(3, 1)


def _stretched(part: FloatArray) -> FloatArray:
    """(h, w) or (h, w, 3) at the picture's width."""
    return np.asarray(cv2.resize(part, (FRAME_SIZE, len(part)), interpolation=cv2.INTER_LINEAR), np.float32)


def _rows(colour: FloatArray) -> FloatArray:
    """(h, w, 3) as rows of values, (h, 3 * w)."""
    return colour.reshape(len(colour), -1)


def _tripled(keep: FloatArray) -> FloatArray:
    """(h, w) likewise, each value for red, green and blue."""
    return _rows(np.asarray(cv2.cvtColor(keep, cv2.COLOR_GRAY2RGB), np.float32))


@compiled(fastmath=True)
def _unfold(folded: Any, odds: Any, keep: Any, colour: Any) -> None:
    for y in range(folded.shape[0]):
        for x in range(folded.shape[1]):
            for k in range(4):
                row, column = 2 * y + (k >> 1), 2 * x + (k & 1)
                keep[row, column] = np.float32(1) / (np.float32(1) + odds[y, x, k])
                for c in range(3):
                    colour[row, column, c] = folded[y, x, 4 * k + c] * np.float32(255)


@compiled(fastmath=True)
def _lay(warped: Any, keep: Any, colour: Any, out: Any) -> None:
    """Lay rows (n, 3 * 512), between which is blended to the picture's height, over the picture (512, 3 * 512); flat,
    so that the compiler takes many at once."""
    one, half, white = np.float32(1), np.float32(0.5), np.float32(255)
    last = keep.shape[0] - 1
    for y in range(out.shape[0]):
        row = (np.float32(y) + half) * np.float32(keep.shape[0]) / np.float32(out.shape[0]) - half
        first = int(np.floor(row))
        low = row - np.float32(first)
        above, below = max(first, 0), min(first + 1, last)
        keep_above, keep_below, high = keep[above], keep[below], one - low
        colour_above, colour_below = colour[above], colour[below]
        under, over = warped[y], out[y]
        for x in range(over.size):
            stays = keep_above[x] * high + keep_below[x] * low
            value = np.float32(under[x]) * stays + colour_above[x] * high + colour_below[x] * low
            over[x] = np.uint8(np.int32(min(max(value, np.float32(0)), white) + half))


@compiled(fastmath=True)
def _replace(warped: Any, keep: Any, colour: Any, share: Any, out: Any, first: int) -> None:
    """Lay rows (h, 3 * w) over the window of the warped picture that begins at its value `first`, and put as much of
    that as `share` says in the place of what is there. The pictures are flat."""
    zero, half, white = np.float32(0), np.float32(0.5), np.float32(255)
    for y in range(keep.shape[0]):
        start = np.uintp(first + 3 * FRAME_SIZE * y)
        for x in range(keep.shape[1]):
            at = start + np.uintp(x)
            value = min(max(np.float32(warped[at]) * keep[y, x] + colour[y, x], zero), white)
            below = np.float32(out[at])
            out[at] = np.uint8(np.int32(below + (value - below) * share[y, x] + half))
