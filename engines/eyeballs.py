"""The eyeballs of a head whole, laid under its lids: what a look uncovers of them is there, light and shadow stay where
they fall, and a highlight slides over the iris as on a wet cornea.

A source picture shows of an eyeball what the lids leave open, with shadows, lashes and highlights in it. Turned with
the eye, they turn along, and what was hidden is smeared. The studio can look behind the lids
(`training.studio.eyeballs`); so the parts are known one by one, and are put together where they belong.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from engines.compiled import compiled
from engines.expression import FloatArray
from engines.face_geometry import FaceGeometry, SourceGeometry
from engines.head_mesh import Part
from engines.keypoints import KEYPOINT_NAMES, LIDS
from engines.media import FRAME_SIZE
from engines.raster import Window, barycentric

FILE: Final = "eyeballs.npz"
MOVED_FROM, MOVED_TO = 0.5, 2.5
"""Pixels that an eye has moved when the whole eyeball begins to show, and when it alone shows: at rest the source is
right."""
FOLLOWING: Final = 0.5
"""How far a highlight goes with the iris: the cornea is a ball of its own, whose centre lies half way between."""
LIT: Final = 200
"""Level of the light on an eyeball on which no shadow falls."""
AROUND: Final = 24
"""Pixels around the eyes that pictures of them show."""
_REACH: Final = 0.14
"""How far the eyeballs go on beyond what is known of the lids, in shares of what both eyes are wide."""
_SIDES: Final = ("left", "right")
_IRISES: Final = [KEYPOINT_NAMES.index(f"iris_{side}") for side in _SIDES]
_RIMS: Final = [
    [[KEYPOINT_NAMES.index(f"lid_{side}_{number}") for number in rim] for rim in ((0, 1, 2, 3, 4), (7, 7, 6, 5, 5))]
    for side in _SIDES
]
"""Keypoints of the upper and the lower lid, in the same direction."""


@dataclass(frozen=True)
class Eyeballs:
    """The part of a source picture from (`left`, `top`) on if it showed nothing but eyeballs: `bare` uint8 RGBA
    (h, w, 4), in even light, with how much of each pixel lies behind the cornea; `light` uint8 RGB (h, w, 3), what
    falls on them at rest (`LIT`: what falls on them bare); and `shine`, likewise, what the corneas add of their own."""

    bare: NDArray[np.uint8]
    light: NDArray[np.uint8]
    shine: NDArray[np.uint8]
    left: int
    top: int

    def save(self, folder: Path) -> None:
        """Write them into an avatar pack."""
        np.savez_compressed(folder / FILE, **self.arrays())  # type: ignore[arg-type]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a file of them holds, by name."""
        at = np.array([self.left, self.top])
        return {"eyes_bare": self.bare, "eyes_light": self.light, "eyes_shine": self.shine, "eyes_at": at}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Those of a file. Raises `KeyError` if it is none of them."""
        return cls(arrays["eyes_bare"], arrays["eyes_light"], arrays["eyes_shine"], *arrays["eyes_at"].tolist())

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Those of an avatar pack, if it has any. Raises `ValueError` if they are broken."""
        if not (folder / FILE).is_file():
            return None
        with np.load(folder / FILE, allow_pickle=False) as arrays:
            try:
                return cls.of(arrays)
            except KeyError as error:
                raise ValueError(f"{folder / FILE} holds no eyeballs: {error} is missing") from error


@dataclass(frozen=True)
class Gleam:
    """What the corneas reflect in a frame: `light` float32 (h, w, 3), in levels, to be added in the `window`; and the
    `eyes` uint8 (h, w, 3) on which it falls."""

    window: Window
    light: FloatArray
    eyes: NDArray[np.uint8]

    def add(self, picture: NDArray[np.uint8]) -> None:
        """Add it to a `picture` of the eyes, uint8 RGB (512, 512, 3), in place, but not to lashes and shadows."""
        _add(self.light, self.eyes, self.window.cut(picture))


