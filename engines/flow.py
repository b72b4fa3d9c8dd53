"""From a posed head mesh to a dense flow: which point of the source picture shows at each pixel of the target.

The target mesh is z-buffered; each covered pixel learns where its surface point lies in the source, and whether the
source camera saw it there. Sparse keypoints tear silhouettes; a mesh does not.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines import atlas
from engines.coarse_flow import EXTENSION_SIZE, coarse_flow, gather
from engines.compiled import compiled
from engines.expression import FloatArray
from engines.head_mesh import Part
from engines.margin import Margin
from engines.place import NOWHERE, SHELF, WHERE, nearest_pixel, place_column, place_row, to_place
from engines.raster import Raster, Window, barycentric, rasterize
from engines.rim import CELL, Rim
from engines.source_view import ASKED, DEPTH_TOLERANCE, MIXED, NOTED, PICTURE, SEEN, WORN, SourceView

GRAZING: Final = 0.65
"""Pixels of the source per pixel of the target below which surface counts as seen at a grazing angle."""
STRAY: Final = 16.0
"""Pixels that a head may move before its stray hair is gone; at half of that it begins to fade."""
STRAND: Final = 3
"""Pixels beside hair and garment within which a strand that lay over skin in the source may still do so."""
_THIN: Final = 1e-3
"""Twice the square pixels of a triangle within which rounding may turn it away from the camera."""


@dataclass(frozen=True)
class Flow:
    """Where the target's pixels lie in the source's `atlas`: `place` uint32 (N, N), see `engines.place`; `cover` uint8
    (N, N), how much of what is found there to show, 0 where the backdrop shows (and the place says nothing); `seen`
    uint8 (N, N), 255 where the source camera saw the surface or another did, else 0; `coarse` float32 (64, 64, 2), the
    displacement from target to source in picture units, smooth, also beyond the mesh."""

    place: NDArray[np.uint32]
    cover: NDArray[np.uint8]
    seen: NDArray[np.uint8]
    coarse: FloatArray


def flow_to_source(
    points: FloatArray, triangles: NDArray[np.int32], window: Window, source: SourceView
) -> tuple[Raster, Flow]:
    """Draw the mesh with its vertices at `points` (V, 3), as projected, in a square `window` of as many whole cells as
    there are, and find all of it in the source.

    Beside the mesh the flow of its rim goes on, for stray hair follows the head; everywhere else the backdrop shows.
    """
    raster = rasterize(points, triangles, window)
    nearest, margin = raster.triangle, Margin.of(raster.triangle)
    ways, marks = np.empty((len(triangles), 9), np.float32), np.empty(len(triangles), np.uint32)
    _find_ways(raster.pixels, triangles, source.pixels, source.marks, np.float32(GRAZING), ways, marks)
    place = np.empty(nearest.shape, np.uint32)
    cover, seen = np.empty_like(margin.covered), np.empty_like(margin.covered)
    cell = round(2 * window.scale) // EXTENSION_SIZE
    moved = np.zeros((window.height // cell, window.width // cell, 3), np.float32)
    asked = np.empty(nearest.size + 1, np.int32)
    count = _follow(nearest, ways, marks, source.foreign, source.depth, margin.soft, place, cover, seen, moved, asked)
    rim = None if source.outline is None else Rim.find(nearest, source.parts, margin.covered, place, seen)
    elsewhere = np.zeros((len(nearest) // CELL,) * 2, np.uint8) if rim is None else rim.kinds
    _extend(
        margin.covered, margin.beside.view(np.uint64), elsewhere, margin.soft, source.inner, source.skin, place, cover
    )
    if rim is not None and source.outline is not None:
        rim.smooth(nearest, margin.covered, source.outline, place, cover, seen)
    flow = Flow(place, cover, seen, coarse_flow(window, cell, moved))
    if source.unrolled is not None:
        other = source.unrolled
        _look_around(
            asked[:count], nearest, raster.pixels, triangles, source.parts, other.pixels, other.shelf, other.strands,
            place, seen,
        )  # fmt: skip
    return raster, flow


@compiled(fastmath=True)
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


@compiled(fastmath=True)
def _follow(
    nearest: Any, ways: Any, marks: Any, foreign: Any, source_depth: Any, soft: Any, place: Any, cover: Any, seen: Any,
    moved: Any, asked: Any,
) -> int:  # fmt: skip
    """Follow every pixel that the mesh covers to the source, row by row: first where it lies and what is noted with
    that, then what this says. Which pixels are `ASKED` for is written down, and how many they are is returned.

    Pixels go on lists without a question, and stay there if they are wanted: nobody can guess which are."""
    last, cell = np.float32(32 * (nearest.shape[1] - 1)), nearest.shape[0] // moved.shape[0]
    mixed = np.empty(nearest.shape[1] + 1, np.int32)
    count: Any = np.uintp(0)
    for y in range(nearest.shape[0]):
        down = np.float32(y)
        some: Any = np.uintp(0)
        for x in range(nearest.shape[1]):
            if nearest[y, x] < 0:
                place[y, x] = NOWHERE
                continue
            t, across = np.uintp(nearest[y, x]), np.float32(x)
            column = ways[t, 0] * across + (ways[t, 1] * down + ways[t, 2])
            row = ways[t, 3] * across + (ways[t, 4] * down + ways[t, 5])
            mark = marks[t]
            place[y, x] = to_place(column, row, last) | (mark & np.uint32(NOTED))
            mixed[some] = x
            some += np.uintp(mark >= np.uint32(MIXED))
            asked[count] = y << 16 | x
            count += np.uintp(mark & np.uint32(ASKED))
        for k in range(some):
            here = np.uintp(mixed[k])
            t, at = np.uintp(nearest[y, here]), place[y, here] & np.uint32(WHERE)
            deep = ways[t, 6] * np.float32(mixed[k]) + (ways[t, 7] * down + ways[t, 8])
            place[y, here] = at | _settled(at, marks[t], deep, foreign, source_depth)
        _tell(place[y], soft[y], cover[y], seen[y])
        if y % 2 == 0:
            gather(y, nearest[y], place[y], seen[y], moved[y // cell])
    return count


@compiled(fastmath=True, inline="always")
def _settled(at: Any, mark: Any, deep: Any, foreign: Any, source_depth: Any) -> Any:
    """What is noted of a place, `deep` in the source, on a triangle that the source saw in part."""
    row, column = nearest_pixel(at)
    grazed, drawn = mark & np.uint32(SEEN), mark & np.uint32(3 << SHELF)
    hidden = foreign[row, column] == np.uint8(1 if drawn == WORN else 2)
    if not hidden and deep - np.float32(DEPTH_TOLERANCE) < source_depth[1 if grazed else 0, row, column]:
        return np.uint32(SEEN) | (drawn if grazed else np.uint32(PICTURE))
    return drawn


@compiled()
def _tell(place: Any, soft: Any, cover: Any, seen: Any) -> None:
    """Take out of every place whether it was seen, and how much of it covers the wall. All flat, so that the compiler
    takes many at once."""
    for i in range(place.size):
        at = place[i]
        place[i] = at & np.uint32(~SEEN)
        seen[i] = 255 if at & np.uint32(SEEN) else 0
        whole = at & np.uint32(3 << SHELF) == np.uint32(PICTURE)
        cover[i] = 255 if whole else 0 if at == np.uint32(NOWHERE) else soft[i]


@compiled(fastmath=True)
def _look_around(
    asked: Any, nearest: Any, pixels: Any, triangles: Any, parts: Any, other: Any, shelf: Any, strands: Any, place: Any,
    seen: Any,
) -> None:  # fmt: skip
    """Find elsewhere what the source did not see, and skin that it saw below strands which have left it. `asked` (n,)
    are all pixels of which that may be so, each its row in the upper half of a number and its column in the lower."""
    last = np.float32(32 * (place.shape[0] - 1))
    for pixel in asked:
        y, x = np.uintp(pixel >> 16), np.uintp(pixel & 0xFFFF)
        t = np.uintp(nearest[y, x])
        if seen[y, x]:
            row, column = nearest_pixel(place[y, x])
            if (
                shelf[t] != atlas.GLOBE_SKIN
                or strands[row, column] == 0
                or _is_worn(nearest, parts, pixel >> 16, pixel & 0xFFFF)
            ):
                continue
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        wb, wc = barycentric(pixels, a, b, c, pixel & 0xFFFF, pixel >> 16)
        u = other[a, 0] + wb * (other[b, 0] - other[a, 0]) + wc * (other[c, 0] - other[a, 0])
        v = other[a, 1] + wb * (other[b, 1] - other[a, 1]) + wc * (other[c, 1] - other[a, 1])
        place[y, x] = to_place(u, v, last) | np.uint32(shelf[t]) << np.uint32(SHELF)
        seen[y, x] = 255


@compiled()
def _is_worn(nearest: Any, parts: Any, y: int, x: int) -> Any:
    """Whether hair or garment is near, as seen in eight directions."""
    for row in (y - STRAND, y, y + STRAND):
        for column in (x - STRAND, x, x + STRAND):
            if 0 <= row < nearest.shape[0] and 0 <= column < nearest.shape[1]:
                t = nearest[row, column]
                if t >= 0 and parts[t] >= np.uint8(Part.HAIR):
                    return True
    return False


@compiled(fastmath=True)
def _extend(
    covered: Any, beside: Any, elsewhere: Any, soft: Any, inner: Any, source_skin: Any, place: Any, cover: Any
) -> None:  # fmt: skip
    """Fill the places `beside` the mesh, of which eight pixels of a row are one number: what lay beside its rim in the
    source goes on doing so. Cells of 8 x 8 pixels that are `elsewhere` not 0 are left out."""
    size = covered.shape[0]
    stray, part, last = np.float32(STRAY), np.float32(1 / 32), np.float32(32 * (size - 1))
    above = np.full(size, -size, np.int32)
    """The last row down to this one in which each column is covered."""
    for y in range(size):
        for x in range(size):
            above[x] = y if covered[y, x] else above[x]
        for word in range(beside.shape[1]):
            bits = beside[y, word]
            if bits == 0 or elsewhere[y // CELL, word] != 0:
                continue
            for x in range(8 * word, 8 * word + 8):
                is_beside, bits = bits & np.uint64(1), bits >> np.uint64(8)
                if is_beside == 0:
                    continue
                row, column = _rim(covered, above[x], y, x)
                if row < 0:
                    continue
                at = place[np.uintp(row), np.uintp(column)]
                dx = np.float32(place_column(at)) * part - np.float32(column)
                dy = np.float32(place_row(at)) * part - np.float32(row)
                source_row, source_column = nearest_pixel(at)
                at = to_place(np.float32(x) + dx, np.float32(y) + dy, last)
                if inner[source_row, source_column]:  # the outline is a new one
                    cover[y, x] = soft[y, x]
                    place[y, x] = at | (atlas.SKIN if source_skin[source_row, source_column] else atlas.WORN) << SHELF
                else:
                    far = max(abs(dx), abs(dy)) * (np.float32(2) / stray)
                    stays = min(max(np.float32(2) - far, np.float32(0)), np.float32(1))
                    cover[y, x] = 255 if soft[y, x] > 0 else np.uint8(255 * stays)
                    place[y, x] = at | np.uint32(atlas.PICTURE << SHELF)


@compiled(inline="always")
def _rim(covered: Any, above: int, y: int, x: int) -> Any:
    """Row and column of the nearest pixel of the mesh above (in the row that is known), below, to the left or to the
    right; -1 before a corner."""
    size = covered.shape[0]
    farthest = 2 * atlas.HALO + 1
    for step in range(1, min(y - above, farthest)):
        if y + step < size and covered[y + step, x]:
            return y + step, x
        if x >= step and covered[y, x - step]:
            return y, x - step
        if x + step < size and covered[y, x + step]:
            return y, x + step
    return (above, x) if y - above < farthest else (-1, -1)
