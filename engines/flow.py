"""From a posed head mesh to a dense flow: which point of the source picture shows at each point of the target.

The target mesh is z-buffered; each covered pixel learns where its surface point lies in the source, and whether the
source camera saw it there. Sparse keypoints tear silhouettes; a mesh does not.
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.head_mesh import Part

FLOW_SIZE: Final = 256
"""Cells on a side of the flow over the whole picture."""
EXTENSION_SIZE: Final = 64
"""Cells on a side of the smooth flow beyond the mesh."""
NO_PART: Final = 255
"""Part of a pixel that no triangle covers."""
DEPTH_TOLERANCE: Final = 0.04
"""Decimetres that a surface point may lie behind the source's depth buffer and still count as seen."""
FADE_FROM, FADE_OVER = 4.0, 7.0
"""Cells of the extension beyond the mesh at which the flow begins to fade, and over which it does: hair moves, the
wall does not."""


@dataclass(frozen=True)
class Window:
    """A raster over the picture: `scale` pixels per unit of [-1, 1], the first pixel at (`left`, `top`)."""

    scale: float
    left: int
    top: int
    width: int
    height: int

    @classmethod
    def whole(cls, size: int) -> "Window":
        """The whole picture at `size` x `size`."""
        return cls(size / 2, 0, 0, size, size)

    def cut(self, picture: NDArray[Any]) -> NDArray[Any]:
        """The part of `picture` that the window shows: a view, to read or to write."""
        return picture[self.top : self.top + self.height, self.left : self.left + self.width]

    def centers(self) -> FloatArray:
        """Picture coordinates of the pixel centres, float32 (height, width, 2)."""
        x = (np.arange(self.width, dtype=np.float32) + self.left + 0.5) / self.scale - 1
        y = (np.arange(self.height, dtype=np.float32) + self.top + 0.5) / self.scale - 1
        return np.dstack(np.meshgrid(x, y)).astype(np.float32)


@dataclass(frozen=True)
class Raster:
    """What a window shows: `values` float32 (height, width, A) interpolated attributes, `depth` float32 (height,
    width) in dm (infinite where nothing is), `parts` uint8 (height, width) of `Part` or `NO_PART`."""

    values: FloatArray
    depth: FloatArray
    parts: NDArray[np.uint8]


@numba.njit(nogil=True, cache=True, fastmath=True)
def _rasterize(
    points: Any, attributes: Any, triangles: Any, labels: Any, scale: float, left: int, top: int,
    values: Any, depth: Any, parts: Any,
) -> None:  # fmt: skip
    height, width, count = values.shape
    px = (points[:, 0] + np.float32(1)) * np.float32(scale) - np.float32(0.5 + left)
    py = (points[:, 1] + np.float32(1)) * np.float32(scale) - np.float32(0.5 + top)
    pz = points[:, 2].copy()
    edge = np.float32(-1e-4)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by, cx, cy = px[a], py[a], px[b], py[b], px[c], py[c]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area >= 0:  # y points down here, so the front is wound clockwise
            continue
        x_from, x_to = max(int(np.ceil(min(ax, bx, cx))), 0), min(int(np.floor(max(ax, bx, cx))), width - 1)
        y_from, y_to = max(int(np.ceil(min(ay, by, cy))), 0), min(int(np.floor(max(ay, by, cy))), height - 1)
        if x_from > x_to or y_from > y_to:
            continue
        inverse = np.float32(1) / area
        wb_x, wb_y = (cy - ay) * inverse, (ax - cx) * inverse
        wc_x, wc_y = (ay - by) * inverse, (bx - ax) * inverse
        za, zb, zc = pz[a], pz[b] - pz[a], pz[c] - pz[a]
        for y in range(y_from, y_to + 1):
            dy = np.float32(y) - ay
            for x in range(x_from, x_to + 1):
                dx = np.float32(x) - ax
                wb = dx * wb_x + dy * wb_y
                wc = dx * wc_x + dy * wc_y
                if wb < edge or wc < edge or np.float32(1) - wb - wc < edge:
                    continue
                z = za + wb * zb + wc * zc
                if z >= depth[y, x]:
                    continue
                depth[y, x] = z
                parts[y, x] = labels[t]
                for k in range(count):
                    start = attributes[a, k]
                    values[y, x, k] = start + wb * (attributes[b, k] - start) + wc * (attributes[c, k] - start)


@numba.njit(nogil=True, cache=True)
def _seen(values: Any, parts: Any, source_depth: Any, tolerance: float, out: Any) -> None:
    size = source_depth.shape[0]
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            if parts[y, x] == 255:
                continue
            column = min(max(int((values[y, x, 0] + 1) * 0.5 * size), 0), size - 1)
            row = min(max(int((values[y, x, 1] + 1) * 0.5 * size), 0), size - 1)
            if values[y, x, 2] < source_depth[row, column] + tolerance:
                out[y, x] = 1.0


