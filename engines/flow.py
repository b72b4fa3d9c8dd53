"""From a posed head mesh to a dense flow: which point of the source picture shows at each pixel of the target.

The target mesh is z-buffered; each covered pixel learns where its surface point lies in the source, and whether the
source camera saw it there. Sparse keypoints tear silhouettes; a mesh does not.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from engines import atlas
from engines.expression import FloatArray
from engines.head_mesh import Part
from engines.raster import Raster, Window, barycentric, rasterize

EXTENSION_SIZE: Final = 64
"""Cells on a side of the smooth flow beyond the mesh."""
DEPTH_TOLERANCE: Final = 0.04
"""Decimetres that a surface point may lie behind the source's depth buffer and still count as seen."""
GRAZING: Final = 0.35
"""Pixels of the source per pixel of the target below which surface counts as seen at a grazing angle."""
FADE_FROM, FADE_OVER = 4.0, 7.0
"""Cells of the extension beyond the mesh at which the flow begins to fade, and over which it does."""
STRAY: Final = 16.0
"""Pixels that a head may move before its stray hair is gone; at half of that it begins to fade."""
STRAND: Final = 3
"""Pixels beside hair and garment within which a strand that lay over skin in the source may still do so."""
HIDDEN, PARTLY, WHOLE = 0, 1, 2
"""How much of a triangle a camera saw."""
_THIN: Final = 1e-3
"""Twice the square pixels of a triangle within which rounding may turn it away from the camera."""
_SOFTNESS: Final = 0.8
"""Pixels by which the outline is blurred."""
_SHELF, _MASK, WHERE = 28, (1 << 14) - 1, (1 << 28) - 1
"""Where a place says which picture of the atlas; the bits of a column or row, and of both."""
_NOWHERE: Final = 3 << _SHELF
"""Place of a pixel that the mesh does not cover."""
_SEEN, _MIXED = 1 << 30, 1 << 31
"""Noted with a place until it is settled: the source saw it; or it saw some of the triangle, with `_SEEN` at a grazing
angle."""
_SKIN, _WORN, _PICTURE = (shelf << _SHELF for shelf in (atlas.SKIN, atlas.WORN, atlas.PICTURE))
_MARKS: Final = np.array(
    [
        [_SKIN, _WORN, _MIXED | _SKIN, _MIXED | _WORN, _SEEN | _PICTURE, _SEEN | _PICTURE],
        [_SKIN, _WORN, _MIXED | _SEEN | _SKIN, _MIXED | _SEEN | _WORN, _SEEN | _SKIN, _SEEN | _WORN],
    ],
    np.uint32,
)
"""What is noted at no grazing angle, and at one: for skin and for what is worn, `HIDDEN`, `PARTLY` and `WHOLE`."""


@dataclass(frozen=True)
class Unrolled:
    """Where surface is found that the source does not show: `pixels` float32 (V, 2), the vertices in other pictures of
    the atlas; `shelf` uint8 (T,), in which of them each triangle is, 0 if in none; `strands` uint8 (N, N), 1 where the
    source shows what is worn over skin, be there a mesh of it or not."""

    pixels: FloatArray
    shelf: NDArray[np.uint8]
    strands: NDArray[np.uint8]


@dataclass(frozen=True)
class SourceView:
    """How the source camera saw the mesh: `pixels` float32 (V, 3), its vertices in the picture; `covered` uint8 (N, N),
    1 where the mesh is, and `skin`, 1 where its skin or eyes are; `foreign` uint8 (N, N), 1 where hair and garment can
    show nothing of themselves, 2 where skin cannot, for the other covers all around; `depth` float32 (2, N, N) in dm,
    0 where nothing is: the farthest within two pixels, against speckles, and the nearest, for surface seen at a grazing
    angle; `sight` uint8 (2, T) for the same two, which of the triangles it saw: `HIDDEN`, `PARTLY` or `WHOLE`. Surface
    keeps its place in the source however it is posed, so that this is known beforehand. `parts` uint8 (T,) are those of
    the triangles; `unrolled` is where else they are found, if they are."""

    pixels: FloatArray
    covered: NDArray[np.uint8]
    skin: NDArray[np.uint8]
    foreign: NDArray[np.uint8]
    depth: FloatArray
    sight: NDArray[np.uint8]
    parts: NDArray[np.uint8]
    unrolled: Unrolled | None = None

    @cached_property
    def marks(self) -> NDArray[np.uint32]:
        """What is noted with a place beside where it is, uint32 (2, T): at no grazing angle, and at one."""
        rows = 2 * self.sight + (self.parts >= Part.HAIR)
        return np.stack([table.take(row) for table, row in zip(_MARKS, rows, strict=True)])

    @cached_property
    def inner(self) -> NDArray[np.uint8]:
        """1 where the mesh is, but not at its outline, uint8 (N, N)."""
        return np.asarray(cv2.erode(self.covered, np.ones((3, 3), np.uint8)), np.uint8)


