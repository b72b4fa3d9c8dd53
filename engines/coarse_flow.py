"""The smooth flow of a whole picture: how far its cells moved, also those that the mesh does not cover.

Beyond the mesh the gaps are filled by push and pull over a pyramid (Gortler et al. 1996, "The Lumigraph"), and what
lies farther away moves less and less.
"""

from typing import Any, Final

import cv2
import numpy as np

from engines.compiled import compiled
from engines.expression import FloatArray
from engines.place import MASK
from engines.raster import Window

EXTENSION_SIZE: Final = 64
"""Cells on a side."""
FADE_FROM, FADE_OVER = 4.0, 7.0
"""Cells beyond the mesh at which the flow begins to fade, and over which it does."""


def coarse_flow(window: Window, cell: int, moved: FloatArray) -> FloatArray:
    """`Flow.coarse` of the whole picture, given what `gather` says of the cells of a window: beyond it nothing
    moves."""
    size = EXTENSION_SIZE, EXTENSION_SIZE
    weighted, bare = np.empty((*size, 3), np.float32), np.empty(size, np.uint8)
    _weigh(moved, window.top // cell, window.left // cell, weighted, bare)
    distance = cv2.distanceTransform(bare, cv2.DIST_L2, 5)
    coarse: FloatArray = _push_pull(weighted)
    _fade(coarse, distance, np.float32(window.scale))
    return coarse


@compiled()
def _weigh(moved: Any, top: int, left: int, weighted: Any, bare: Any) -> None:
    """Means of what `moved` within a window, weighted by how much was seen, and which cells are `bare` of the mesh;
    beyond the window nothing moves for sure."""
    weighted[:], bare[:] = 0, 0
    weighted[..., 2] = 1
    for y in range(moved.shape[0]):
        for x in range(moved.shape[1]):
            for k in range(3):
                weighted[top + y, left + x, k] = moved[y, x, k] * np.float32(1 / 16)
            bare[top + y, left + x] = 1 if moved[y, x, 2] == 0 else 0


@compiled()
def _fade(coarse: Any, distance: Any, scale: Any) -> None:
    """Let what is at a `distance` from the mesh move less, and all of it in units of the picture, in place."""
    one, zero = np.float32(1), np.float32(0)
    for y in range(coarse.shape[0]):
        for x in range(coarse.shape[1]):
            near = one - (distance[y, x] - np.float32(FADE_FROM)) / np.float32(FADE_OVER)
            near = min(max(near, zero), one)
            for k in range(2):
                coarse[y, x, k] = coarse[y, x, k] * near / scale


@compiled(fastmath=True)
def gather(y: int, nearest: Any, place: Any, seen: Any, moved: Any) -> None:
    """Add up, per cell of a row of them, how far every second covered pixel of row `y` moved; what was not seen counts
    little."""
    cell = nearest.size // moved.shape[0]
    for column in range(moved.shape[0]):
        across = down = total = np.float32(0)
        for x in range(column * cell, (column + 1) * cell, 2):
            if nearest[x] >= 0:
                trust = np.float32(1) if seen[x] else np.float32(0.02)
                across += (np.float32(place[x] & MASK) * np.float32(1 / 32) - np.float32(x)) * trust
                down += (np.float32(place[x] >> 14 & MASK) * np.float32(1 / 32) - np.float32(y)) * trust
                total += trust
        into = moved[column]
        into[0], into[1], into[2] = into[0] + across, into[1] + down, into[2] + total


@compiled(fastmath=True)
def _push_pull(weighted: Any) -> Any:
    """Fill (N, N, 2 + weight) of weighted values, N a power of 2, by its own pyramid: (N, N, 2). A weight of 0.25 or
    more needs no help from the coarser cells."""
    size = weighted.shape[0]
    filled = np.empty((size, size, 2), np.float32)
    if size > 2:
        halved = np.empty((size // 2, size // 2, 3), np.float32)
        for y in range(size // 2):
            for x in range(size // 2):
                for k in range(3):
                    upper = weighted[2 * y, 2 * x, k] + weighted[2 * y, 2 * x + 1, k]
                    lower = weighted[2 * y + 1, 2 * x, k] + weighted[2 * y + 1, 2 * x + 1, k]
                    halved[y, x, k] = (upper + lower) * np.float32(0.25)
        coarse = _push_pull(halved)
        near, far, last = np.float32(0.75), np.float32(0.25), size // 2 - 1
        for y in range(size):
            y_near, y_far = y // 2, min(max(y // 2 + (1 if y & 1 else -1), 0), last)
            for x in range(size):
                x_near, x_far = x // 2, min(max(x // 2 + (1 if x & 1 else -1), 0), last)
                for k in range(2):
                    beside = near * coarse[y_near, x_near, k] + far * coarse[y_near, x_far, k]
                    beyond = near * coarse[y_far, x_near, k] + far * coarse[y_far, x_far, k]
                    filled[y, x, k] = near * beside + far * beyond
    else:
        filled[:] = 0
    for y in range(size):
        for x in range(size):
            weight = weighted[y, x, 2]
            own = min(weight * np.float32(4), np.float32(1)) if size > 2 else np.float32(1)
            for k in range(2):
                value = weighted[y, x, k] / max(weight, np.float32(1e-6))
                filled[y, x, k] += (value - filled[y, x, k]) * own
    return filled