def rasterize(
    points: FloatArray, attributes: FloatArray, triangles: NDArray[np.int32], parts: NDArray[np.uint8], window: Window
) -> Raster:
    """Z-buffer `triangles` (T, 3) of projected `points` (V, 3) and interpolate `attributes` (V, A) over `window`."""
    shape = (window.height, window.width)
    values = np.zeros((*shape, attributes.shape[1]), np.float32)
    depth = np.full(shape, np.inf, np.float32)
    covered = np.full(shape, NO_PART, np.uint8)
    _rasterize(
        points, attributes, triangles, parts, window.scale, window.left, window.top, values, depth, covered
    )  # fmt: skip
    return Raster(values, depth, covered)


def source_depth(points: FloatArray, triangles: NDArray[np.int32], parts: NDArray[np.uint8]) -> FloatArray:
    """Depth buffer of the source mesh at the flow's resolution, dilated by a cell against speckles."""
    raster = rasterize(points, points[:, :1], triangles, parts, Window.whole(FLOW_SIZE))
    depth = np.where(np.isfinite(raster.depth), raster.depth, 0).astype(np.float32)
    return np.asarray(cv2.dilate(depth, np.ones((3, 3), np.uint8)), np.float32)


def visibility(raster: Raster, depth: FloatArray) -> FloatArray:
    """1 where the source camera saw the surface point, else 0: float32 (height, width).

    The first three values of `raster` are the points' projection (x, y, depth) in the source.
    """
    seen = np.zeros(raster.parts.shape, np.float32)
    _seen(raster.values, raster.parts, depth, DEPTH_TOLERANCE, seen)
    seen[(raster.parts >= Part.UPPER_TEETH) & (raster.parts <= Part.TONGUE)] = 0
    return seen


def picture_flow(raster: Raster, seen: FloatArray, window: Window) -> FloatArray:
    """Displacement from target to source in picture units, float32 (height, width, 2), extended beyond the mesh.

    Outside the mesh the flow of the nearest seen surface goes on (hair and collar follow the head) and fades out.
    """
    weighted = np.zeros((*raster.parts.shape, 3), np.float32)
    _weigh(raster.values, raster.parts, seen, window.scale, window.left, window.top, weighted)
    weighted = cv2.resize(weighted, (EXTENSION_SIZE, EXTENSION_SIZE), interpolation=cv2.INTER_AREA)
    distance = cv2.distanceTransform((weighted[..., 2] == 0).astype(np.uint8), cv2.DIST_L2, 5)
    fade = np.clip(1 - (distance - FADE_FROM) / FADE_OVER, 0, 1)[..., None]
    extended = (_push_pull(weighted) * fade).astype(np.float32)
    flow: FloatArray = cv2.resize(extended, (window.width, window.height), interpolation=cv2.INTER_LINEAR)
    cover_flow(flow, raster, window)
    return flow


def cover_flow(flow: FloatArray, raster: Raster, window: Window) -> None:
    """Replace `flow` (height, width, 2) of `window` by the mesh's own, where the mesh covers it."""
    _cover(raster.values, raster.parts, window.scale, window.left, window.top, flow)


@numba.njit(nogil=True, cache=True)
def _weigh(values: Any, parts: Any, seen: Any, scale: float, left: int, top: int, out: Any) -> None:
    for y in range(parts.shape[0]):
        for x in range(parts.shape[1]):
            if parts[y, x] != 255:
                trust = np.float32(0.02) + np.float32(0.98) * seen[y, x]
                out[y, x, 0] = (values[y, x, 0] - np.float32((x + left + 0.5) / scale - 1)) * trust
                out[y, x, 1] = (values[y, x, 1] - np.float32((y + top + 0.5) / scale - 1)) * trust
                out[y, x, 2] = trust


@numba.njit(nogil=True, cache=True)
def _cover(values: Any, parts: Any, scale: float, left: int, top: int, flow: Any) -> None:
    for y in range(parts.shape[0]):
        for x in range(parts.shape[1]):
            if parts[y, x] != 255:
                flow[y, x, 0] = values[y, x, 0] - np.float32((x + left + 0.5) / scale - 1)
                flow[y, x, 1] = values[y, x, 1] - np.float32((y + top + 0.5) / scale - 1)


def _push_pull(weighted: FloatArray) -> FloatArray:
    """Fill (height, width, 2 + weight) of weighted values by its own pyramid: (height, width, 2)."""
    levels = [weighted]
    while min(levels[-1].shape[:2]) > 2:
        height, width = levels[-1].shape[:2]
        levels.append(cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
    filled = _normalize(levels[-1])
    for level in reversed(levels[:-1]):
        height, width = level.shape[:2]
        coarse = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR)
        weight = np.minimum(level[..., 2:] * 4, 1)
        filled = np.asarray(coarse + (_normalize(level) - coarse) * weight, np.float32)
    return filled


def _normalize(weighted: FloatArray) -> FloatArray:
    return np.asarray(weighted[..., :2] / np.maximum(weighted[..., 2:], 1e-6), np.float32)
