"""Are the lips apart in a picture? Teeth and the dark behind them are told from lips by their colour.

The keypoint network sees a mouth some ten pixels high; here it is looked at again in the picture itself, in a patch
that is unrolled between the outer rims of the lips.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.landmarks import TRACKED_NAMES

ROWS, COLUMNS = 48, 41
"""Size of the unrolled patch: rows from the upper rim to the lower, columns from corner to corner."""
TOOTH_LIGHTER, TOOTH_PALER = 1.13, 0.7
"""Lightness and redness (CIELAB L and a) of teeth, in shares of the lips' own, at least and at most."""
SHADED_TOOTH, SHADED_PALER = 0.75, 0.6
"""The same for teeth in the lips' shadow, which count where there is lip above and below."""
LIP_RED, GUM_RED = 0.8, 1.9
"""Redness from which on such a place is lip, and from which on what touches teeth is gum or tongue."""
BRIGHT: Final = 1.5
"""Lightness from which on a place between lips is tooth in light of any colour, unless it is redder than they."""
GREY: Final = 3.0
"""Redness of lips below which a picture counts as grey."""
GREY_TOOTH, GREY_LIP = 1.28, 1.15
"""Lightness of teeth in it, at least, and of the lips above and below, at most."""
DARK: Final = 0.42
"""Lightness of the open mouth, in shares of the lips'."""
APART: Final = 0.10
"""Share of the patch's height from which on the lips are apart."""
WIDE_APART: Final = 0.4
"""The same for the network's own points, which stand a little apart even where the lips touch."""

_ROW: Final = {name: row for row, name in enumerate(TRACKED_NAMES)}
_UPPER: Final = tuple(
    _ROW[name]
    for name in (
        "mouth_corner_right",
        "lip_upper_outer_right_2",
        "lip_upper_outer_right_1",
        "lip_upper_outer_right_0",
        "lip_upper_outer_middle",
        "lip_upper_outer_left_0",
        "lip_upper_outer_left_1",
        "lip_upper_outer_left_2",
        "mouth_corner_left",
    )
)
_LOWER: Final = tuple(
    _ROW[name]
    for name in (
        "mouth_corner_right",
        "lip_lower_outer_right_1",
        "lip_lower_outer_right_0",
        "lip_lower_outer_middle",
        "lip_lower_outer_left_0",
        "lip_lower_outer_left_1",
        "mouth_corner_left",
    )
)
_PAIRS: Final = tuple(
    (_ROW[f"lip_upper_inner_{at}"], _ROW[f"lip_lower_inner_{at}"])
    for at in ("right_1", "right_0", "middle", "left_0", "left_1")
)


