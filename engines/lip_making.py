"""Lips that touch, of a photo that parts them: what shows between them becomes lip, darker towards the line where they
will meet, so that nobody wears their teeth on their lips."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.atlas import fill, widen
from engines.expression import FloatArray
from engines.face_geometry import SourceGeometry
from engines.mouth_making import colour_of, lip_masks
from engines.retouch import Lips

REACH: Final = 5
"""Pixels beyond the mesh's opening in which teeth are looked for: it may be fitted that badly."""
SPARE: Final = 1
"""Pixels beyond what shows of the inside that are painted over, too."""
LINE: Final = 0.45
"""How dark the line is at which lips meet."""
LINE_WIDTH: Final = 1.1
"""Its softness in pixels."""
_AROUND: Final = 24
_LAB: Final = np.float32(1 / 255)


def sealed_lips(picture: NDArray[np.uint8], geometry: SourceGeometry, cheeks: NDArray[np.bool_]) -> Lips | None:
    """Lips for `picture` uint8 RGB (512, 512, 3), a photo of the head of `geometry`; None where they touch in it.
    `cheeks` are those of `engines.mouth_making.inner_cheeks`."""
    if geometry.pictured is None:
        return None
    opening, mouth = lip_masks(geometry, cheeks)
    if not opening.any():
        return None
    left, top, width, height = cv2.boundingRect(opening)
    rows = slice(max(top - _AROUND, 0), top + height + _AROUND)
    columns = slice(max(left - _AROUND, 0), left + width + _AROUND)
    part, opening, mouth = picture[rows, columns], opening[rows, columns], mouth[rows, columns]
    hole = widen(_inside(part, opening, mouth), SPARE)
    lips = fill(part, hole).astype(np.float32)
    dark = cv2.GaussianBlur(opening.astype(np.float32), (0, 0), LINE_WIDTH)[..., None]
    sealed = (lips * (1 - LINE * dark * hole[..., None])).round().astype(np.uint8)
    return Lips(sealed, columns.start, rows.start)


def _inside(picture: NDArray[np.uint8], opening: NDArray[np.uint8], mouth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 where `picture` (h, w, 3) shows the inside of the mouth: where the mesh is open, and where around that it looks
    rather like what is seen in its middle than like lips."""
    near = widen(opening, REACH) & mouth
    lips = mouth & (1 - widen(opening, 2))
    if not lips.any():
        return widen(opening, 1)
    lab = cv2.cvtColor(picture.astype(np.float32) * _LAB, cv2.COLOR_RGB2Lab)
    sure = cv2.erode(opening, np.ones((3, 3), np.uint8))
    teeth = colour_of(lab, sure if sure.any() else opening)
    like_teeth = _distance(lab, teeth) < _distance(lab, colour_of(lab, lips))
    dark = lab[..., 0] < 0.4 * float(colour_of(lab, lips)[0])
    inside = opening | (near & (like_teeth | dark))
    return np.asarray(cv2.morphologyEx(inside, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)), np.uint8)


def _distance(picture: FloatArray, colour: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(picture - colour, axis=2), np.float32)