@dataclass(frozen=True)
class Flow:
    """Where the target's pixels lie in the source's `atlas`: `place` uint32 (N, N), bits 0 to 13 the column and 14 to
    27 the row in 32nds of a pixel, bits 28 to 30 which picture of the atlas; `cover` uint8 (N, N), how much of what is
    found there to show, 0 where the backdrop shows (and the place says nothing); `seen` uint8 (N, N), 255 where the
    source camera saw the surface or another did, else 0; `coarse` float32 (64, 64, 2), the displacement from target to
    source in picture units, smooth, also beyond the mesh."""

    place: NDArray[np.uint32]
    cover: NDArray[np.uint8]
    seen: NDArray[np.uint8]
    coarse: FloatArray


def view_source(points: FloatArray, triangles: NDArray[np.int32], parts: NDArray[np.uint8], size: int) -> SourceView:
    """The mesh in the source picture, its vertices `points` (V, 3) as projected there."""
    view = glimpse(points, triangles, parts, Window.whole(size))
    sight = np.zeros((2, len(triangles)), np.uint8)
    _see(view.pixels, triangles, parts, view.foreign, view.depth, sight)
    return replace(view, sight=sight)


def glimpse(points: FloatArray, triangles: NDArray[np.int32], parts: NDArray[np.uint8], window: Window) -> SourceView:
    """The same in a square `window`, for a source that is drawn once: which triangles it saw is found out where they
    are drawn."""
    raster = rasterize(points, triangles, window)
    covered = raster.covered()
    dressed = parts.max() >= Part.HAIR
    skin = (raster.parts(parts) < Part.HAIR).astype(np.uint8) if dressed else covered
    around, beside = np.ones((5, 5), np.uint8), np.ones((3, 3), np.uint8)
    foreign = cv2.erode(skin, beside) + 2 * cv2.erode(covered - skin, beside)
    depth = np.where(covered, raster.depth, 0)
    depths = np.stack([cv2.dilate(depth, around), cv2.erode(depth, around)]).astype(np.float32)
    inside = (parts >= Part.UPPER_TEETH) & (parts <= Part.TONGUE)
    sight = np.tile(np.where(inside, HIDDEN, PARTLY).astype(np.uint8), (2, 1))
    return SourceView(raster.pixels, covered, skin, np.asarray(foreign, np.uint8), depths, sight, parts)


