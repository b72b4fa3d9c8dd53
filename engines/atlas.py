"""What a source picture holds, sorted by what is looked up in it: three pictures of equal size, one below the other.

A head that turns shows surface that lay at the very edge of its outline, and uncovers what it hid. Looked up in the
picture as it is, the one would bring slivers of the wall along, the other a second ear.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

FIGURE, AIR, BACKDROP = 0, 1, 2
"""Which of the pictures, from the top: for what the mesh covers, the figure with its colours drawn out beyond its
outline; for what it does not, the picture as it is, with stray hair; and for what is uncovered, the wall without the
figure."""
OUTLINE: Final = 2
"""Pixels that the outline is wide."""
HALO: Final = 6
"""Pixels outside it up to which it may show hair."""


def make_atlas(picture: NDArray[np.uint8], covered: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`picture` (N, N, 3), and where the mesh is in it, uint8 (N, N) of 0 and 1, to (3 N, N, 3)."""
    around = np.ones((2 * HALO + 1, 2 * HALO + 1), np.uint8)
    return np.concatenate([_drawn_out(picture, covered), picture, _filled(picture, cv2.dilate(covered, around))])


def _drawn_out(picture: NDArray[np.uint8], covered: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every pixel that is not `covered` takes the colour of the nearest one that is, and not just at the outline, where
    pixels are half wall."""
    inside = cv2.erode(covered, np.ones((2 * OUTLINE + 1, 2 * OUTLINE + 1), np.uint8))
    rows, columns = np.nonzero(inside)
    if not len(rows):
        return picture
    _, label = cv2.distanceTransformWithLabels(1 - inside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    nearest = np.empty(label.max() + 1, np.int64)
    nearest[label[rows, columns]] = rows * picture.shape[1] + columns
    return np.where(covered[..., None] > 0, picture, picture.reshape(-1, 3)[nearest[label]])


def _filled(picture: NDArray[np.uint8], hole: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`picture` with `hole` filled smoothly from around it, coarse to fine."""
    weight = (1 - hole).astype(np.float32)[..., None]
    levels = [np.dstack([picture * weight, weight])]
    while min(levels[-1].shape[:2]) > 1:
        height, width = levels[-1].shape[:2]
        levels.append(cv2.resize(levels[-1], (max(width // 2, 1), max(height // 2, 1)), interpolation=cv2.INTER_AREA))
    filled = levels[-1].reshape(*levels[-1].shape[:2], 4)
    for level in reversed(levels[:-1]):
        coarse = cv2.resize(filled, level.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        coarse = coarse / np.maximum(coarse[..., 3:], 1e-6)
        filled = level + coarse * (1 - level[..., 3:])
    return filled[..., :3].round().clip(0, 255).astype(np.uint8)
