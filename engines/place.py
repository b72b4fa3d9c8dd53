"""Where a pixel of the target lies in the source's atlas, in one number.

Bits 0 to 13 hold the column and 14 to 27 the row in 32nds of a pixel, bits 28 to 30 which picture of the atlas.
"""

from typing import Any, Final

import numpy as np

from engines.compiled import compiled

SHELF, MASK, WHERE = 28, (1 << 14) - 1, (1 << 28) - 1
"""From which bit on a place says which picture; the bits of a column or row, and of both."""
NOWHERE: Final = 3 << SHELF
"""Place of a pixel that the mesh does not cover."""


@compiled(fastmath=True, inline="always")
def to_place(sx: Any, sy: Any, last: Any) -> Any:
    """A place in the source as fixed-point: 32nds of a pixel from 0 to `last`."""
    half, scale, zero = np.float32(0.5), np.float32(32), np.float32(0)
    column = np.uint32(np.int32(min(max(sx * scale + half, zero), last)))
    row = np.uint32(np.int32(min(max(sy * scale + half, zero), last)))
    return column | row << np.uint32(14)


@compiled(inline="always")
def place_column(place: Any) -> Any:
    """Where in the source a place is from the left, in 32nds of a pixel; callable from compiled code."""
    return np.int64(place & MASK)


@compiled(inline="always")
def place_row(place: Any) -> Any:
    """The same from the top."""
    return np.int64(place >> 14 & MASK)


@compiled(inline="always")
def nearest_pixel(place: Any) -> Any:
    """Row and column of the source's pixel that is nearest to a place."""
    return np.uintp((place_row(place) + 16) >> 5), np.uintp((place_column(place) + 16) >> 5)
