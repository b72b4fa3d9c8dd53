"""The eyes of a photo: whole eyeballs and shut lids, which it does not show, laid over its warp.

The painter has learnt eyes from drawn people, and redraws those of a photo as theirs; here they stay the photo's.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.compiled import compiled
from engines.expression import EXPRESSION_INDEX, EXPRESSION_SIZE, FloatArray
from engines.eyeballs import FOLLOWING, LIT, Eyeballs, EyeLook, drawn_anew, look_up
from engines.face_geometry import FaceGeometry, SourceGeometry
from engines.head_mesh import HeadMesh, Part
from engines.keypoints import KEYPOINT_NAMES
from engines.media import FRAME_SIZE, Motion
from engines.raster import Window, barycentric

DOWN_FROM, DOWN_TO = 0.08, 0.5
"""Share of an eye's height by which its lid is down when the drawn lid begins to show, and when it alone shows."""
HIDDEN_FROM, SHUT_FROM = 0.6, 0.88
"""The same when lashes begin to hide what is left of the eyeball, and when they begin to lie on the skin below."""
SEAM: Final = 6
"""Pixels over which the window blends into the picture at its border."""
SHADOW: Final = 0.3
"""How dark the eyeball is under a lid that is down."""
_COMES_DOWN: Final = -0.004
"""Decimetres up that the upper lids travel, at least."""
_BLINKS: Final = [EXPRESSION_INDEX["eyeBlinkLeft"], EXPRESSION_INDEX["eyeBlinkRight"]]
_UPPER, _LOWER = ([KEYPOINT_NAMES.index(f"lid_{side}_{number}") for side in ("left", "right")] for number in (2, 6))


@dataclass(frozen=True)
class EyePaint:
    """The `eyeballs` of a photo, and as large as their pictures its shut `lids`, uint8 RGBA."""

    eyeballs: Eyeballs
    lids: NDArray[np.uint8]


class EyePainter:
    """Draws the eyes of one head. Safe to use from any thread."""

    def __init__(self, paint: EyePaint, geometry: SourceGeometry) -> None:
        self._paint, self._mesh = paint, geometry.mesh
        self._source = Window.whole(FRAME_SIZE).pixels(geometry.points)
        self._shut = Window.whole(FRAME_SIZE).pixels(shut_points(geometry))
        self._kinds = self._sort()
        self._heights, self._look = _heights(geometry.keypoints), EyeLook(geometry)

    def _sort(self) -> NDArray[np.uint8]:
        """Per triangle: 1 eyeball, 2 upper lid, 3 what lies below it when it is shut, 0 none of these."""
        kinds = (self._mesh.parts == Part.EYE).astype(np.uint8)
        paint, balls = self._paint, self._paint.eyeballs
        corners = self._shut[self._mesh.triangles, :2] - (balls.left, balls.top)
        height, width = paint.lids.shape[:2]
        at = np.concatenate([corners, corners.mean(1, keepdims=True)], 1).round().astype(int)
        inside = (at >= 0).all(2) & (at[..., 0] < width) & (at[..., 1] < height)
        alpha = paint.lids[at[..., 1].clip(0, height - 1), at[..., 0].clip(0, width - 1), 3] * inside
        skin = (self._mesh.parts == Part.SKIN) & (alpha > 0).any(1)
        kinds[skin] = np.where(upper_lids(self._mesh)[skin], 2, 3)
        return kinds

    def draw(self, picture: NDArray[np.uint8], warped: NDArray[np.uint8], geometry: FaceGeometry) -> None:
        """Replace the eyes' window of `picture`, in place, by what of the `warped` source is right there and what is
        drawn; both uint8 RGB (512, 512, 3)."""
        window, raster, keypoints = geometry.eyes, geometry.raster, geometry.keypoints
        down = np.clip(1 - _heights(keypoints) / self._heights, 0, 1).astype(np.float32)
        with_head, turned = self._look.moved(raster.pixels)
        lid = _smooth((down - DOWN_FROM) / (DOWN_TO - DOWN_FROM))
        anew = np.maximum([drawn_anew(*each) for each in turned], lid).astype(np.float32)
        shut, hidden = (_smooth((down - start) / (1 - start)) for start in (SHUT_FROM, HIDDEN_FROM))
        middle = int((keypoints[_UPPER, 0].mean() + 1) * FRAME_SIZE / 2) - window.left
        balls, lids, area = self._paint.eyeballs, self._paint.lids, window.cut(picture)
        drawn, eyeball = np.empty(area.shape, np.float32), np.zeros(area.shape[:2], np.uint8)
        _lay(
            window.cut(warped), window.cut(raster.triangle), window.left, window.top, raster.pixels,
            self._mesh.triangles, self._kinds, self._source, self._shut, balls.bare, balls.light, balls.shine, lids,
            balls.left, balls.top, np.stack([anew, lid, shut]), with_head, with_head + FOLLOWING * turned, middle,
            drawn, eyeball,
        )  # fmt: skip
        _finish(drawn, eyeball, lid, hidden, middle, area)


def shut_points(geometry: SourceGeometry) -> FloatArray:
    """Projection (V, 3) of the head at rest, but with both eyes shut."""
    expression = np.zeros(EXPRESSION_SIZE, np.float32)
    expression[_BLINKS] = 1.0
    return geometry.camera.project(geometry.mesh.pose(Motion(expression)))


