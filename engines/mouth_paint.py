"""The mouth of a photo: teeth, tongue and the dark behind, in the photo's own light, laid over what the painter drew.

The painter has learnt mouths under a studio's light, and paints those of a photo grey and blue; here teeth take their
colour from the photo's teeth, or else from the white of its eyes or its skin, and tongue and gums from its lips.
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.compiled import compiled
from engines.expression import FloatArray
from engines.face_geometry import FaceGeometry
from engines.head_mesh import HeadMesh, Part
from engines.keypoints import LIPS
from engines.place import place_row

TOOTH, TONGUE = (0.84, 0.83, 0.84), (0.93, 0.50, 0.50)
"""Colour of teeth and tongue in the unlit interior of every pack."""
DEEP_TEETH, DEEP_TONGUE = 0.17, 0.12
"""Decimetres behind the rim of the lips from which on less light falls on teeth, and on what lies between."""
TEETH_FADE, TONGUE_FADE = 5.0, 3.0
"""How fast it then fades, per decimetre."""
GREY, GAP = 0.12, 0.45
"""Range of the interior's channels below which it is no gum, and lightness at which it is a gap between teeth."""
JUMP: Final = 3
"""Pixels of the source between two rows of the picture from which on they show different lips."""
DARKEST: Final = 0.3
"""Light that falls everywhere."""


@dataclass(frozen=True)
class MouthPaint:
    """Colours, float32 (3,) in levels, of fully lit `teeth` and `tongue`, and of the `hollow` behind them; `cheeks`,
    bool (T,), which triangles are the skin within."""

    teeth: FloatArray
    tongue: FloatArray
    hollow: FloatArray
    cheeks: NDArray[np.bool_]


class MouthPainter:
    """Draws the mouth of one head. Safe to use from any thread."""

    def __init__(self, paint: MouthPaint, mesh: HeadMesh) -> None:
        self._lips = mesh.keypoints[list(LIPS)]
        inside = (mesh.parts >= Part.UPPER_TEETH) & (mesh.parts <= Part.TONGUE)
        self._inside = inside | paint.cheeks
        gains = [paint.teeth / np.array(TOOTH), paint.tongue / np.array(TONGUE), paint.hollow]
        self._gains = np.stack(gains).astype(np.float32)

    def draw(self, picture: NDArray[np.uint8], geometry: FaceGeometry) -> None:
        """Replace the inside of the mouth in `picture` uint8 RGB (512, 512, 3), in place."""
        raster, maps = geometry.raster, geometry.mouth_maps
        window, area = geometry.mouth.within(raster.window), geometry.mouth.cut(picture)
        flow = geometry.flow
        _soften(area.copy(), geometry.mouth.cut(flow.place), geometry.mouth.cut(flow.cover), area)
        drawn = np.zeros((*maps.shape[:2], 4), np.float32)
        lips = float(raster.pixels[self._lips, 2].mean())
        if _light(window.cut(raster.triangle), window.cut(raster.depth), lips, self._inside, maps, self._gains, drawn):
            soft = np.asarray(cv2.GaussianBlur(drawn, (3, 3), 0.75), np.float32)
            _lay(soft, area)


@compiled()
def _soften(picture: Any, place: Any, cover: Any, out: Any) -> None:
    """Mix the rows on either side of the line at which one lip ends and the other begins, which is no pixel wide."""
    for y in range(1, picture.shape[0] - 2):
        for x in range(picture.shape[1]):
            if cover[y, x] == 0 or cover[y + 1, x] == 0:
                continue
            here, below = place_row(place[y, x]), place_row(place[y + 1, x])
            if abs(below - here) >= 32 * JUMP:
                for c in range(3):
                    first, second = np.int64(picture[y, x, c]), np.int64(picture[y + 1, x, c])
                    out[y, x, c] = (2 * first + second + np.int64(picture[y - 1, x, c])) >> 2
                    out[y + 1, x, c] = (2 * second + first + np.int64(picture[y + 2, x, c])) >> 2


@compiled(fastmath=True)
def _light(nearest: Any, depth: Any, lips: float, inside: Any, maps: Any, gains: Any, drawn: Any) -> bool:
    """Premultiplied colour of the inside of the mouth into `drawn`, shaded by how deep it lies and how near below the
    upper lip; whether any of it shows. A mouth that is hardly open is darker."""
    one, found = np.float32(1), False
    for x in range(nearest.shape[1]):
        first, count = -1, 0
        for y in range(nearest.shape[0]):
            if nearest[y, x] >= 0 and inside[nearest[y, x]]:
                first = y if first < 0 else first
                count += 1
        if count == 0:
            continue
        found = True
        over = min(max(np.float32(0.5 * count), np.float32(2)), np.float32(6))
        ajar = np.float32(0.86) + np.float32(0.14) * min(np.float32(count) / np.float32(14), one)
        for y in range(first, nearest.shape[0]):
            t = nearest[y, x]
            if t < 0 or not inside[t]:
                continue
            tooth, tongue = maps[y, x, 1] > 0, maps[y, x, 2] > 0
            deep = depth[y, x] - np.float32(lips)
            down = min((np.float32(y - first) + np.float32(0.5)) / over, one)
            down = down * down * (np.float32(3) - 2 * down)
            if tooth:
                shade = np.exp(-np.float32(TEETH_FADE) * max(deep - np.float32(DEEP_TEETH), np.float32(0)))
                shade *= np.float32(0.74) + np.float32(0.26) * down
            else:
                shade = np.exp(-np.float32(TONGUE_FADE) * max(deep - np.float32(DEEP_TONGUE), np.float32(0)))
                shade *= np.float32(0.7) + np.float32(0.3) * down
            shade = max(shade, np.float32(DARKEST))
            kind = 0 if tooth else (1 if tongue else 2)
            red, green, blue = maps[y, x, 3], maps[y, x, 4], maps[y, x, 5]
            enamel = one
            if tooth and max(red, green, blue) - min(red, green, blue) < np.float32(GREY):
                behind = min(max((deep - np.float32(DEEP_TEETH)) * np.float32(7), np.float32(0)), one)
                gap = min(max((np.float32(TOOTH[1]) - green) / np.float32(TOOTH[1] - GAP), np.float32(0)), one)
                enamel = (one - behind * gap) * (one - np.float32(0.5) * behind)
            for c in range(3):
                colour = maps[y, x, 3 + c] * gains[kind, c] if kind < 2 else gains[2, c]
                drawn[y, x, c] = (gains[2, c] + (colour - gains[2, c]) * enamel) * shade * ajar
            drawn[y, x, 3] = one
    return found


@compiled(fastmath=True)
def _lay(drawn: Any, out: Any) -> None:
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            if drawn[y, x, 3] > 0:
                for c in range(3):
                    value = drawn[y, x, c] + (np.float32(1) - drawn[y, x, 3]) * out[y, x, c] + np.float32(0.5)
                    out[y, x, c] = np.uint8(min(max(value, np.float32(0)), np.float32(255)))