def flow_to_source(
    points: FloatArray, triangles: NDArray[np.int32], window: Window, source: SourceView
) -> tuple[Raster, Flow]:
    """Draw the mesh with its vertices at `points` (V, 3), as projected, in a square `window` of as many whole cells as
    there are, and find all of it in the source.

    Beside the mesh the flow of its rim goes on, for stray hair follows the head; everywhere else the backdrop shows.
    """
    raster = rasterize(points, triangles, window)
    covered = raster.covered()
    soft = np.asarray(cv2.GaussianBlur(covered * np.uint8(255), (3, 3), _SOFTNESS), np.uint8)
    beside = cv2.subtract(atlas.widen(covered, atlas.HALO), covered)
    ways, marks = np.empty((len(triangles), 9), np.float32), np.empty(len(triangles), np.uint32)
    _find_ways(raster.pixels, triangles, source.pixels, source.marks, np.float32(GRAZING), ways, marks)
    place, cover, seen = np.empty(covered.shape, np.uint32), np.empty_like(covered), np.empty_like(covered)
    cell = round(2 * window.scale) // EXTENSION_SIZE
    moved = np.zeros((window.height // cell, window.width // cell, 3), np.float32)
    _follow(raster.triangle, ways, marks, source.foreign, source.depth, soft, place, cover, seen, moved)
    _extend(covered, beside, soft, source.inner, source.skin, place, cover)
    flow = Flow(place, cover, seen, _coarse(window, cell, moved))
    if source.unrolled is not None:
        other, parts = source.unrolled, source.parts
        _look_around(
            raster.triangle, raster.pixels, triangles, parts, other.pixels, other.shelf, other.strands, place, seen
        )
    return raster, flow


def _coarse(window: Window, cell: int, moved: FloatArray) -> FloatArray:
    """`Flow.coarse` of the whole picture, given what `_gather` says of the cells of a window: beyond it nothing
    moves."""
    weighted = np.zeros((EXTENSION_SIZE, EXTENSION_SIZE, 3), np.float32)
    weighted[..., 2] = 1
    row, column = window.top // cell, window.left // cell
    weighted[row : row + moved.shape[0], column : column + moved.shape[1]] = moved * np.float32(1 / 16)
    distance = cv2.distanceTransform((weighted[..., 2] == 0).astype(np.uint8), cv2.DIST_L2, 5)
    fade = np.clip(1 - (distance - FADE_FROM) / FADE_OVER, 0, 1)[..., None]
    return np.asarray(_push_pull(weighted) * fade / np.float32(window.scale), np.float32)


@numba.njit(nogil=True, cache=True, fastmath=True)
def _see(pixels: Any, triangles: Any, parts: Any, foreign: Any, depth: Any, sight: Any) -> None:
    """Which of the triangles the source camera saw, by trying every place that a target's pixel may ask for."""
    size = foreign.shape[0]
    first_inside, last_inside, hair = np.uint8(Part.UPPER_TEETH), np.uint8(Part.TONGUE), np.uint8(Part.HAIR)
    reach = np.float32(0.75)
    for t in range(triangles.shape[0]):
        if parts[t] >= first_inside and parts[t] <= last_inside:
            continue
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by, cx, cy = pixels[a, 0], pixels[a, 1], pixels[b, 0], pixels[b, 1], pixels[c, 0], pixels[c, 1]
        other = 1 if parts[t] >= hair else 2
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < np.float32(1e-3):
            sight[0, t] = sight[1, t] = PARTLY
            continue
        turn = np.float32(1) if area > 0 else np.float32(-1)
        tried, passed_0, passed_1 = 0, 0, 0
        for y in range(int(np.floor(min(ay, by, cy) - reach)), int(np.ceil(max(ay, by, cy) + reach)) + 1):
            for x in range(int(np.floor(min(ax, bx, cx) - reach)), int(np.ceil(max(ax, bx, cx) + reach)) + 1):
                outside = False
                for px, py, qx, qy in ((ax, ay, bx, by), (bx, by, cx, cy), (cx, cy, ax, ay)):
                    ex, ey = qx - px, qy - py
                    away = turn * (ex * (np.float32(y) - py) - ey * (np.float32(x) - px))
                    if away < -reach * np.sqrt(ex * ex + ey * ey):
                        outside = True
                if outside:
                    continue
                row, column = min(max(y, 0), size - 1), min(max(x, 0), size - 1)
                wb, wc = barycentric(pixels, a, b, c, x, y)
                z = pixels[a, 2] + wb * (pixels[b, 2] - pixels[a, 2]) + wc * (pixels[c, 2] - pixels[a, 2])
                z -= np.float32(DEPTH_TOLERANCE)
                tried += 1
                if foreign[row, column] != other:
                    passed_0 += z < depth[0, row, column]
                    passed_1 += z < depth[1, row, column]
        sight[0, t] = WHOLE if passed_0 == tried else (PARTLY if passed_0 else HIDDEN)
        sight[1, t] = WHOLE if passed_1 == tried else (PARTLY if passed_1 else HIDDEN)


@numba.njit(nogil=True, cache=True, fastmath=True)
def _find_ways(
    pixels: Any, triangles: Any, source: Any, marks: Any, grazing: Any, ways: Any, noted: Any
) -> None:  # fmt: skip
    """Per triangle that faces the camera, be it never so thin, how its pixels' column, row and depth in the source
    follow from their own column and row: slopes and start of each into `ways` (T, 9); and what is noted with them, into
    `noted` (T,)."""
    for t in range(triangles.shape[0]):
        a, b, c = np.uintp(triangles[t, 0]), np.uintp(triangles[t, 1]), np.uintp(triangles[t, 2])
        ax, ay = pixels[a, 0], pixels[a, 1]
        bx, by, cx, cy = pixels[b, 0] - ax, pixels[b, 1] - ay, pixels[c, 0] - ax, pixels[c, 1] - ay
        area = bx * cy - by * cx
        if area > np.float32(_THIN):
            continue
        inverse, way = np.float32(1) / min(area, np.float32(-1e-12)), ways[t]
        for k in range(3):
            start = source[a, k]
            to_b, to_c = (source[b, k] - start) * inverse, (source[c, k] - start) * inverse
            across, down = to_b * cy - to_c * by, to_c * bx - to_b * cx
            way[3 * k], way[3 * k + 1], way[3 * k + 2] = across, down, start - across * ax - down * ay
        narrow = way[0] * way[4] - way[1] * way[3] < grazing
        noted[t] = marks[1 if narrow else 0, t]


@numba.njit(nogil=True, cache=True, fastmath=True)
def _follow(
    nearest: Any, ways: Any, marks: Any, foreign: Any, source_depth: Any, soft: Any, place: Any, cover: Any, seen: Any,
    moved: Any,
) -> None:  # fmt: skip
    """Follow every pixel that the mesh covers to the source: row by row, first where it lies and what is noted with
    that, then what this says."""
    last, cell = np.float32(32 * (nearest.shape[1] - 1)), nearest.shape[0] // moved.shape[0]
    for y in range(nearest.shape[0]):
        down = np.float32(y)
        for x in range(nearest.shape[1]):
            if nearest[y, x] < 0:
                place[y, x] = _NOWHERE
                continue
            t, across = np.uintp(nearest[y, x]), np.float32(x)
            column = ways[t, 0] * across + (ways[t, 1] * down + ways[t, 2])
            row = ways[t, 3] * across + (ways[t, 4] * down + ways[t, 5])
            at, mark = _place(column, row, last), marks[t]
            if mark >= np.uint32(_MIXED):
                deep = ways[t, 6] * across + (ways[t, 7] * down + ways[t, 8])
                mark = _settled(at, mark, deep, foreign, source_depth)
            place[y, x] = at | mark
        _tell(place[y], soft[y], cover[y], seen[y])
        if y % 2 == 0:
            _gather(y, nearest[y], place[y], seen[y], moved[y // cell])


@numba.njit(nogil=True, cache=True, fastmath=True, inline="always")
def _settled(at: Any, mark: Any, deep: Any, foreign: Any, source_depth: Any) -> Any:
    """What is noted of a place, `deep` in the source, on a triangle that the source saw in part."""
    row, column = np.uintp(((at >> 14 & _MASK) + 16) >> 5), np.uintp(((at & _MASK) + 16) >> 5)
    grazed, drawn = mark & np.uint32(_SEEN), mark & np.uint32(3 << _SHELF)
    hidden = foreign[row, column] == np.uint8(1 if drawn == _WORN else 2)
    if not hidden and deep - np.float32(DEPTH_TOLERANCE) < source_depth[1 if grazed else 0, row, column]:
        return np.uint32(_SEEN) | (drawn if grazed else np.uint32(_PICTURE))
    return drawn


@numba.njit(nogil=True, cache=True)
def _tell(place: Any, soft: Any, cover: Any, seen: Any) -> None:
    """Take out of every place whether it was seen, and how much of it covers the wall. All flat, so that the compiler
    takes many at once."""
    for i in range(place.size):
        at = place[i]
        seen[i] = 255 if at & np.uint32(_SEEN) else 0
        place[i] = at & np.uint32(~_SEEN)
        shelf = at >> np.uint32(_SHELF) & np.uint32(3)
        cover[i] = 0 if at == np.uint32(_NOWHERE) else 255 if shelf == atlas.PICTURE else _soften(soft[i])


@numba.njit(nogil=True, cache=True, fastmath=True)
def _look_around(
    nearest: Any, pixels: Any, triangles: Any, parts: Any, other: Any, shelf: Any, strands: Any, place: Any, seen: Any
) -> None:  # fmt: skip
    """Find elsewhere what the source did not see, and skin that it saw below strands which have left it."""
    last = np.float32(32 * (place.shape[0] - 1))
    for y in range(place.shape[0]):
        for x in range(place.shape[1]):
            t = nearest[y, x]
            if t < 0 or shelf[t] == 0:
                continue
            if seen[y, x]:
                at = place[y, x]
                row, column = np.uintp(place_row(at) + 16 >> 5), np.uintp(place_column(at) + 16 >> 5)
                if shelf[t] != atlas.GLOBE_SKIN or strands[row, column] == 0 or _is_worn(nearest, parts, y, x):
                    continue
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            wb, wc = barycentric(pixels, a, b, c, x, y)
            u = other[a, 0] + wb * (other[b, 0] - other[a, 0]) + wc * (other[c, 0] - other[a, 0])
            v = other[a, 1] + wb * (other[b, 1] - other[a, 1]) + wc * (other[c, 1] - other[a, 1])
            place[y, x] = _place(u, v, last) | np.uint32(shelf[t]) << np.uint32(_SHELF)
            seen[y, x] = 255


@numba.njit(nogil=True, cache=True)
def _is_worn(nearest: Any, parts: Any, y: int, x: int) -> Any:
    """Whether hair or garment is near, as seen in eight directions."""
    for row in (y - STRAND, y, y + STRAND):
        for column in (x - STRAND, x, x + STRAND):
            if 0 <= row < nearest.shape[0] and 0 <= column < nearest.shape[1]:
                t = nearest[row, column]
                if t >= 0 and parts[t] >= np.uint8(Part.HAIR):
                    return True
    return False


@numba.njit(nogil=True, cache=True, fastmath=True)
def _gather(y: int, nearest: Any, place: Any, seen: Any, moved: Any) -> None:
    """Add up, per cell of a row of them, how far every second covered pixel of row `y` moved; what was not seen counts
    little."""
    cell = nearest.size // moved.shape[0]
    for column in range(moved.shape[0]):
        across = down = total = np.float32(0)
        for x in range(column * cell, (column + 1) * cell, 2):
            if nearest[x] >= 0:
                trust = np.float32(1) if seen[x] else np.float32(0.02)
                across += (np.float32(place[x] & _MASK) * np.float32(1 / 32) - np.float32(x)) * trust
                down += (np.float32(place[x] >> 14 & _MASK) * np.float32(1 / 32) - np.float32(y)) * trust
                total += trust
        into = moved[column]
        into[0], into[1], into[2] = into[0] + across, into[1] + down, into[2] + total


@numba.njit(nogil=True, cache=True, inline="always")
def place_column(place: Any) -> Any:
    """Where in the source a place is from the left, in 32nds of a pixel; callable from compiled code."""
    return np.int64(place & _MASK)


@numba.njit(nogil=True, cache=True, inline="always")
def place_row(place: Any) -> Any:
    """The same from the top."""
    return np.int64(place >> 14 & _MASK)


@numba.njit(nogil=True, cache=True, inline="always")
def _soften(soft: Any) -> Any:
    """How much the outline covers: a little more than the mesh, whose corners lie on the surface, between them below
    it."""
    return np.uint8(np.int32(min(np.float32(soft) * np.float32(1.2), np.float32(255))))


@numba.njit(nogil=True, cache=True, fastmath=True, inline="always")
def _place(sx: Any, sy: Any, last: Any) -> Any:
    """A place in the source as fixed-point: 32nds of a pixel from 0 to `last`."""
    half, scale, zero = np.float32(0.5), np.float32(32), np.float32(0)
    column = np.uint32(np.int32(min(max(sx * scale + half, zero), last)))
    row = np.uint32(np.int32(min(max(sy * scale + half, zero), last)))
    return column | row << np.uint32(14)


@numba.njit(nogil=True, cache=True, fastmath=True)
def _extend(
    covered: Any, beside: Any, soft: Any, inner: Any, source_skin: Any, place: Any, cover: Any
) -> None:  # fmt: skip
    """Fill the places `beside` the mesh: what lay beside its rim in the source goes on doing so."""
    size = beside.shape[0]
    stray, part, last = np.float32(STRAY), np.float32(1 / 32), np.float32(32 * (size - 1))
    for y in range(size):
        for x in range(size):
            if beside[y, x] == 0:
                continue
            row, column = _rim(covered, y, x)
            if row < 0:
                continue
            at = place[np.uintp(row), np.uintp(column)]
            dx = np.float32(at & _MASK) * part - np.float32(column)
            dy = np.float32((at >> 14) & _MASK) * part - np.float32(row)
            source_row, source_column = np.uintp(((at >> 14 & _MASK) + 16) >> 5), np.uintp(((at & _MASK) + 16) >> 5)
            at = _place(np.float32(x) + dx, np.float32(y) + dy, last)
            if inner[source_row, source_column]:  # the outline is a new one
                cover[y, x] = _soften(soft[y, x])
                place[y, x] = at | (atlas.SKIN if source_skin[source_row, source_column] else atlas.WORN) << _SHELF
            else:
                far = max(abs(dx), abs(dy)) * (np.float32(2) / stray)
                stays = min(max(np.float32(2) - far, np.float32(0)), np.float32(1))
                cover[y, x] = 255 if soft[y, x] > 0 else np.uint8(255 * stays)
                place[y, x] = at | np.uint32(atlas.PICTURE << _SHELF)


@numba.njit(nogil=True, cache=True, inline="always")
def _rim(covered: Any, y: int, x: int) -> Any:
    """Row and column of the nearest pixel of the mesh above, below, to the left or to the right; -1 before a corner."""
    size = covered.shape[0]
    for step in range(1, 2 * atlas.HALO + 1):
        if y >= step and covered[y - step, x]:
            return y - step, x
        if y + step < size and covered[y + step, x]:
            return y + step, x
        if x >= step and covered[y, x - step]:
            return y, x - step
        if x + step < size and covered[y, x + step]:
            return y, x + step
    return -1, -1


@numba.njit(nogil=True, cache=True, fastmath=True)
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
