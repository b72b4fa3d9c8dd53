"""Lids that come down: what little skin of them the source shows is stretched over the eye, and every lash with it.

A lash a pixel wide becomes a dark streak as long as the lid is high. Along the lid, across the streaks, skin hardly
changes, so that it may be smoothed there.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.compiled import compiled
from engines.face_geometry import FaceGeometry
from engines.place import place_row

STRETCHED, TAUT = 0.6, 0.35
"""Rows of the source per row of the picture below which a lid begins to be smoothed, and below which it all is."""
REACH: Final = 5
"""Pixels to either side that are mixed."""


def smooth_lids(picture: NDArray[np.uint8], geometry: FaceGeometry) -> None:
    """Smooth the stretched lids in the eye window of `picture` uint8 RGB (512, 512, 3), in place."""
    window, flow = geometry.eyes, geometry.flow
    _smooth_stretched(window.cut(flow.place), window.cut(flow.cover), geometry.eyes_maps, window.cut(picture))


@compiled(fastmath=True)
def _smooth_stretched(place: Any, cover: Any, maps: Any, picture: Any) -> None:
    """All compiled as one, so that the first blink of a call finds it loaded."""
    share = np.zeros(cover.shape, np.float32)
    if _find_stretched(place, cover, maps, share):
        _smooth(picture.copy(), share, picture)


@compiled(fastmath=True)
def _find_stretched(place: Any, cover: Any, maps: Any, share: Any) -> bool:
    """How much each pixel is to be smoothed, 0 to 1, into `share`; whether any is."""
    stretched, range_ = np.float32(32 * STRETCHED), np.float32(1 / (32 * (STRETCHED - TAUT)))
    found = False
    for y in range(1, share.shape[0]):
        for x in range(share.shape[1]):
            if cover[y, x] == 0 or cover[y - 1, x] == 0 or maps[y, x, 1] != 0 or maps[y - 1, x, 1] != 0:
                continue
            step = place_row(place[y, x]) - place_row(place[y - 1, x])
            if step >= 0 and step < stretched:
                share[y, x] = min((stretched - np.float32(step)) * range_, np.float32(1))
                found = True
    return found


@compiled(fastmath=True)
def _smooth(picture: Any, share: Any, out: Any) -> None:
    height, width = share.shape
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
