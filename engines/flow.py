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
GRAZING: Final = 0.35
"""Pixels of the source per pixel of the target below which surface counts as seen at a grazing angle."""
FADE_FROM, FADE_OVER = 4.0, 7.0
"""Cells of the extension beyond the mesh at which the flow begins to fade, and over which it does: stray hair moves,
the wall does not."""
_NOTHING: Final = -1
_EDGE: Final = np.float32(1e-4)
"""By how much (barycentric) a triangle reaches over its edge, so that no seam opens between two."""


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

    def pixels(self, points: FloatArray) -> FloatArray:
        """Projected `points` (V, 3) in pixels of the window, pixel centres at whole numbers; the depth is kept."""
        placed = points.copy()
        placed[:, :2] = (points[:, :2] + 1) * np.float32(self.scale) - np.float32(0.5)
        placed[:, :2] -= np.array([self.left, self.top], np.float32)
        return placed


@dataclass(frozen=True)
class Raster:
    """What shows at each pixel of a window: `triangle` int32 (height, width), -1 where none does, and `depth` float32
    (height, width) in dm, infinite where nothing is; `pixels` float32 (V, 3) are the vertices that were drawn."""

    pixels: FloatArray
    triangle: NDArray[np.int32]
    depth: FloatArray

    def covered(self) -> NDArray[np.uint8]:
        """1 where the mesh is, else 0: uint8 (height, width)."""
        return (self.triangle != _NOTHING).astype(np.uint8)

    def interpolate(self, triangles: NDArray[np.int32], attributes: FloatArray) -> FloatArray:
        """`attributes` (V, A) of the vertices at every pixel: float32 (height, width, A), 0 where nothing is."""
        values = np.zeros((*self.triangle.shape, attributes.shape[1]), np.float32)
        _interpolate(self.pixels, triangles, self.triangle, attributes, values)
        return values

    def parts(self, parts: NDArray[np.uint8], window: Window | None = None) -> NDArray[np.uint8]:
        """`Part` of every pixel of `window`, uint8 (height, width), or `NO_PART`, from the triangles' `parts` (T,)."""
        nearest = window.cut(self.triangle) if window else self.triangle
        return np.where(nearest == _NOTHING, NO_PART, parts[nearest]).astype(np.uint8)


@dataclass(frozen=True)
class SourceView:
    """How the source camera saw the mesh: `pixels` float32 (V, 3), its vertices in the picture; `covered` uint8 (N, N),
    1 where the mesh is, and `near`, 1 within `atlas.HALO` of it; `depth` float32 (2, N, N) in dm, 0 where nothing is:
    the farthest within two pixels, against speckles, and the nearest, for surface seen at a grazing angle."""

    pixels: FloatArray
    covered: NDArray[np.uint8]
    near: NDArray[np.uint8]
    depth: FloatArray


@dataclass(frozen=True)
class Flow:
    """Where the target's pixels lie in the source's `atlas`, as `cv2.remap` takes it: `grid` int16 (N, N, 2) in whole
    pixels and `fraction` uint16 (N, N), 32 y + x in 32nds; `seen` uint8 (N, N), 255 where the source camera saw the
    surface, else 0; `coarse` float32 (64, 64, 2), the displacement from target to source in picture units, smooth,
    also beyond the mesh."""

    grid: NDArray[np.int16]
    fraction: NDArray[np.uint16]
    seen: NDArray[np.uint8]
    coarse: FloatArray


def rasterize(points: FloatArray, triangles: NDArray[np.int32], window: Window) -> Raster:
    """Z-buffer the front faces of `triangles` (T, 3) of projected `points` (V, 3) over `window`."""
    pixels = window.pixels(points)
    depth = np.full((window.height, window.width), np.inf, np.float32)
    nearest = np.full((window.height, window.width), _NOTHING, np.int32)
    _rasterize(pixels, triangles, nearest, depth)
    return Raster(pixels, nearest, depth)


def view_source(points: FloatArray, triangles: NDArray[np.int32], size: int) -> SourceView:
    """The mesh in the source picture, its vertices `points` (V, 3) as projected there."""
    raster = rasterize(points, triangles, Window.whole(size))
    covered = raster.covered()
    depth = np.where(covered, raster.depth, 0)
    around = np.ones((5, 5), np.uint8)
    depths = np.stack([cv2.dilate(depth, around), cv2.erode(depth, around)]).astype(np.float32)
    return SourceView(raster.pixels, covered, atlas.with_halo(covered), depths)


