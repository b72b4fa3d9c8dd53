"""What a source picture holds, sorted by what is looked up in it: three pictures of equal size, one below the other.

A head that turns shows surface that lay at the very edge of its outline, and uncovers what it hid. Looked up in the
picture as it is, the one would bring slivers of the wall along, the other a second ear.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

FIGURE, PICTURE, BACKDROP = 0, 1, 2
"""Which of the pictures, from the top: the figure, its colours drawn out beyond its outline, for surface that the
source saw at a grazing angle or not at all; the picture as it is; and the wall without the figure."""
OUTLINE: Final = 2
"""Pixels that the outline is wide."""
SMOOTHING: Final = 6
"""Passes over each scale of the backdrop."""
HALO: Final = 6
"""Pixels outside it up to which it may show hair."""
_AROUND: Final = np.ones((2 * HALO + 1, 2 * HALO + 1), np.uint8)


def with_halo(covered: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 on the mesh and within `HALO` of it, from where the mesh is, both uint8 (N, N)."""
    return np.asarray(cv2.dilate(covered, _AROUND), np.uint8)


def make_atlas(picture: NDArray[np.uint8], covered: NDArray[np.uint8], near: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`picture` (N, N, 3), and where the mesh is in it and `with_halo`, uint8 (N, N) of 0 and 1, to (3 N, N, 3)."""
    return np.concatenate([_drawn_out(picture, covered), picture, _filled(picture, near)])


def _drawn_out(picture: NDArray[np.uint8], covered: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every pixel beyond the figure, and at its outline, which is half wall, takes the nearest colour inside."""
    inside = cv2.erode(covered, np.ones((2 * OUTLINE + 1, 2 * OUTLINE + 1), np.uint8))
    rows, columns = np.nonzero(inside)
    if not len(rows):
        return picture
    _, label = cv2.distanceTransformWithLabels(1 - inside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    nearest = np.empty(label.max() + 1, np.int64)
    nearest[label[rows, columns]] = rows * picture.shape[1] + columns
    drawn: NDArray[np.uint8] = picture.reshape(-1, 3)[nearest[label]]
    return drawn


def _filled(picture: NDArray[np.uint8], hole: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`picture` with `hole` filled like a membrane stretched over its rim, coarse to fine."""
    known = (1 - hole).astype(np.float32)[..., None]
    levels = [(picture * known, known)]
    while min(levels[-1][0].shape[:2]) > 1:
        half = [max(size // 2, 1) for size in levels[-1][0].shape[1::-1]]
        sums, weight = (cv2.resize(part, half, interpolation=cv2.INTER_AREA) for part in levels[-1])
        levels.append((sums.reshape(*half[::-1], 3), weight.reshape(*half[::-1], 1)))
    sums, weight = levels[-1]
    filled = sums / np.maximum(weight, 1e-6)
    for sums, weight in reversed(levels[:-1]):
        own = sums / np.maximum(weight, 1e-6)
        unknown = weight < 0.5
        filled = cv2.resize(filled, sums.shape[1::-1], interpolation=cv2.INTER_LINEAR).reshape(sums.shape)
        for _ in range(SMOOTHING):
            filled = cv2.blur(np.where(unknown, filled, own), (3, 3)).reshape(sums.shape)
        filled = np.where(unknown, filled, own)
    return filled.round().clip(0, 255).astype(np.uint8)
