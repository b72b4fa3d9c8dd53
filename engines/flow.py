"""From a posed head mesh to a dense flow: which point of the source picture shows at each pixel of the target.

The target mesh is z-buffered; each covered pixel learns where its surface point lies in the source, and whether the
source camera saw it there. Sparse keypoints tear silhouettes; a mesh does not.
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from engines import atlas
from engines.expression import FloatArray
from engines.head_mesh import Part

EXTENSION_SIZE: Final = 64
"""Cells on a side of the smooth flow beyond the mesh."""
NO_PART: Final = 255
"""Part of a pixel that no triangle covers."""
DEPTH_TOLERANCE: Final = 0.04
"""Decimetres that a surface point may lie behind the source's depth buffer and still count as seen."""
FADE_FROM, FADE_OVER = 4.0, 7.0
"""Cells of the extension beyond the mesh at which the flow begins to fade, and over which it does: stray hair moves,
the wall does not."""
_NOTHING: Final = -1


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

    def pixels(self, points: FloatArray) -> FloatArray:
        """Projected `points` (V, 3) in pixels of the window, pixel centres at whole numbers; the depth is kept."""
        placed = points.copy()
        placed[:, :2] = (points[:, :2] + 1) * np.float32(self.scale) - np.float32(0.5)
        placed[:, :2] -= np.array([self.left, self.top], np.float32)
        return placed


@dataclass(frozen=True)
class Raster:
    """What shows at each pixel of a window: `triangle` int32 (height, width), -1 where none does, and `depth` float32
    (height, width) in dm, infinite where nothing is. `pixels` float32 (V, 3) are the vertices that were drawn."""

    pixels: FloatArray
    triangle: NDArray[np.int32]
    depth: FloatArray

    def parts(self, parts: NDArray[np.uint8], window: Window | None = None) -> NDArray[np.uint8]:
        """`Part` of every pixel of `window`, uint8 (height, width), or `NO_PART`, from the triangles' `parts` (T,)."""
        nearest = window.cut(self.triangle) if window else self.triangle
        return np.where(nearest == _NOTHING, NO_PART, parts[nearest]).astype(np.uint8)


@dataclass(frozen=True)
class Flow:
    """Where the target's pixels lie in the source. `grid` float32 (N, N, 2) in pixels of its `atlas`; `seen` uint8
    (N, N), 255 where the source camera saw the surface, else 0; `coarse` float32 (64, 64, 2), the displacement from
    target to source in picture units, smooth, also beyond the mesh."""

    grid: FloatArray
    seen: NDArray[np.uint8]
    coarse: FloatArray


def rasterize(points: FloatArray, triangles: NDArray[np.int32], window: Window) -> Raster:
    """Z-buffer the front faces of `triangles` (T, 3) of projected `points` (V, 3) over `window`."""
    pixels = window.pixels(points)
    depth = np.full((window.height, window.width), np.inf, np.float32)
    nearest = np.full((window.height, window.width), _NOTHING, np.int32)
    _rasterize(pixels, triangles, nearest, depth)
    return Raster(pixels, nearest, depth)


def source_depth(points: FloatArray, triangles: NDArray[np.int32], size: int) -> FloatArray:
    """Depth buffer (size, size) of the source mesh; 0 where nothing is."""
    raster = rasterize(points, triangles, Window.whole(size))
    return np.where(np.isfinite(raster.depth), raster.depth, 0).astype(np.float32)


def flow_to_source(
    raster: Raster, triangles: NDArray[np.int32], parts: NDArray[np.uint8], source: FloatArray, depth: FloatArray
) -> Flow:
    """Flow of the whole picture. `source` (V, 3) are the vertices as projected in the source picture, `depth` (N, N)
    its `source_depth`.

    Outside the mesh the flow of the nearest seen surface goes on (stray hair follows the head) and fades; where it
    would show the figure a second time, the backdrop shows.
    """
    size = raster.depth.shape[0]
    grid = np.empty((size, size, 2), np.float32)
    seen = np.zeros((size, size), np.uint8)
    weighted = np.zeros((EXTENSION_SIZE, EXTENSION_SIZE, 3), np.float32)
    placed = Window.whole(size).pixels(source)
    far = cv2.dilate(depth, np.ones((5, 5), np.uint8))  # against speckles
    _trace(raster.pixels, triangles, parts, raster.triangle, placed, far, DEPTH_TOLERANCE, grid, seen, weighted)
    distance = cv2.distanceTransform((weighted[..., 2] == 0).astype(np.uint8), cv2.DIST_L2, 5)
    fade = np.clip(1 - (distance - FADE_FROM) / FADE_OVER, 0, 1)[..., None]
    extended = (_push_pull(weighted) * fade).astype(np.float32)
    _extend(raster.triangle, extended, depth, grid)
    return Flow(grid, seen, extended * np.float32(2 / size))


