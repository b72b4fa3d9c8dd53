"""What of a clip's frame stays as the camera saw it: all that the motion leaves where it is."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.flow import Flow
from engines.media import FRAME_SIZE

STAYS, MOVES = 0.15, 0.75
"""Pixels by which a place may move and still be the frame's own, and from which on it is all the painter's."""
ASTRAY: Final = 80
"""Pixels that no face moves: triangles seen from their edge do not know where they were."""
_PLACE: Final = np.uint32((1 << 14) - 1)


def keep_unmoved(frame: NDArray[np.uint8], painted: NDArray[np.uint8], flow: Flow) -> NDArray[np.uint8]:
    """`painted` where something moved, else the `frame`, all of them RGB uint8 (512, 512, 3)."""
    share = moved(flow)
    left, top, width, height = cv2.boundingRect((share > 0).astype(np.uint8))
    part = slice(top, top + height), slice(left, left + width)
    share = share[part] * ~_astray(flow.place[part], left, top)
    kept, below = frame.copy(), frame[part].astype(np.float32)
    kept[part] = below + (painted[part] - below) * share[..., None] + np.float32(0.5)
    return kept


def moved(flow: Flow) -> FloatArray:
    """How much of each pixel is the painter's, float32 (512, 512), from 0 to 1."""
    away = np.hypot(flow.coarse[..., 0], flow.coarse[..., 1]) * np.float32(FRAME_SIZE / 2)
    share = np.clip((away - np.float32(STAYS)) / np.float32(MOVES - STAYS), 0, 1)
    share = cv2.blur(cv2.dilate(share, np.ones((3, 3), np.uint8)), (3, 3))
    return np.asarray(cv2.resize(share, (FRAME_SIZE, FRAME_SIZE), interpolation=cv2.INTER_LINEAR), np.float32)


def _astray(place: NDArray[np.uint32], left: int, top: int) -> NDArray[np.bool_]:
    """Where a part of `Flow.place`, beginning at (left, top), points too far away to be true."""
    y, x = np.ogrid[top : top + place.shape[0], left : left + place.shape[1]]
    column, row = ((part & _PLACE).astype(np.int32) >> 5 for part in (place, place >> np.uint32(14)))
    return (np.abs(column - x) > ASTRAY) | (np.abs(row - y) > ASTRAY)
