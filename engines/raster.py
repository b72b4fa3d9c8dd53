"""Z-buffering a projected mesh: which triangle shows at each pixel, and what its corners say there."""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.compiled import compiled
from engines.expression import FloatArray

NO_PART: Final = 255
"""Part of a pixel that no triangle covers."""
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

    def within(self, outer: "Window") -> "Window":
        """The same for whoever has only what `outer` shows."""
        return replace(self, left=self.left - outer.left, top=self.top - outer.top)

    def cut(self, picture: NDArray[Any]) -> NDArray[Any]:
        """The part of `picture` that the window shows: a view, to read or to write."""
        return picture[self.top : self.top + self.height, self.left : self.left + self.width]

    def pixels(self, points: FloatArray) -> FloatArray:
        """Projected `points` (V, 3) in pixels of the window, pixel centres at whole numbers; the depth is kept."""
        pixels = points.astype(np.float32)
        middle = self.scale - 0.5
        _to_pixels(pixels, np.float32(self.scale), np.float32(middle - self.left), np.float32(middle - self.top))
        return pixels


@compiled()
def _to_pixels(points: Any, scale: Any, across: Any, down: Any) -> None:
    """In place; NumPy is slow over rows of three."""
    for v in range(len(points)):
        points[v, 0], points[v, 1] = points[v, 0] * scale + across, points[v, 1] * scale + down


@dataclass(frozen=True)
class Raster:
    """What shows at each pixel of a `window`: `triangle` int32 (height, width), -1 where none does, and `depth` float32
    (height, width) in dm, infinite where nothing is; `pixels` float32 (V, 3) are the vertices that were drawn."""

    window: Window
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
        """`Part` of every pixel, or of those of a `window`, uint8 (height, width), or `NO_PART`; `parts` (T,) are the
        triangles'."""
        nearest = window.within(self.window).cut(self.triangle) if window else self.triangle
        return np.where(nearest == _NOTHING, NO_PART, parts[nearest]).astype(np.uint8)


def rasterize(points: FloatArray, triangles: NDArray[np.int32], window: Window) -> Raster:
    """Z-buffer the front faces of `triangles` (T, 3) of projected `points` (V, 3) over `window`."""
    pixels = window.pixels(points)
    depth = np.full((window.height, window.width), np.inf, np.float32)
    nearest = np.full((window.height, window.width), _NOTHING, np.int32)
    _rasterize(pixels, triangles, *depth.shape, nearest.ravel(), depth.ravel())
    return Raster(window, pixels, nearest, depth)


@compiled(fastmath=True)
def _rasterize(pixels: Any, triangles: Any, height: int, width: int, nearest: Any, depth: Any) -> None:
    """Every pixel of the box around a triangle is tried. The pictures are flat."""
    one, zero = np.float32(1), np.float32(0)
    for t in range(triangles.shape[0]):
        # Indices that cannot be negative need not be checked for counting from the end.
        a, b, c = np.uintp(triangles[t, 0]), np.uintp(triangles[t, 1]), np.uintp(triangles[t, 2])
        ax, ay, bx, by, cx, cy = pixels[a, 0], pixels[a, 1], pixels[b, 0], pixels[b, 1], pixels[c, 0], pixels[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area >= 0:  # y points down here, so the front is wound clockwise
            continue
        top, bottom = max(int(np.ceil(min(ay, by, cy))), 0), min(int(np.floor(max(ay, by, cy))), height - 1)
        left, right = max(int(np.ceil(min(ax, bx, cx))), 0), min(int(np.floor(max(ax, bx, cx))), width - 1)
        if left > right or top > bottom:
            continue
        inverse = one / area
        wb_x, wb_y = (cy - ay) * inverse, (ax - cx) * inverse
        wc_x, wc_y = (ay - by) * inverse, (bx - ax) * inverse
        wa_x, wa_y = -wb_x - wc_x, -wb_y - wc_y
        zb, zc = pixels[b, 2] - pixels[a, 2], pixels[c, 2] - pixels[a, 2]
        z_x, z_y = wb_x * zb + wc_x * zc, wb_y * zb + wc_y * zc
        dx, dy = np.float32(left) - ax, np.float32(top) - ay
        wb, wc = dx * wb_x + dy * wb_y, dx * wc_x + dy * wc_y
        z = pixels[a, 2] + wb * zb + wc * zc
        wa, wb, wc = one - wb - wc + _EDGE, wb + _EDGE, wc + _EDGE
        # The compiler takes sixteen pixels of a row at once if none are left over and none skipped: beyond the box, and
        # where another triangle is nearer, they stay as they are.
        count = np.int32(right - left + 1)
        steps, wide = np.int32((count + 15) & -16), np.float32(count)
        for y in range(top, bottom + 1):
            first = np.uintp(y * width + left)
            for i in range(min(steps, np.int32(depth.size - first))):
                x = np.float32(np.int32(i))
                at, deep = first + np.uintp(i), z + x * z_x
                inside = (min(wa + x * wa_x, wb + x * wb_x, wc + x * wc_x) >= zero) & (x < wide)
                wins = inside & (deep < depth[at])
                depth[at] = deep if wins else depth[at]
                nearest[at] = t if wins else nearest[at]
            wa, wb, wc, z = wa + wa_y, wb + wb_y, wc + wc_y, z + z_y


@compiled(fastmath=True, inline="always")
def barycentric(pixels: Any, a: int, b: int, c: int, x: int, y: int) -> Any:
    """Weights of the corners `b` and `c` of a triangle at a pixel; callable from compiled code."""
    ax, ay, bx, by, cx, cy = pixels[a, 0], pixels[a, 1], pixels[b, 0], pixels[b, 1], pixels[c, 0], pixels[c, 1]
    inverse = np.float32(1) / ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
    dx, dy = np.float32(x) - ax, np.float32(y) - ay
    return (dx * (cy - ay) - dy * (cx - ax)) * inverse, (dy * (bx - ax) - dx * (by - ay)) * inverse


@compiled(fastmath=True)
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