def flow_to_source(raster: Raster, triangles: NDArray[np.int32], parts: NDArray[np.uint8], source: SourceView) -> Flow:
    """Flow of the whole picture.

    Outside the mesh the flow of the nearest seen surface goes on (stray hair follows the head) and fades; where it
    would show the figure, or the hair around it, a second time, the backdrop shows.
    """
    size = raster.depth.shape[0]
    grid, fraction = np.empty((size, size, 2), np.int16), np.empty((size, size), np.uint16)
    seen = np.zeros((size, size), np.uint8)
    weighted = np.zeros((EXTENSION_SIZE, EXTENSION_SIZE, 3), np.float32)
    planes, known = np.empty((len(triangles), 9), np.float32), np.zeros(len(triangles), np.bool_)
    _trace(
        raster.pixels, triangles, parts, raster.triangle, source.pixels, source.depth, planes, known,
        grid, fraction, seen, weighted,
    )  # fmt: skip
    distance = cv2.distanceTransform((weighted[..., 2] == 0).astype(np.uint8), cv2.DIST_L2, 5)
    fade = np.clip(1 - (distance - FADE_FROM) / FADE_OVER, 0, 1)[..., None]
    extended = (_push_pull(weighted) * fade).astype(np.float32)
    near = atlas.with_halo(raster.covered())
    _extend(raster.triangle, near, extended, source.covered, source.near, grid, fraction)
    return Flow(grid, fraction, seen, extended * np.float32(2 / size))


