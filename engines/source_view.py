"""What the source camera saw of the mesh, known before any target is drawn.

Surface keeps its place in the source however it is posed: which triangles the source shows whole, in part or not at
all, and what is noted with every place on them, is found out once.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import atlas
from engines.compiled import compiled
from engines.expression import FloatArray
from engines.head_mesh import Part
from engines.place import SHELF
from engines.raster import Window, barycentric, rasterize
from engines.rim import outline

DEPTH_TOLERANCE: Final = 0.04
"""Decimetres that a surface point may lie behind the source's depth buffer and still count as seen."""
OVERHANG: Final = 0.15
"""Decimetres behind the nearest skin within two pixels from which on what is seen there is some of that: of the chin,
not of the neck below it."""
_BESIDE: Final = 4
"""Pixels beside hair and garment, where the mesh is not so exact, in which that does not count."""
HIDDEN, PARTLY, WHOLE = 0, 1, 2
"""How much of a triangle a camera saw."""
SEEN, MIXED = 1 << 30, 1 << 31
"""Noted with a place until it is settled: the source saw it; or it saw some of the triangle, with `SEEN` at a grazing
angle."""
ASKED: Final = 1
"""Noted beside that: it may have to be found elsewhere (see `Unrolled`)."""
NOTED: Final = SEEN | 3 << SHELF
"""All that goes along with a place that is settled."""
_AROUND: Final = 2
"""Pixels of the source around a triangle beyond which none of its places lies."""
_SKIN, WORN, PICTURE = (shelf << SHELF for shelf in (atlas.SKIN, atlas.WORN, atlas.PICTURE))
_MARKS: Final = np.array(
    [
        [_SKIN, WORN, MIXED | _SKIN, MIXED | WORN, SEEN | PICTURE, SEEN | PICTURE],
        [_SKIN, WORN, MIXED | SEEN | _SKIN, MIXED | SEEN | WORN, SEEN | _SKIN, SEEN | WORN],
    ],
    np.uint32,
)
"""What is noted at no grazing angle, and at one: for skin and for what is worn, `HIDDEN`, `PARTLY` and `WHOLE`."""


@dataclass(frozen=True)
class Unrolled:
    """Where surface is found that the source does not show: `pixels` float32 (V, 2), the vertices in other pictures of
    the atlas; `shelf` uint8 (T,), in which of them each triangle is, 0 if in none; `strands` uint8 (N, N), 1 where the
    source shows what is worn over skin, be there a mesh of it or not; `below` bool (T,), which triangles may be of that
    skin."""

    pixels: FloatArray
    shelf: NDArray[np.uint8]
    strands: NDArray[np.uint8]
    below: NDArray[np.bool_]

    @classmethod
    def of(
        cls, pixels: FloatArray, shelf: NDArray[np.uint8], strands: NDArray[np.uint8], source: FloatArray,
        triangles: NDArray[np.int32],
    ) -> Self:  # fmt: skip
        """That of `triangles` (T, 3) whose vertices are at `source` (V, 2 or more) in the source's pixels."""
        corners = source[triangles, :2].clip(0, len(strands) - 1)
        left, top = (np.floor(corners.min(1)).astype(int).T - _AROUND).clip(0, len(strands))
        right, bottom = (np.ceil(corners.max(1)).astype(int).T + _AROUND + 1).clip(0, len(strands))
        count = cv2.integral(strands)
        within = count[bottom, right] - count[top, right] - count[bottom, left] + count[top, left]
        return cls(pixels, shelf, strands, (shelf == atlas.GLOBE_SKIN) & (within > 0))


@dataclass(frozen=True)
class SourceView:
    """How the source camera saw the mesh: `pixels` float32 (V, 3), its vertices in the picture; `covered` uint8 (N, N),
    1 where the mesh is, and `skin`, 1 where its skin or eyes are; `foreign` uint8 (N, N), 1 where hair and garment can
    show nothing of themselves, 2 where skin cannot, for the other covers all around; `depth` float32 (2, N, N) in dm,
    0 where nothing is: the farthest within two pixels, against speckles, but no farther than `OVERHANG` behind skin,
    and the nearest, for surface seen at a grazing angle; `sight` uint8 (2, T) for the same two, which of the triangles
    it saw: `HIDDEN`, `PARTLY` or `WHOLE`. Surface keeps its place in the source however it is posed, so that this is
    known beforehand. `parts` uint8 (T,) are those of the triangles; `unrolled` is where else they are found, if they
    are, and `outline` how much they cover of each pixel, uint8 (N, N), if hair is among them."""

    pixels: FloatArray
    covered: NDArray[np.uint8]
    skin: NDArray[np.uint8]
    foreign: NDArray[np.uint8]
    depth: FloatArray
    sight: NDArray[np.uint8]
    parts: NDArray[np.uint8]
    unrolled: Unrolled | None = None
    outline: NDArray[np.uint8] | None = None

    @cached_property
    def marks(self) -> NDArray[np.uint32]:
        """What is noted with a place beside where it is, uint32 (2, T): at no grazing angle, and at one."""
        rows = 2 * self.sight + (self.parts >= Part.HAIR)
        marks = np.stack([table.take(row) for table, row in zip(_MARKS, rows, strict=True)])
        if self.unrolled is not None:
            asked = (self.unrolled.shelf > 0) & ((self.sight != WHOLE) | self.unrolled.below)
            marks |= np.where(asked, np.uint32(ASKED), np.uint32(0))
        return marks

    @cached_property
    def inner(self) -> NDArray[np.uint8]:
        """1 where the mesh is, but not at its outline, uint8 (N, N)."""
        return np.asarray(cv2.erode(self.covered, np.ones((3, 3), np.uint8)), np.uint8)


def view_source(points: FloatArray, triangles: NDArray[np.int32], parts: NDArray[np.uint8], size: int) -> SourceView:
    """The mesh in the source picture, its vertices `points` (V, 3) as projected there."""
    view = glimpse(points, triangles, parts, Window.whole(size))
    sight = np.zeros((2, len(triangles)), np.uint8)
    _see(view.pixels, triangles, parts, view.foreign, view.depth, sight)
    return replace(view, sight=sight, outline=outline(view.covered) if parts.max() >= Part.HAIR else None)


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
    farthest, nearest = cv2.dilate(depth, around), cv2.erode(depth, around)
    bare = skin > 0
    if dressed:
        bare &= atlas.widen(covered - skin, _BESIDE) == 0
    nearest_skin = cv2.erode(np.where(skin, raster.depth, np.float32(np.inf)), around)
    farthest[bare] = np.minimum(farthest, nearest_skin + OVERHANG)[bare]
    depths = np.stack([farthest, nearest]).astype(np.float32)
    inside = (parts >= Part.UPPER_TEETH) & (parts <= Part.TONGUE)
    sight = np.tile(np.where(inside, HIDDEN, PARTLY).astype(np.uint8), (2, 1))
    return SourceView(raster.pixels, covered, skin, np.asarray(foreign, np.uint8), depths, sight, parts)


@compiled(fastmath=True)
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