class EyeLook:
    """How the eyeballs (left, right) of one head have turned in a frame."""

    def __init__(self, geometry: SourceGeometry) -> None:
        mesh = geometry.mesh
        self._balls = np.stack([np.nonzero(mesh.eye_of_vertex == number)[0] for number in (1, 2)])
        self._irises = mesh.keypoints[_IRISES]
        self._at_rest = np.zeros((2, 2, 2), np.float32)
        self._at_rest = self.moved(Window.whole(FRAME_SIZE).pixels(geometry.points))

    def moved(self, pixels: FloatArray) -> FloatArray:
        """How far the eyeballs have gone with the head, and their irises beyond that with the gaze, (2, 2, 2) in pixels
        of the picture in which the vertices are at `pixels` (V, 3)."""
        moved = np.empty((2, 2, 2), np.float32)
        _find_moved(pixels, self._balls, self._irises, self._at_rest, moved)
        return moved


class EyeballLayer:
    """Lays `Eyeballs` on one head. Safe to use from any thread."""

    def __init__(self, eyeballs: Eyeballs, geometry: SourceGeometry) -> None:
        mesh = geometry.mesh
        self._eyeballs, self._triangles, self._look = eyeballs, mesh.triangles, EyeLook(geometry)
        self._sides = eye_sides(geometry)
        self._source = np.ascontiguousarray(Window.whole(FRAME_SIZE).pixels(geometry.points)[:, :2])
        self._rims = mesh.keypoints[_RIMS]
        self._rims_at_rest = self._source[self._rims]

    def lay(self, warped: NDArray[np.uint8], face: FaceGeometry) -> Gleam:
        """Lay the eyeballs over the `warped` source uint8 RGB (512, 512, 3), in place, and note in the maps of `face`
        that they are seen, whatever the source hid. Returns what is to be added when all else is painted."""
        raster, balls, window = face.raster, self._eyeballs, self._box(face)
        (with_head, turned), eyes = self._look.moved(raster.pixels), window.cut(warped)
        light = np.zeros(eyes.shape, np.float32)
        _lay(
            window.cut(raster.triangle), window.left, window.top, raster.pixels, self._triangles, self._sides,
            self._source, balls.bare, balls.light, balls.shine, balls.left, balls.top,
            self._rims, self._rims_at_rest, with_head + FOLLOWING * turned, turned, window.cut(face.flow.seen),
            window.within(face.eyes).cut(face.eyes_maps), eyes, light,
        )  # fmt: skip
        return Gleam(window, light, eyes)

    def _box(self, face: FaceGeometry) -> Window:
        """The part of the eyes' window that holds eyeballs."""
        edges = np.empty(4, np.int64)
        _find_box(face.raster.pixels, self._rims, edges)
        left, top, right, bottom = edges.tolist()
        whole = face.eyes
        left, top = (
            min(max(at, 0), size) for at, size in ((left - whole.left, whole.width), (top - whole.top, whole.height))
        )
        right, bottom = min(right - whole.left, whole.width), min(bottom - whole.top, whole.height)
        size = max(right - left, 0), max(bottom - top, 0)
        return Window(whole.scale, whole.left + left, whole.top + top, *size)


def eyes_box(geometry: SourceGeometry) -> Window:
    """The part of the source picture that holds both eyes."""
    lids = Window.whole(FRAME_SIZE).pixels(geometry.points)[geometry.mesh.keypoints[list(LIDS)], :2]
    low = np.clip(np.floor(lids.min(0)) - AROUND, 0, FRAME_SIZE).astype(int)
    high = np.clip(np.ceil(lids.max(0)) + AROUND, 0, FRAME_SIZE).astype(int)
    return Window(FRAME_SIZE / 2, int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))


def eye_sides(geometry: SourceGeometry) -> NDArray[np.uint8]:
    """Whose triangles (T,) are an eyeball's: 1 the left one's, 2 the right one's, 0 neither's."""
    mesh = geometry.mesh
    first = mesh.triangles[:, 0]
    return np.where(mesh.parts == Part.EYE, mesh.eye_of_vertex[first], 0).astype(np.uint8)


