"""The margin of a drawn mesh: where it is, how softly its outline covers, and which pixels are beside it.

The pictures hold only what is covered and what is not, so that rows of whole numbers do what filters of pictures do, in
half the time.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engines.atlas import HALO
from engines.compiled import compiled


@dataclass(frozen=True)
class Margin:
    """Three pictures, uint8 (H, W): `covered`, 1 where the mesh is, and `beside`, 1 within `HALO` pixels of that (in a
    square), else 0; and `soft`, how much the mesh covers of each pixel: blurred by four fifths of a pixel, and a little
    more than it, whose corners lie on the surface, between them below it."""

    covered: NDArray[np.uint8]
    soft: NDArray[np.uint8]
    beside: NDArray[np.uint8]

    @classmethod
    def of(cls, nearest: NDArray[np.int32]) -> Self:
        """That of a mesh of which a triangle is `nearest` (H, W) at each pixel, or -1."""
        margin = cls(*np.empty((3, *nearest.shape), np.uint8))
        _cover(nearest.ravel(), margin.covered.ravel())
        _blur(margin.covered, margin.soft)
        _look_beside(margin.covered, margin.beside)
        return margin


@compiled()
def _cover(nearest: Any, covered: Any) -> None:
    for i in range(covered.size):
        covered[i] = np.uint8(np.uint32(~nearest[i]) >> np.uint32(31))


@compiled()
def _blur(covered: Any, soft: Any) -> None:
    """By a kernel of 61, 134 and 61 256ths, down and across, as `cv2.GaussianBlur` of 255 times what is covered, to the
    bit; at its edges the picture is mirrored. Then by a fifth more."""
    height, width = covered.shape
    one = np.uint16(1)
    column = np.zeros(width + 2, np.uint16)
    for y in range(height):
        here, above, below = covered[y], covered[y - 1 if y else 1], covered[y + 1 if y + 1 < height else y - 1]
        out = soft[y]
        for x in range(width):
            column[x + 1] = np.uint16(np.uint16(134) * here[x] + np.uint16(61) * np.uint16(above[x] + below[x]))
        column[0], column[width + 1] = column[2], column[width - 1]
        for x in range(width):
            sides = np.uint16(column[x] + column[x + 2])
            half = np.uint16(np.uint16(67) * column[x + 1] + np.uint16(30) * sides + (sides >> one))
            blurred = np.uint16(half - (half >> np.uint16(8)) + np.uint16(64)) >> np.uint16(7)
            fifth = np.uint16(np.uint16(blurred) * np.uint16(205)) >> np.uint16(10)
            out[x] = np.uint8(min(np.uint16(blurred + fifth), np.uint16(255)))


@compiled()
def _look_beside(covered: Any, beside: Any) -> None:
    """Row by row: how many pixels of each column are covered within reach of the row, then whether any column is within
    reach of a pixel."""
    height, width = covered.shape
    counts = np.zeros(width + 4 * HALO, np.uint8)
    some, more = np.zeros_like(counts), np.zeros_like(counts)
    for y in range(-HALO, height):
        if y + HALO < height:
            coming = covered[y + HALO]
            for x in range(width):
                counts[2 * HALO + x] += coming[x]
        if y > HALO:
            gone = covered[y - HALO - 1]
            for x in range(width):
                counts[2 * HALO + x] -= gone[x]
        if y < 0:
            continue
        here, out = covered[y], beside[y]
        for i in range(width + 3 * HALO):  # two columns in one, then four, eight and sixteen
            some[i] = counts[i] | counts[i + 1]
        for i in range(width + 3 * HALO):
            more[i] = some[i] | some[i + 2]
        for i in range(width + 3 * HALO - 4):
            some[i] = more[i] | more[i + 4]
        for i in range(width + 2 * HALO - 4):
            more[i] = some[i] | some[i + 8]
        for x in range(width):
            near = more[HALO + x] | counts[3 * HALO + x]
            out[x] = np.uint8((near != 0) & (here[x] == 0))
