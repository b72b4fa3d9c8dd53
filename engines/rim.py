"""The rim of the hair, which moves as one.

Hair is modelled as cards, one behind the other and ragged where they end. Triangle by triangle a turned head's outline
would be a mosaic of them, another in every frame. So along the outline the flow is a plane in every cell, and the
outline itself is smooth; strands of the source that stand out go along.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from engines import atlas
from engines.compiled import compiled
from engines.expression import FloatArray
from engines.head_mesh import Part
from engines.place import SHELF, WHERE, nearest_pixel, place_column, place_row, to_place

CELL: Final = 8
"""Pixels on a side of what moves by one plane."""
SEEN_SHARE: Final = 0.6
"""Share of the hair around that the source saw, from which on its own outline is shown."""
_FIRST, _EDGE = 77, 2.5
"""What the blur says where the outline begins, and how much steeper it rises from there."""
_APART: Final = 4
"""Pixels around a place where the source's outline surely leaves the target's in which only the target's counts."""
_STIFF: Final = 40.0
"""How hard it is for a plane to tilt, in square pixels a sample."""
_GUESS: Final = np.float32(0.02)
"""How much a sample counts that the source did not see."""
_FEWEST: Final = 6
"""Samples that a plane needs."""
_ALIKE: Final = 48
"""32nds of a pixel by which a pixel may move otherwise than its cell, and keeps its own way."""
_SURELY: Final = 180
"""From where on an outline surely covers a pixel; at 255 less that it surely does not."""
_COVERED: Final = np.uint64(0x0101010101010101)
"""A row of a cell's pixels that are all covered, as one number."""
_BEYOND, _STEP = 6, 3
"""Pixels around a cell in which samples are taken, and from one to the next."""
UNSEEN, SHOWN = 1, 2
"""What a cell at the rim is: one whose hair the source hardly saw, or one whose outline it shows."""