@numba.njit(nogil=True, cache=True, fastmath=True)
def _rasterize(pixels: Any, triangles: Any, nearest: Any, depth: Any) -> None:
    height, width = depth.shape
    edge = np.float32(-1e-4)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by, cx, cy = pixels[a, 0], pixels[a, 1], pixels[b, 0], pixels[b, 1], pixels[c, 0], pixels[c, 1]
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
        za, zb, zc = pixels[a, 2], pixels[b, 2] - pixels[a, 2], pixels[c, 2] - pixels[a, 2]
        for y in range(y_from, y_to + 1):
            dy = np.float32(y) - ay
            for x in range(x_from, x_to + 1):
                dx = np.float32(x) - ax
                wb = dx * wb_x + dy * wb_y
                wc = dx * wc_x + dy * wc_y
                if wb < edge or wc < edge or np.float32(1) - wb - wc < edge:
                    continue
                z = za + wb * zb + wc * zc
                if z < depth[y, x]:
                    depth[y, x] = z
                    nearest[y, x] = t


@numba.njit(nogil=True, cache=True, fastmath=True, inline="always")
def barycentric(pixels: Any, a: int, b: int, c: int, x: int, y: int) -> Any:
    """Weights of the corners `b` and `c` of a triangle at a pixel; callable from compiled code."""
    ax, ay, bx, by, cx, cy = pixels[a, 0], pixels[a, 1], pixels[b, 0], pixels[b, 1], pixels[c, 0], pixels[c, 1]
    inverse = np.float32(1) / ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
    dx, dy = np.float32(x) - ax, np.float32(y) - ay
    return (dx * (cy - ay) - dy * (cx - ax)) * inverse, (dy * (bx - ax) - dx * (by - ay)) * inverse


@numba.njit(nogil=True, cache=True, fastmath=True)
def _trace(
    pixels: Any, triangles: Any, parts: Any, nearest: Any, source: Any, source_depth: Any, tolerance: float,
    grid: Any, seen: Any, weighted: Any,
) -> None:  # fmt: skip
    """Follow every covered pixel to the source; add up, per cell, how far it moved and whether it was seen."""
    size = nearest.shape[0]
    cell = size // weighted.shape[0]
    near, last = np.float32(tolerance), np.float32(size - 1)
    first_inside, last_inside = np.uint8(Part.UPPER_TEETH), np.uint8(Part.TONGUE)
    for y in range(size):
        for x in range(size):
            t = nearest[y, x]
            if t < 0:
                continue
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            wb, wc = barycentric(pixels, a, b, c, x, y)
            wa = np.float32(1) - wb - wc
            sx = wa * source[a, 0] + wb * source[b, 0] + wc * source[c, 0]
            sy = wa * source[a, 1] + wb * source[b, 1] + wc * source[c, 1]
            sz = wa * source[a, 2] + wb * source[b, 2] + wc * source[c, 2]
            grid[y, x, 0], grid[y, x, 1] = min(max(sx, np.float32(0)), last), min(max(sy, np.float32(0)), last)
            trust = np.float32(0.02)
            part = parts[t]
            if part < first_inside or part > last_inside:
                column = min(max(int(sx + np.float32(0.5)), 0), size - 1)
                row = min(max(int(sy + np.float32(0.5)), 0), size - 1)
                if sz < source_depth[row, column] + near:
                    trust = np.float32(1)
                    seen[y, x] = 255
            into = weighted[y // cell, x // cell]
            into[0] += (sx - x) * trust
            into[1] += (sy - y) * trust
            into[2] += trust


@numba.njit(nogil=True, cache=True, fastmath=True)
def _extend(nearest: Any, coarse: Any, source_depth: Any, grid: Any) -> None:
    """Fill the grid where nothing covers it from the smooth flow, bilinearly."""
    air, backdrop = np.float32(atlas.AIR * nearest.shape[0]), np.float32(atlas.BACKDROP * nearest.shape[0])
    last = np.float32(nearest.shape[0] - 1)
    size, cells = nearest.shape[0], coarse.shape[0]
    scale = np.float32(cells / size)
    for y in range(size):
        v = min(max((np.float32(y) + np.float32(0.5)) * scale - np.float32(0.5), np.float32(0)), np.float32(cells - 1))
        top = min(int(v), cells - 2)
        v -= np.float32(top)
        for x in range(size):
            if nearest[y, x] >= 0:
                continue
            u = (np.float32(x) + np.float32(0.5)) * scale - np.float32(0.5)
            u = min(max(u, np.float32(0)), np.float32(cells - 1))
            left = min(int(u), cells - 2)
            u -= np.float32(left)
            for k in range(2):
                above = coarse[top, left, k] + u * (coarse[top, left + 1, k] - coarse[top, left, k])
                below = coarse[top + 1, left, k] + u * (coarse[top + 1, left + 1, k] - coarse[top + 1, left, k])
                place = np.float32(x if k == 0 else y) + above + v * (below - above)
                grid[y, x, k] = min(max(place, np.float32(0)), last)
            if source_depth[int(grid[y, x, 1] + np.float32(0.5)), int(grid[y, x, 0] + np.float32(0.5))] > 0:
                grid[y, x, 0], grid[y, x, 1] = np.float32(x), np.float32(y) + backdrop
            else:
                grid[y, x, 1] += air


def _push_pull(weighted: FloatArray) -> FloatArray:
    """Fill (height, width, 2 + weight) of weighted values by its own pyramid: (height, width, 2)."""
    weighted = weighted / np.float32(64)
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