def settle_lips(picture: NDArray[np.uint8], points: FloatArray) -> tuple[FloatArray, bool]:
    """Tracked `points` (P, 2), in pixels of `picture` uint8 RGB, with the inner edges of the lips where the picture
    shows them: apart, or on one line. The second value says whether they are apart."""
    across = points[_UPPER[-1]] - points[_UPPER[0]]
    length = float(np.hypot(*across))
    if length < 8:
        return points, False
    places = _unroll(points)
    x, y = (np.ascontiguousarray(places[..., axis] - 0.5, np.float32) for axis in (0, 1))
    shrink = max(1.0, length / (2 * COLUMNS))
    smooth = cv2.GaussianBlur(picture, (0, 0), 0.4 * shrink) if shrink > 1.2 else picture
    patch = cv2.remap(smooth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    calm = cv2.medianBlur(np.asarray(patch, np.uint8), 5)
    starts, ends = _inside(cv2.cvtColor(calm.astype(np.float32) / 255, cv2.COLOR_RGB2Lab))

    settled = points.copy()
    middle = slice(COLUMNS // 4, COLUMNS - COLUMNS // 4)
    apart = float(np.quantile((ends - starts)[middle], 0.3)) > APART * ROWS
    upper, lower = _PAIRS[2]
    height = float(np.linalg.norm(points[_UPPER[4]] - points[_LOWER[3]]))
    if not apart and float(np.linalg.norm(points[upper] - points[lower])) > WIDE_APART * height:
        return points, True
    rims = _columns(points)
    for (upper, lower), column in zip(_PAIRS, rims, strict=True):
        near = slice(max(0, column - 2), column + 3)
        start, end = (float(np.median(edge[near])) for edge in (starts, ends))
        if apart and end - start > 1:
            settled[upper] = _at(places, start, column)
            settled[lower] = _at(places, end, column)
        else:
            settled[upper] = settled[lower] = (points[upper] + points[lower]) / 2
    return settled, apart


def _unroll(points: FloatArray) -> FloatArray:
    """Places in the picture (ROWS, COLUMNS, 2) from the upper rim of the lips to the lower."""
    shares = np.linspace(0, 1, COLUMNS)
    edges = []
    for rim in (_UPPER, _LOWER):
        line = points[list(rim)]
        steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
        edges.append(np.stack([np.interp(shares, steps / steps[-1], line[:, axis]) for axis in (0, 1)], 1))
    down = np.linspace(0, 1, ROWS)[:, None, None]
    return np.asarray(edges[0] * (1 - down) + edges[1] * down, np.float32)


def _columns(points: FloatArray) -> list[int]:
    """Column of the patch at which each pair of inner points lies."""
    right, left = points[_UPPER[0]], points[_UPPER[-1]]
    across = (left - right) / max(float(((left - right) ** 2).sum()), 1e-6)
    middles = [(points[upper] + points[lower]) / 2 for upper, lower in _PAIRS]
    return [int(np.clip(round(float((middle - right) @ across) * (COLUMNS - 1)), 2, COLUMNS - 3)) for middle in middles]


def _at(places: FloatArray, row: float, column: int) -> FloatArray:
    """The place in the picture of a row between two of the patch."""
    first = int(np.clip(row, 0, ROWS - 2))
    share = np.float32(row - first)
    return np.asarray(places[first, column] * (1 - share) + places[first + 1, column] * share, np.float32)


def _inside(patch: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each column the first row and the row after the last (COLUMNS,) of the longest stretch that is not lip."""
    rim = np.concatenate([patch[2:8, 8:-8], patch[-9:-3, 8:-8]]).reshape(-1, 3)
    light, red = (float(np.median(rim[:, channel])) for channel in (0, 1))
    lightness, redness = patch[..., 0] / light, patch[..., 1] / max(red, GREY)
    inside = lightness < DARK
    if red > GREY:
        tooth = (lightness > TOOTH_LIGHTER) & (redness < TOOTH_PALER)
        shaded = (lightness > SHADED_TOOTH) & (redness < SHADED_PALER)
        inside |= tooth | (_between(redness > LIP_RED) & (shaded | ((lightness > BRIGHT) & (redness < 1))))
        inside = _touched((inside | (redness > GUM_RED)).astype(np.uint8), inside)
    else:
        inside |= (lightness > GREY_TOOTH) & _between(lightness < GREY_LIP)
    inside = cv2.morphologyEx(inside.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 3), np.uint8))
    inside[:4] = inside[-4:] = 0
    starts, ends = np.zeros(COLUMNS), np.zeros(COLUMNS)
    for column in range(COLUMNS):
        steps = np.diff(np.concatenate([[0], inside[:, column].astype(int), [0]]))
        begins, stops = np.nonzero(steps == 1)[0], np.nonzero(steps == -1)[0]
        if len(begins):
            longest = int((stops - begins).argmax())
            starts[column], ends[column] = begins[longest], stops[longest]
    return starts, ends


def _between(lips: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where there are `lips` both above and below."""
    above, below = np.maximum.accumulate(lips, axis=0), np.maximum.accumulate(lips[::-1], axis=0)[::-1]
    return np.asarray(above & below)


def _touched(mask: NDArray[np.uint8], seeds: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected pieces of `mask` in which there is one of the `seeds`."""
    count, pieces = cv2.connectedComponents(mask)
    kept = np.zeros(count, bool)
    kept[np.unique(pieces[seeds])] = True
    kept[0] = False
    return np.asarray(kept[pieces])