@compiled(fastmath=True)
def _find_box(pixels: Any, rims: Any, edges: Any) -> None:
    """Left, top, right and bottom of what lies between the lids and a little beyond them, into `edges` (4,)."""
    low, high = pixels[rims[0, 0, 0], :2].copy(), pixels[rims[0, 0, 0], :2].copy()
    for vertex in rims.ravel():
        for axis in range(2):
            low[axis] = min(low[axis], pixels[vertex, axis])
            high[axis] = max(high[axis], pixels[vertex, axis])
    reach = np.float32(_REACH) * (high[0] - low[0])
    edges[0], edges[1] = int(low[0] - reach), int(low[1] - reach)
    edges[2], edges[3] = int(high[0] + reach) + 1, int(high[1] + reach) + 1


@compiled(fastmath=True)
def _find_moved(pixels: Any, balls: Any, irises: Any, at_rest: Any, moved: Any) -> None:
    for side in range(2):
        for axis in range(2):
            middle = np.float32(0)
            for vertex in balls[side]:
                middle += pixels[vertex, axis]
            moved[0, side, axis] = middle / np.float32(balls.shape[1]) - at_rest[0, side, axis]
            iris = pixels[irises[side], axis] - at_rest[0, side, axis] - at_rest[1, side, axis]
            moved[1, side, axis] = iris - moved[0, side, axis]


@compiled(fastmath=True)
def drawn_anew(across: Any, down: Any) -> Any:
    """How much of an eyeball is to be drawn anew whose iris has moved by so many pixels: 0 to 1."""
    moved = np.sqrt(across * across + down * down)
    share = (moved - np.float32(MOVED_FROM)) * np.float32(1 / (MOVED_TO - MOVED_FROM))
    share = min(max(share, np.float32(0)), np.float32(1))
    return share * share * (np.float32(3) - np.float32(2) * share)


@compiled(fastmath=True, inline="always")
def look_up(picture: Any, channel: int, x: Any, y: Any) -> Any:
    """A channel of `picture` at a place, bilinearly; callable from compiled code."""
    u = min(max(x, np.float32(0)), np.float32(picture.shape[1] - 1.001))
    v = min(max(y, np.float32(0)), np.float32(picture.shape[0] - 1.001))
    column, row = int(u), int(v)
    u, v = u - np.float32(column), v - np.float32(row)
    above = picture[row, column, channel] * (1 - u) + picture[row, column + 1, channel] * u
    below = picture[row + 1, column, channel] * (1 - u) + picture[row + 1, column + 1, channel] * u
    return above * (1 - v) + below * v


@compiled(fastmath=True)
def _lay(
    nearest: Any, left: int, top: int, pixels: Any, triangles: Any, sides: Any, source: Any, bare: Any, light: Any,
    shine: Any, paint_left: int, paint_top: int, rims: Any, rims_at_rest: Any, highlights: Any, turned: Any, seen: Any,
    maps: Any, eyes: Any, gleam: Any,
) -> None:  # fmt: skip
    per_light, per_level = np.float32(1 / LIT), np.float32(1 / 255)
    columns, moved = np.zeros((2, nearest.shape[1], 3), np.float32), np.zeros(2, np.float32)
    for side in range(2):
        moved[side] = drawn_anew(turned[side, 0], turned[side, 1])
        _follow_lids(pixels, rims[side], rims_at_rest[side], left, columns[side])
    for y in range(nearest.shape[0]):
        for x in range(nearest.shape[1]):
            t = nearest[y, x]
            if t < 0 or sides[t] == 0:
                continue
            side = sides[t] - 1
            share = moved[side] if seen[y, x] else np.float32(1)
            seen[y, x], maps[y, x, 0] = 255, 1
            if share == 0:
                continue
            a, b, c_ = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            wb, wc = barycentric(pixels, a, b, c_, left + x, top + y)
            u = source[a, 0] + wb * (source[b, 0] - source[a, 0]) + wc * (source[c_, 0] - source[a, 0]) - paint_left
            v = source[a, 1] + wb * (source[b, 1] - source[a, 1]) + wc * (source[c_, 1] - source[a, 1]) - paint_top
            across, start, slope = columns[side, x, 0] - paint_left, columns[side, x, 1], columns[side, x, 2]
            down = start + slope * np.float32(top + y) - paint_top
            behind = look_up(bare, 3, u, v) * per_level * moved[side]
            shine_x = np.float32(left + x - paint_left) - highlights[side, 0]
            shine_y = np.float32(top + y - paint_top) - highlights[side, 1]
            for c in range(3):
                value = look_up(bare, c, u, v) * look_up(light, c, across, down) * per_light
                below = np.float32(eyes[y, x, c])
                eyes[y, x, c] = np.uint8(below + (min(value, np.float32(255)) - below) * share + np.float32(0.5))
                if behind > 0:
                    gleam[y, x, c] = look_up(shine, c, shine_x, shine_y) * behind


