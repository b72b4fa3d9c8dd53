"""What of a clip's frame stays as the camera saw it: all that the motion leaves where it is."""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.compiled import compiled
from engines.drawing import Painting
from engines.expression import FloatArray
from engines.flow import Flow
from engines.frame_geometry import CELL
from engines.media import FRAME_SIZE
from engines.place import place_column, place_row

STAYS, MOVES = 0.15, 0.75
"""Pixels by which a place may move and still be the frame's own, and from which on it is all the painter's."""
ASTRAY: Final = 80
"""Pixels that no face moves: triangles seen from their edge do not know where they were."""


def keep_unmoved(frame: NDArray[np.uint8], painted: NDArray[np.uint8], flow: Flow) -> Painting:
    """`painted` where something moved, else the `frame`, all of them RGB uint8 (512, 512, 3)."""
    kept, cells = frame.copy(), moved(flow)
    left, top, width, height = cv2.boundingRect((cells > 0).astype(np.uint8))
    if width:
        left, top = max(left - 1, 0), max(top - 1, 0)  # shares pass evenly from cell to cell
        some = cells[top : top + height + 2, left : left + width + 2]
        share = cv2.resize(some, None, fx=CELL, fy=CELL, interpolation=cv2.INTER_LINEAR)
        _lay(painted, share, flow.place, flow.cover, top * CELL, left * CELL, kept)
    return Painting(kept, cells)


def moved(flow: Flow) -> FloatArray:
    """How much of each cell of 8 x 8 pixels is the painter's, float32 (64, 64), from 0 to 1."""
    away = np.hypot(flow.coarse[..., 0], flow.coarse[..., 1]) * np.float32(FRAME_SIZE / 2)
    share = np.clip((away - np.float32(STAYS)) / np.float32(MOVES - STAYS), 0, 1)
    return np.asarray(cv2.blur(cv2.dilate(share, np.ones((3, 3), np.uint8)), (3, 3)), np.float32)


@compiled(fastmath=True)
def _lay(painted: Any, share: Any, place: Any, cover: Any, top: int, left: int, kept: Any) -> None:
    """Lay a `share` of what is painted, from row `top` and column `left` on, over what is kept."""
    for y in range(share.shape[0]):
        row = top + y
        for x in range(share.shape[1]):
            column, part = left + x, share[y, x]
            if part == 0 or (cover[row, column] and _astray(place[row, column], row, column)):
                continue
            for c in range(3):
                below = np.float32(kept[row, column, c])
                kept[row, column, c] = np.uint8(below + (painted[row, column, c] - below) * part + np.float32(0.5))


@compiled(inline="always")
def _astray(place: Any, row: int, column: int) -> Any:
    """Whether a place of `Flow` is too far away to be true."""
    down, across = place_row(place) - 32 * row, place_column(place) - 32 * column
    return max(abs(down), abs(across)) > 32 * ASTRAY
