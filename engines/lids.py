"""Lids that come down: what little skin of them the source shows is stretched over the eye, and every lash with it.

A lash a pixel wide becomes a dark streak as long as the lid is high. Along the lid, across the streaks, skin hardly
changes, so that it may be smoothed there.
"""

from typing import Any, Final

import numba
import numpy as np
from numpy.typing import NDArray

from engines.face_geometry import FaceGeometry

STRETCHED, TAUT = 0.6, 0.35
"""Rows of the source per row of the picture below which a lid begins to be smoothed, and below which it all is."""
REACH: Final = 5
"""Pixels to either side that are mixed."""
_ROW: Final = 14, (1 << 14) - 1
"""Bits of a place before those of the row, and their mask."""


def smooth_lids(picture: NDArray[np.uint8], geometry: FaceGeometry) -> None:
    """Smooth the stretched lids in the eye window of `picture` uint8 RGB (512, 512, 3), in place."""
    window = geometry.eyes
    cover = window.cut(geometry.flow.cover) * (geometry.eyes_maps[..., 1] == 0)
    row = np.where(cover > 0, window.cut(geometry.flow.place) >> _ROW[0] & _ROW[1], 0).astype(np.int32)
    step = np.diff(row, axis=0)
    if np.count_nonzero((step >= 0) & (step < 32 * TAUT)) > 0:
        area = window.cut(picture)
        _smooth(area.copy(), row, cover, area)


@numba.njit(nogil=True, cache=True, fastmath=True)
def _smooth(picture: Any, row: Any, cover: Any, out: Any) -> None:
    height, width = row.shape
    stretched, range_ = np.float32(32 * STRETCHED), np.float32(1 / (32 * (STRETCHED - TAUT)))
    share = np.zeros((height, width), np.float32)
    for y in range(1, height):
        for x in range(width):
            step = row[y, x] - row[y - 1, x]
            if cover[y, x] > 0 and cover[y - 1, x] > 0 and step >= 0:
                share[y, x] = min(max((stretched - np.float32(step)) * range_, np.float32(0)), np.float32(1))
    for y in range(1, height):
        for x in range(width):
            if share[y, x] == 0:
                continue
            red = green = blue = total = np.float32(0)
            for near in range(max(x - REACH, 0), min(x + REACH + 1, width)):
                weight = share[y, near] * np.float32(REACH + 1 - abs(near - x))
                red += weight * picture[y, near, 0]
                green += weight * picture[y, near, 1]
                blue += weight * picture[y, near, 2]
                total += weight
            for c, value in enumerate((red, green, blue)):
                smooth = value / total
                out[y, x, c] = np.uint8(picture[y, x, c] + (smooth - picture[y, x, c]) * share[y, x] + np.float32(0.5))