def upper_lids(mesh: HeadMesh) -> NDArray[np.bool_]:
    """Which triangles (T,) are skin that comes down when the eyes shut, or skin above that."""
    lowered = np.zeros(len(mesh.neutral), np.float32)
    both = mesh.deltas[_BLINKS, :, 1]
    lowered[: both.shape[1]] = both.min(0)
    corners = [KEYPOINT_NAMES.index(f"lid_{side}_{number}") for side in ("left", "right") for number in (0, 4)]
    above = mesh.neutral[:, 1] > mesh.neutral[mesh.keypoints[corners], 1].max()
    upper = above[mesh.triangles].all(1) | (lowered[mesh.triangles].mean(1) < _COMES_DOWN)
    return np.asarray(upper & (mesh.parts == Part.SKIN))


def _heights(keypoints: FloatArray) -> FloatArray:
    """How high the eyes (left, right) are open, in [-1, 1] of the picture."""
    return np.asarray(np.maximum(keypoints[_LOWER, 1] - keypoints[_UPPER, 1], 1e-4), np.float32)


def _smooth(share: FloatArray) -> FloatArray:
    share = np.clip(share, 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


@compiled(fastmath=True)
def _lay(
    warped: Any, nearest: Any, left: int, top: int, pixels: Any, triangles: Any, kinds: Any, source: Any, shut: Any,
    bare: Any, light: Any, shine: Any, lids: Any, paint_left: int, paint_top: int, shares: Any, away: Any,
    highlights: Any, middle: int, drawn: Any, eyeball: Any,
) -> None:  # fmt: skip
    for y in range(nearest.shape[0]):
        for x in range(nearest.shape[1]):
            for c in range(3):
                drawn[y, x, c] = warped[y, x, c]
            t = nearest[y, x]
            if t < 0 or kinds[t] == 0:
                continue
            side = int(x < middle)
            share = shares[np.uint8(kinds[t] - 1), side]
            eyeball[y, x] = kinds[t] == 1
            if share == 0:
                continue
            at, picture = (source, bare) if kinds[t] == 1 else (shut, lids)
            a, b, c_ = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            wb, wc = barycentric(pixels, a, b, c_, left + x, top + y)
            u = at[a, 0] + wb * (at[b, 0] - at[a, 0]) + wc * (at[c_, 0] - at[a, 0]) - paint_left
            v = at[a, 1] + wb * (at[b, 1] - at[a, 1]) + wc * (at[c_, 1] - at[a, 1]) - paint_top
            opaque = look_up(picture, 3, u, v) * np.float32(1 / 255)
            if kinds[t] != 1:
                share *= opaque
            shadows = np.float32(1) - shares[1, side]
            across, along = np.float32(left + x - paint_left), np.float32(top + y - paint_top)
            light_x, light_y = across - away[side, 0], along - away[side, 1]
            shine_x, shine_y = across - highlights[side, 0], along - highlights[side, 1]
            for c in range(3):
                value = look_up(picture, c, u, v)
                if kinds[t] == 1:  # shadows stay where the lids throw them
                    value *= np.float32(1) + (look_up(light, c, light_x, light_y) * np.float32(1 / LIT) - 1) * shadows
                    value = min(value + look_up(shine, c, shine_x, shine_y) * opaque, np.float32(255))
                drawn[y, x, c] += (value - drawn[y, x, c]) * share


@compiled(fastmath=True)
def _finish(drawn: Any, eyeball: Any, lid: Any, hidden: Any, middle: int, out: Any) -> None:
    """Shade the eyeball under its lid, smooth its rim, and lay all into the picture with a soft seam."""
    height, width = eyeball.shape
    one, seam = np.float32(1), np.float32(SEAM)
    for x in range(width):
        side = int(x < middle)
        shade, light = np.float32(SHADOW) * lid[side], one - np.float32(0.6) * hidden[side]
        for y in range(2, height - 1):
            if eyeball[y, x]:
                deep = one if eyeball[y - 1, x] == 0 else np.float32(0.5) * (eyeball[y - 2, x] == 0)
                dark = light - shade * max(deep, np.float32(0.6) * (eyeball[y + 1, x] == 0))
                for c in range(3):
                    drawn[y, x, c] *= dark
    for y in range(height):
        for x in range(width):
            border = min(min(x, width - 1 - x), min(y, height - 1 - y)) + np.float32(0.5)
            share = min(border / seam, one)
            rim = False
            if 0 < x < width - 1 and 0 < y < height - 1:
                count = eyeball[y - 1, x] + eyeball[y + 1, x] + eyeball[y, x - 1] + eyeball[y, x + 1]
                rim = count != 4 * eyeball[y, x]
            for c in range(3):
                value = drawn[y, x, c]
                if rim:
                    beside = drawn[y - 1, x, c] + drawn[y + 1, x, c] + drawn[y, x - 1, c] + drawn[y, x + 1, c]
                    value = np.float32(0.5) * value + np.float32(0.125) * beside
                out[y, x, c] = np.uint8(out[y, x, c] * (one - share) + value * share + np.float32(0.5))
