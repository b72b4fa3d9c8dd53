"""The warp: every pixel of a frame is looked up in the source's atlas, at full resolution."""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.atlas import Atlas, Plate
from engines.compiled import compiled
from engines.face_geometry import FaceGeometry
from engines.media import FRAME_SIZE

BATCH: Final = 16
"""Pixels that are mixed at once."""


def warp(atlas: Atlas | Plate, geometry: FaceGeometry) -> NDArray[np.uint8]:
    """Look every pixel up in the `atlas` of the source where `geometry` says that it lies: RGB, uint8 (512, 512, 3)."""
    flow = geometry.flow
    warped = np.empty((*flow.place.shape, 4), np.uint8)
    figure, wall, shown = (picture.view(np.uint32).ravel() for picture in (atlas.figure, atlas.wall, warped))
    cover = flow.cover.ravel()
    _look_up(figure, wall, flow.place.ravel(), cover, cover.view(np.uint64), shown)
    return np.asarray(cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB), np.uint8)


@compiled(fastmath=True)
def _look_up(figure: Any, wall: Any, place: Any, cover: Any, covers: Any, warped: Any) -> None:
    """Lay what is found at each place over the wall, as far as `cover` says. Row by row: first the four pixels around
    each place are fetched, two by two, then they are mixed, a batch at a time; where the figure covers all of a batch,
    there is no wall to mix with. Where a row begins and ends the wall is found eight pixels at once, by numbers that
    hold their `covers`. All is flat: a row cut out of a picture costs as much as looking up ten pixels."""
    byte, eight, sixteen = np.uint32(255), np.uint32(8), np.uint32(16)
    opaque, eighth = np.uint64(0xFF000000FF000000), np.uintp(3)
    upper, lower = np.zeros(FRAME_SIZE, np.uint64), np.zeros(FRAME_SIZE, np.uint64)
    for y in range(FRAME_SIZE):
        row, begin, end = np.uintp(y * FRAME_SIZE), np.uintp(0), np.uintp(FRAME_SIZE)
        while begin < end and covers[(row + begin) >> eighth] == 0:
            begin += np.uintp(8)
        while end > begin and covers[(row + end - np.uintp(8)) >> eighth] == 0:
            end -= np.uintp(8)
        for i in range(begin):
            warped[row + np.uintp(i)] = wall[row + np.uintp(i)]
        for i in range(np.uintp(FRAME_SIZE) - end):
            warped[row + end + np.uintp(i)] = wall[row + end + np.uintp(i)]
        for i in range(end - begin):
            x = begin + np.uintp(i)
            if cover[row + x]:
                at = np.uint64(place[row + x])
                first = (at >> np.uint64(19)) * np.uint64(FRAME_SIZE) + ((at >> np.uint64(5)) & np.uint64(511))
                upper[x], lower[x] = _pair(figure, first), _pair(figure, first + np.uint64(FRAME_SIZE))
        while begin < end:
            count, whole, least = min(end - begin, np.uintp(BATCH)), opaque, byte
            for i in range(count):
                x = begin + np.uintp(i)
                whole &= upper[x] & lower[x]
                least &= np.uint32(cover[row + x])
            if whole == opaque and least == byte:
                for i in range(count):
                    x = begin + np.uintp(i)
                    red_blue, green = _mix(upper[x], lower[x], place[row + x])
                    warped[row + x] = red_blue | (green & byte) << eight
            else:
                for i in range(count):
                    x = begin + np.uintp(i)
                    red_blue, green_share = _mix(upper[x], lower[x], place[row + x])
                    below, weight = wall[row + x], np.float32(cover[row + x]) * np.float32(1 / 255)
                    stays = np.float32(1) - weight * np.float32(np.int32(green_share >> sixteen)) * np.float32(1 / 255)
                    red = _over(red_blue & byte, below & byte, weight, stays)
                    green = _over(green_share & byte, (below >> eight) & byte, weight, stays)
                    blue = _over(red_blue >> sixteen, (below >> sixteen) & byte, weight, stays)
                    warped[row + x] = red | (green << eight) | (blue << sixteen)
            begin += count


@compiled(inline="always")
def _pair(figure: Any, first: Any) -> Any:
    """A pixel and its neighbour to the right, as one number."""
    return np.uint64(figure[first]) | np.uint64(figure[first + np.uint64(1)]) << np.uint64(32)


@compiled(inline="always")
def _mix(upper: Any, lower: Any, place: Any) -> Any:
    """The four pixels around a place, bilinearly: red and blue, and green and how much of it is figure, are mixed as
    one number, each in 16 bits of it."""
    pair, eight, half = np.uint32(0x00FF00FF), np.uint32(8), np.uint64(32)
    a, b, c, d = np.uint32(upper), np.uint32(upper >> half), np.uint32(lower), np.uint32(lower >> half)
    u, v = place & np.uint32(31), (place >> np.uint32(14)) & np.uint32(31)
    red_blue = _bilinear(a & pair, b & pair, c & pair, d & pair, u, v)
    return red_blue, _bilinear((a >> eight) & pair, (b >> eight) & pair, (c >> eight) & pair, (d >> eight) & pair, u, v)


@compiled(fastmath=True, inline="always")
def _bilinear(a: Any, b: Any, c: Any, d: Any, u: Any, v: Any) -> Any:
    """Two channels at once, `u` and `v` in 32nds."""
    two, lanes, full = np.uint32(2), np.uint32(0x3FFF3FFF), np.uint32(32)
    upper = ((a * (full - u) + b * u) >> two) & lanes
    lower = ((c * (full - u) + d * u) >> two) & lanes
    return np.uint32((upper * (full - v) + lower * v + np.uint32(0x00800080)) >> np.uint32(8) & np.uint32(0x00FF00FF))


@compiled(fastmath=True, inline="always")
def _over(figure: Any, wall: Any, weight: Any, stays: Any) -> Any:
    """A channel of the figure, in which it is premultiplied, over one of the wall."""
    sum_ = np.float32(np.int32(figure)) * weight + np.float32(np.int32(wall)) * stays + np.float32(0.5)
    return np.uint32(np.int32(min(sum_, np.float32(255))))