@numba.njit(nogil=True, cache=True, fastmath=True)
def _rasterize(pixels: Any, triangles: Any, nearest: Any, depth: Any) -> None:
    height, width = depth.shape
    zero, far_left, far_right = np.float32(0), np.float32(0), np.float32(width - 1)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by, cx, cy = pixels[a, 0], pixels[a, 1], pixels[b, 0], pixels[b, 1], pixels[c, 0], pixels[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area >= 0:  # y points down here, so the front is wound clockwise
            continue
        y_from, y_to = max(int(np.ceil(min(ay, by, cy))), 0), min(int(np.floor(max(ay, by, cy))), height - 1)
        left, right = max(np.ceil(min(ax, bx, cx)), far_left), min(np.floor(max(ax, bx, cx)), far_right)
        if left > right or y_from > y_to:
            continue
        inverse = np.float32(1) / area
        wb_x, wb_y = (cy - ay) * inverse, (ax - cx) * inverse
        wc_x, wc_y = (ay - by) * inverse, (bx - ax) * inverse
        wa_x = -wb_x - wc_x
        zb, zc = pixels[b, 2] - pixels[a, 2], pixels[c, 2] - pixels[a, 2]
        z_x = wb_x * zb + wc_x * zc
        for y in range(y_from, y_to + 1):
            dy = np.float32(y) - ay
            wb, wc = dy * wb_y - ax * wb_x, dy * wc_y - ax * wc_x  # at x = 0
            x_from, x_to = left, right
            for w, w_x in ((wb, wb_x), (wc, wc_x), (np.float32(1) - wb - wc, wa_x)):
                reach = w + _EDGE  # the row is inside where reach + x * w_x >= 0
                if w_x > zero:
                    x_from = max(x_from, -reach / w_x)
                elif w_x < zero:
                    x_to = min(x_to, -reach / w_x)
                elif reach < zero:
                    x_to = np.float32(-1)
            z_start = pixels[a, 2] + wb * zb + wc * zc
            for x in range(int(np.ceil(x_from)), int(np.floor(x_to)) + 1):
                z = z_start + np.float32(x) * z_x
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
def _interpolate(pixels: Any, triangles: Any, nearest: Any, attributes: Any, values: Any) -> None:
    for y in range(nearest.shape[0]):
        for x in range(nearest.shape[1]):
            t = nearest[y, x]
            if t >= 0:
                a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
                wb, wc = barycentric(pixels, a, b, c, x, y)
                for k in range(attributes.shape[1]):
                    start = attributes[a, k]
                    values[y, x, k] = start + wb * (attributes[b, k] - start) + wc * (attributes[c, k] - start)


@numba.njit(nogil=True, cache=True, fastmath=True)
def _trace(
    pixels: Any, triangles: Any, parts: Any, nearest: Any, source: Any, source_depth: Any, planes: Any, known: Any,
    grid: Any, fraction: Any, seen: Any, weighted: Any,
) -> None:  # fmt: skip
    """Follow every covered pixel to the source; add up, per cell, how far it moved and whether it was seen."""
    size = nearest.shape[0]
    cell = size // weighted.shape[0]
    first_inside, last_inside = np.uint8(Part.UPPER_TEETH), np.uint8(Part.TONGUE)
    last = size - 1
    picture, stretched = atlas.PICTURE * size, np.float32(GRAZING)
    current, inside, grazing = -1, False, False
    sx_0 = sx_x = sx_y = sy_0 = sy_x = sy_y = z_0 = z_x = z_y = np.float32(0)
    for y in range(size):
        for x in range(size):
            t = nearest[y, x]
            if t < 0:
                continue
            if t != current:
                current = t
                plane = planes[t]
                if not known[t]:
                    known[t] = True
                    _fit_plane(pixels, triangles[t], source, plane)
                sx_0, sx_x, sx_y, sy_0, sy_x, sy_y = plane[0], plane[1], plane[2], plane[3], plane[4], plane[5]
                z_0, z_x, z_y = plane[6], plane[7], plane[8]
                grazing = sx_x * sy_y - sx_y * sy_x < stretched
                inside = parts[t] >= first_inside and parts[t] <= last_inside
            u, v = np.float32(x), np.float32(y)
            sx = sx_0 + u * sx_x + v * sx_y
            sy = sy_0 + u * sy_x + v * sy_y
            column, row = _place(grid[y, x], fraction, y, x, sx, sy, last)
            trust = np.float32(0.02)
            if not inside and z_0 + u * z_x + v * z_y < source_depth[1 if grazing else 0, row, column]:
                trust = np.float32(1)
                seen[y, x] = 255
                if not grazing:
                    grid[y, x, 1] += picture
            if (x & 1) == 0 and (y & 1) == 0:
                into = weighted[y // cell, x // cell]
                into[0] += (sx - u) * trust
                into[1] += (sy - v) * trust
                into[2] += trust


@numba.njit(nogil=True, cache=True, fastmath=True)
def _fit_plane(pixels: Any, triangle: Any, source: Any, plane: Any) -> None:
    """Coefficients (9,) of 1, x and y for the x, y and depth in the source of a triangle's pixels. The depth comes
    short by the tolerance."""
    a, b, c = triangle[0], triangle[1], triangle[2]
    ax, ay, bx, by, cx, cy = pixels[a, 0], pixels[a, 1], pixels[b, 0], pixels[b, 1], pixels[c, 0], pixels[c, 1]
    inverse = np.float32(1) / ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
    wb_x, wb_y, wc_x, wc_y = (cy - ay) * inverse, (ax - cx) * inverse, (ay - by) * inverse, (bx - ax) * inverse
    for k in range(3):
        start, to_b, to_c = source[a, k], source[b, k] - source[a, k], source[c, k] - source[a, k]
        slope_x, slope_y = wb_x * to_b + wc_x * to_c, wb_y * to_b + wc_y * to_c
        plane[3 * k] = start - ax * slope_x - ay * slope_y - (np.float32(DEPTH_TOLERANCE) if k == 2 else np.float32(0))
        plane[3 * k + 1], plane[3 * k + 2] = slope_x, slope_y


@numba.njit(nogil=True, cache=True, fastmath=True, inline="always")
def _place(cell: Any, fraction: Any, y: int, x: int, sx: float, sy: float, last: int) -> Any:
    """Write a place in the source as fixed-point; returns the nearest column and row."""
    fixed_x = min(max(int(sx * np.float32(32) + np.float32(0.5)), 0), last * 32)
    fixed_y = min(max(int(sy * np.float32(32) + np.float32(0.5)), 0), last * 32)
    cell[0], cell[1] = fixed_x >> 5, fixed_y >> 5
    fraction[y, x] = ((fixed_y & 31) << 5) | (fixed_x & 31)
    return (fixed_x + 16) >> 5, (fixed_y + 16) >> 5


@numba.njit(nogil=True, cache=True, fastmath=True)
def _extend(nearest: Any, near: Any, coarse: Any, covered: Any, near_source: Any, grid: Any, fraction: Any) -> None:
    """Fill the grid where nothing covers it from the smooth flow, bilinearly."""
    size, cells = nearest.shape[0], coarse.shape[0]
    picture, backdrop = atlas.PICTURE * size, atlas.BACKDROP * size
    scale = np.float32(cells / size)
    last = size - 1
    blend = np.empty((cells, 2), np.float32)
    still = np.empty(cells, np.bool_)
    lefts, shares = np.empty(size, np.int32), np.empty(size, np.float32)
    for x in range(size):
        u = min(max((np.float32(x) + np.float32(0.5)) * scale - np.float32(0.5), np.float32(0)), np.float32(cells - 1))
        lefts[x] = min(int(u), cells - 2)
        shares[x] = u - np.float32(lefts[x])
    for y in range(size):
        v = min(max((np.float32(y) + np.float32(0.5)) * scale - np.float32(0.5), np.float32(0)), np.float32(cells - 1))
        top = min(int(v), cells - 2)
        v -= np.float32(top)
        for column in range(cells):
            for k in range(2):
                blend[column, k] = coarse[top, column, k] * (np.float32(1) - v) + coarse[top + 1, column, k] * v
            still[column] = blend[column, 0] == 0 and blend[column, 1] == 0
        for x in range(size):
            if nearest[y, x] >= 0:
                continue
            left, u = lefts[x], shares[x]
            if still[left] and still[left + 1] and not near_source[y, x]:
                grid[y, x, 0], grid[y, x, 1], fraction[y, x] = x, y + picture, 0
                continue
            sx = np.float32(x) + blend[left, 0] + u * (blend[left + 1, 0] - blend[left, 0])
            sy = np.float32(y) + blend[left, 1] + u * (blend[left + 1, 1] - blend[left, 1])
            column, row = _place(grid[y, x], fraction, y, x, sx, sy, last)
            if covered[row, column] or (near_source[row, column] and not near[y, x]):
                grid[y, x, 0], grid[y, x, 1], fraction[y, x] = x, y + backdrop, 0
            else:
                grid[y, x, 1] += picture


def _push_pull(weighted: FloatArray) -> FloatArray:
    """Fill (height, width, 2 + weight) of weighted values by its own pyramid: (height, width, 2)."""
    weighted = weighted / np.float32(16)  # a full cell weighs 1
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