def outline(covered: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """How much a mesh that is where `covered` (N, N) is 1 covers of each pixel, if its outline is smooth: uint8."""
    soft = np.empty_like(covered)
    _draw_outline(covered, soft)
    return soft


@compiled(fastmath=True)
def _draw_outline(covered: Any, soft: Any) -> None:
    """Of all that is covered of a box of 5 x 5 pixels; at its edges the picture is mirrored."""
    height, width = covered.shape
    share, least, steep = np.float32(255 / 25), np.float32(_FIRST), np.float32(_EDGE)
    zero, white = np.float32(0), np.float32(255)
    counts = np.zeros(width + 4, np.uint8)
    for y in range(height):
        first, second = covered[abs(y - 2)], covered[abs(y - 1)]
        fourth, fifth = covered[_mirrored(y + 1, height)], covered[_mirrored(y + 2, height)]
        here, out = covered[y], soft[y]
        for x in range(width):
            counts[x + 2] = first[x] + second[x] + here[x] + fourth[x] + fifth[x]
        counts[0], counts[1] = counts[4], counts[3]
        counts[width + 2], counts[width + 3] = counts[width], counts[width - 1]
        for x in range(width):
            count = np.uint8(counts[x] + counts[x + 1] + counts[x + 2] + counts[x + 3] + counts[x + 4])
            level = np.rint((np.rint(np.float32(count) * share) - least) * steep)
            out[x] = np.uint8(np.int32(min(max(level, zero), white)))


@compiled(inline="always")
def _mirrored(y: int, height: int) -> Any:
    return y if y < height else 2 * height - 2 - y


@dataclass(frozen=True)
class Rim:
    """Where hair ends before the wall: `kinds` uint8 (n, n) of the cells, 0 where it does not, or `UNSEEN` or `SHOWN`;
    and `corners` float32 (n + 1, n + 1, 3), how far their corners have moved, across and down."""

    kinds: NDArray[np.uint8]
    corners: FloatArray

    @classmethod
    def find(
        cls, nearest: NDArray[np.int32], parts: NDArray[np.uint8], covered: NDArray[np.uint8],
        place: NDArray[np.uint32], seen: NDArray[np.uint8],
    ) -> Self:  # fmt: skip
        """That of a `Flow` of which only what the mesh covers is known, given which triangle is `nearest` at each
        pixel, the triangles' `parts`, and where the mesh is, uint8 (N, N), 0 or 1."""
        count = len(covered) // CELL
        kinds, corners = np.zeros((count, count), np.uint8), np.zeros((count + 1, count + 1, 3), np.float32)
        cells = _sort_cells(covered.view(np.uint64).reshape(count, CELL, count))
        _fit(_find_ends(cells), nearest, parts, seen, place, kinds, corners)
        _average(corners)
        return cls(kinds, corners)

    def smooth(
        self, nearest: NDArray[np.int32], covered: NDArray[np.uint8], source: NDArray[np.uint8],
        place: NDArray[np.uint32], cover: NDArray[np.uint8], seen: NDArray[np.uint8],
    ) -> None:  # fmt: skip
        """Smooth the arrays of the `Flow` in its cells, given the `outline` that the source has."""
        rows = np.flatnonzero(self.kinds.any(axis=1))
        if not len(rows):
            return
        some = slice(max(CELL * int(rows[0]) - CELL, 0), CELL * int(rows[-1]) + 2 * CELL)
        soft, apart = np.zeros_like(covered), np.zeros_like(covered)
        soft[some] = outline(covered[some])
        if _move(self.kinds, self.corners, nearest, source, soft, place, cover, seen, apart):
            apart[some] = atlas.widen(apart[some], _APART)
            _part(self.kinds, apart, soft, place, cover)


@compiled()
def _sort_cells(words: Any) -> Any:
    """Which cells (n, n) hold covered pixels, 1, and others, 2, or both, 3; each of their rows is one of `words`
    (n, 8, n)."""
    cells = np.empty((words.shape[0], words.shape[2]), np.uint8)
    for row in range(words.shape[0]):
        for column in range(words.shape[2]):
            some, all_ = np.uint64(0), np.uint64(_COVERED)
            for y in range(words.shape[1]):
                some, all_ = some | words[row, y, column], all_ & words[row, y, column]
            cells[row, column] = (some != 0) + 2 * (all_ != np.uint64(_COVERED))
    return cells


@compiled()
def _find_ends(cells: Any) -> Any:
    """Cells (n, n) that have both within them and around them: 3."""
    count = cells.shape[0]
    across, ends = np.empty_like(cells), np.empty_like(cells)
    for row in range(count):
        for column in range(count):
            beside = cells[row, max(column - 1, 0)] | cells[row, min(column + 1, count - 1)]
            across[row, column] = cells[row, column] | beside
    for row in range(count):
        for column in range(count):
            beside = across[max(row - 1, 0), column] | across[min(row + 1, count - 1), column]
            ends[row, column] = across[row, column] | beside
    return ends


@compiled(fastmath=True)
def _fit(ends: Any, nearest: Any, parts: Any, seen: Any, place: Any, kinds: Any, corners: Any) -> None:
    """Of each cell at which the mesh `ends` and in which nothing but hair is: its kind; and at its corners how far the
    hair in it and around it has moved, across and down, by the plane through all of that: the sum over the cells that
    meet there, and their number."""
    part, one = np.float32(1 / 32), np.float32(1)
    plane, sums = np.zeros(6, np.float32), np.zeros(12, np.float32)
    for row in range(ends.shape[0]):
        for column in range(ends.shape[1]):
            if ends[row, column] != 3:
                continue
            top, left = CELL * row, CELL * column
            sums[:] = 0
            hair, shown, mixed = 0, 0, False
            for y in range(max(top - _BEYOND, 0), min(top + CELL + _BEYOND, nearest.shape[0]), _STEP):
                for x in range(max(left - _BEYOND, 0), min(left + CELL + _BEYOND, nearest.shape[1]), _STEP):
                    t = nearest[y, x]
                    if t < 0:
                        continue
                    if parts[t] != np.uint8(Part.HAIR):
                        mixed |= top - _STEP <= y < top + CELL + _STEP and left - _STEP <= x < left + CELL + _STEP
                        continue
                    hair += 1
                    at, weight = place[y, x], _GUESS
                    if seen[y, x] and at >> np.uint32(SHELF) == np.uint32(atlas.PICTURE):
                        weight = one
                        shown += 1
                    across, down = np.float32(x - left), np.float32(y - top)
                    dx = np.float32(place_column(at)) * part - np.float32(x)
                    dy = np.float32(place_row(at)) * part - np.float32(y)
                    sums[0] += weight
                    sums[1] += weight * across
                    sums[2] += weight * down
                    sums[3] += weight * across * across
                    sums[4] += weight * across * down
                    sums[5] += weight * down * down
                    sums[6] += weight * dx
                    sums[7] += weight * dx * across
                    sums[8] += weight * dx * down
                    sums[9] += weight * dy
                    sums[10] += weight * dy * across
                    sums[11] += weight * dy * down
            if mixed or hair < _FEWEST:
                continue
            kinds[row, column] = SHOWN if shown > SEEN_SHARE * hair else UNSEEN
            _solve(sums, plane)
            for corner in range(4):
                lower, right = corner >> 1, corner & 1
                below, beside = row + lower, column + right
                corners[below, beside, 0] += plane[0] + (plane[1] * right + plane[2] * lower) * CELL
                corners[below, beside, 1] += plane[3] + (plane[4] * right + plane[5] * lower) * CELL
                corners[below, beside, 2] += one


@compiled()
def _average(corners: Any) -> None:
    """Turn sums at the corners into means."""
    for row in range(corners.shape[0]):
        for column in range(corners.shape[1]):
            corner = corners[row, column]
            if corner[2] > 1:
                corner[0], corner[1] = corner[0] / corner[2], corner[1] / corner[2]


@compiled(fastmath=True, inline="always")
def _solve(sums: Any, plane: Any) -> None:
    """The plane of least squares, about the mean of its samples."""
    total = np.float32(1) / sums[0]
    x, y, stiff = sums[1] * total, sums[2] * total, np.float32(_STIFF) * total
    xx, yy = sums[3] * total - x * x + stiff, sums[5] * total - y * y + stiff
    xy = sums[4] * total - x * y
    inverse = np.float32(1) / (xx * yy - xy * xy)
    for k in range(2):
        mean = sums[6 + 3 * k] * total
        by_x, by_y = sums[7 + 3 * k] * total - mean * x, sums[8 + 3 * k] * total - mean * y
        across, down = (by_x * yy - by_y * xy) * inverse, (by_y * xx - by_x * xy) * inverse
        plane[3 * k], plane[3 * k + 1], plane[3 * k + 2] = mean - across * x - down * y, across, down


@compiled(fastmath=True)
def _move(
    kinds: Any, corners: Any, nearest: Any, source: Any, soft: Any, place: Any, cover: Any, seen: Any, apart: Any
) -> bool:  # fmt: skip
    """Move the cells' pixels, from corner to corner evenly. Of `SHOWN` cells the source's own outline goes along;
    `apart` is 1 where it leaves the target's; whether it does anywhere."""
    found = False
    last, half, share = np.float32(32 * (place.shape[1] - 1)), np.uint8(128), np.float32(1 / CELL)
    picture, worn = np.uint32(atlas.PICTURE << SHELF), np.uint32(atlas.WORN << SHELF)
    for row in range(kinds.shape[0]):
        for column in range(kinds.shape[1]):
            kind = kinds[row, column]
            if kind == 0:
                continue
            a, b = corners[row, column], corners[row, column + 1]
            c, d = corners[row + 1, column], corners[row + 1, column + 1]
            for y in range(CELL * row, CELL * row + CELL):
                low = np.float32(y - CELL * row) * share
                left_x, left_y = a[0] + (c[0] - a[0]) * low, a[1] + (c[1] - a[1]) * low
                slope_x = (b[0] + (d[0] - b[0]) * low - left_x) * share
                slope_y = (b[1] + (d[1] - b[1]) * low - left_y) * share
                for x in range(CELL * column, CELL * column + CELL):
                    t, across = nearest[y, x], np.float32(x - CELL * column)
                    there = soft[y, x] >= half
                    if kind == UNSEEN and t >= 0:
                        if place[y, x] >> np.uint32(SHELF) == np.uint32(atlas.PICTURE):
                            place[y, x] = (place[y, x] & np.uint32(WHERE)) | worn
                        cover[y, x] = soft[y, x]
                        continue
                    dx, dy = left_x + slope_x * across, left_y + slope_y * across
                    at = to_place(np.float32(x) + dx, np.float32(y) + dy, last)
                    if t >= 0 and seen[y, x] and _goes_along(place[y, x], at):
                        continue
                    source_row, source_column = nearest_pixel(at)
                    within = source[source_row, source_column]
                    if kind == UNSEEN or (there and within < half):
                        place[y, x], cover[y, x] = at | worn, soft[y, x]
                        continue
                    place[y, x], cover[y, x] = at | picture, 255
                    apart[y, x] = within > np.uint8(_SURELY) and soft[y, x] < np.uint8(255 - _SURELY)
                    found |= apart[y, x] != 0
                    if t >= 0:
                        seen[y, x] = 255
    return found


@compiled(inline="always")
def _goes_along(place: Any, at: Any) -> Any:
    """Whether a place in the picture is near enough `at` where the cell has it."""
    off = max(abs(place_column(place) - place_column(at)), abs(place_row(place) - place_row(at)))
    return off < _ALIKE and place >> np.uint32(SHELF) == np.uint32(atlas.PICTURE)


@compiled()
def _part(kinds: Any, apart: Any, soft: Any, place: Any, cover: Any) -> None:
    """Where the outlines are too far `apart` the target's is shown."""
    for row in range(kinds.shape[0]):
        for column in range(kinds.shape[1]):
            if kinds[row, column] != SHOWN:
                continue
            for y in range(CELL * row, CELL * row + CELL):
                for x in range(CELL * column, CELL * column + CELL):
                    if apart[y, x] and place[y, x] >> np.uint32(SHELF) == np.uint32(atlas.PICTURE):
                        cover[y, x] = soft[y, x]