@compiled(fastmath=True)
def _follow_lids(pixels: Any, rims: Any, at_rest: Any, left: int, columns: Any) -> None:
    """Where in the source a column of a frame lies between the lids, whose `rims` (2, 5) are vertices of the upper and
    the lower one, into `columns` (w, 3): its column there, and start and slope of the row. What falls on an eye falls
    through its lids."""
    now = np.empty(at_rest.shape, np.float32)
    for rim in range(2):
        for k in range(now.shape[1]):
            now[rim, k, 0], now[rim, k, 1] = pixels[rims[rim, k], 0], pixels[rims[rim, k], 1]
    first, last = now[0, 0, 0], now[0, -1, 0]
    scale, reach = (at_rest[0, -1, 0] - at_rest[0, 0, 0]) / (last - first), abs(last - first)
    start, end = int(min(first, last) - reach) - left, int(max(first, last) + reach) - left
    for x in range(max(start, 0), min(end, columns.shape[0])):
        here = np.float32(left + x)
        there = at_rest[0, 0, 0] + (here - first) * scale
        upper, lower = _height(now[0], here), _height(now[1], here)
        upper_there, lower_there = _height(at_rest[0], there), _height(at_rest[1], there)
        slope = max(lower_there - upper_there, np.float32(1)) / max(lower - upper, np.float32(1))
        columns[x, 0], columns[x, 1], columns[x, 2] = there, upper_there - upper * slope, slope


@compiled(fastmath=True, inline="always")
def _height(rim: Any, x: Any) -> Any:
    """Row of the line through the points of `rim` (5, 2) at a column; beyond its ends, that of the end."""
    first, last = rim[0], rim[-1]
    row = last[1] if abs(x - last[0]) < abs(x - first[0]) else first[1]
    for k in range(rim.shape[0] - 1):
        one, other = rim[k], rim[k + 1]
        if min(one[0], other[0]) <= x < max(one[0], other[0]):
            row = one[1] + (other[1] - one[1]) * ((x - one[0]) / (other[0] - one[0]))
    return row


@compiled(fastmath=True)
def _add(gleam: Any, eyes: Any, picture: Any) -> None:
    one = np.float32(1)
    for y in range(gleam.shape[0]):
        for x in range(gleam.shape[1]):
            if gleam[y, x, 0] + gleam[y, x, 1] + gleam[y, x, 2] == 0:
                continue
            painted = one + picture[y, x, 0] + picture[y, x, 1] + picture[y, x, 2]
            share = min(painted / (one + eyes[y, x, 0] + eyes[y, x, 1] + eyes[y, x, 2]), one)
            for c in range(3):
                value = picture[y, x, c] + gleam[y, x, c] * share
                picture[y, x, c] = np.uint8(min(value + np.float32(0.5), np.float32(255)))
