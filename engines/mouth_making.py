"""The colours of a photo's mouth: teeth as light as the photo's own, or else as the white of its eyes or its skin let
expect; tongue, gums and the dark behind as red as its lips.
"""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.face_geometry import SourceGeometry
from engines.head_mesh import HeadMesh, Part
from engines.keypoints import INNER_LIPS, KEYPOINT_NAMES, LIPS
from engines.media import FRAME_SIZE
from engines.mouth_paint import MouthPaint
from engines.pictures import LUMA
from engines.raster import Window, rasterize
from engines.source_view import HIDDEN, view_source

WARMTH: Final = np.array([1.0, 0.99, 0.96], np.float32)
"""Teeth are hardly yellower than what a picture shows of the white of the eye."""
LEAST_TEETH, MOST_TEETH = 0.85, 1.35
"""Lightness of teeth in shares of the cheeks'."""
COLOURFUL: Final = 0.06
"""Range of the channels in skin, in shares of the greatest, below which a picture is rather grey."""
SPEAKING: Final = 0.94
"""Lightness of teeth in the shadow of lips that speak, in shares of that of a grin."""
_OUTLINE: Final = [
    KEYPOINT_NAMES.index(name)
    for name in (
        *("mouth_corner_right", "lip_upper_outer_right_2", "lip_upper_outer_right_1", "lip_upper_outer_right_0"),
        *("lip_upper_outer_middle", "lip_upper_outer_left_0", "lip_upper_outer_left_1", "lip_upper_outer_left_2"),
        *("mouth_corner_left", "lip_lower_outer_left_1", "lip_lower_outer_left_0", "lip_lower_outer_middle"),
        *("lip_lower_outer_right_0", "lip_lower_outer_right_1"),
    )
]
_CHEEKS: Final = [KEYPOINT_NAMES.index(f"cheek_{side}") for side in ("left", "right")]


def mouth_paint(picture: NDArray[np.uint8], geometry: SourceGeometry) -> MouthPaint:
    """The colours that the photo `picture` uint8 RGB (512, 512, 3) lets expect."""
    pixels = Window.whole(FRAME_SIZE).pixels(geometry.points)[geometry.mesh.keypoints, :2]
    cheeks = inner_cheeks(geometry.mesh)
    inside, mouth = lip_masks(geometry, cheeks)
    rim = cv2.erode(mouth, np.ones((3, 3), np.uint8)) & (1 - cv2.dilate(inside, np.ones((7, 7), np.uint8)))
    sides = [colour_of(picture, _disc(pixels[row], 8)) for row in _CHEEKS]
    cheek = max(sides, key=lambda colour: float(colour @ LUMA))
    lips = colour_of(picture, rim if rim.any() else mouth)
    teeth = _own_teeth(picture, inside, lips)
    if teeth is None:
        teeth = _expected_teeth(_white_of_eyes(picture, geometry), cheek)
    light, skin = float(teeth @ LUMA), float(cheek @ LUMA)
    teeth = teeth * np.clip(SPEAKING * light, LEAST_TEETH * skin, MOST_TEETH * skin + 20) / max(light, 1.0)
    teeth[1:] = np.minimum(teeth[1:], teeth[0])  # in the coldest light they are grey
    pink = 0.55 * lips + 0.45 * float(lips @ LUMA)
    tongue, hollow = pink * (1.0, 0.52, 0.53), lips * (0.34, 0.18, 0.17)
    colour = min(float(np.ptp(cheek)) / max(float(cheek.max()), 1.0) / COLOURFUL, 1.0)
    tongue, hollow = (float(red @ LUMA) * (1 - colour) + red * colour for red in (tongue, hollow))
    return MouthPaint(
        teeth.clip(0, 248).astype(np.float32), tongue.astype(np.float32), hollow.astype(np.float32), cheeks
    )


def inner_cheeks(mesh: HeadMesh) -> NDArray[np.bool_]:
    """Which triangles (T,) are skin within the mouth: hidden while the lips touch, and behind them."""
    points = np.ascontiguousarray(mesh.neutral[:, :2] * (1.0, -1.0))
    middle = mesh.neutral[mesh.keypoints[list(LIPS)]].mean(0)
    places = np.column_stack([points - middle[:2] * (1.0, -1.0), 20.0 - mesh.neutral[:, 2]]).astype(np.float32)
    hidden = view_source(places, mesh.triangles, mesh.parts, FRAME_SIZE).sight[0] == HIDDEN
    centres = mesh.neutral[mesh.triangles].mean(1)
    low, high = mesh.neutral[mesh.keypoints[list(LIPS)]].min(0), mesh.neutral[mesh.keypoints[list(LIPS)]].max(0)
    behind = mesh.neutral[mesh.keypoints[list(INNER_LIPS)], 2].mean() - 0.03
    around = (centres > low - (0.0, 0.4, 1.2)).all(1) & (centres < (high[0], high[1] + 0.3, behind)).all(1)
    return np.asarray(hidden & around & (mesh.parts == Part.SKIN))


def lip_masks(geometry: SourceGeometry, cheeks: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """1 where the source picture shows the inside of the mouth, and where it shows that or lips, uint8 (512, 512);
    `cheeks` are those of `inner_cheeks`."""
    raster = rasterize(geometry.points, geometry.mesh.triangles, Window.whole(FRAME_SIZE))
    parts = geometry.mesh.parts
    inside = (parts >= Part.UPPER_TEETH) & (parts <= Part.TONGUE) | cheeks
    mouth = np.zeros((FRAME_SIZE, FRAME_SIZE), np.uint8)
    cv2.fillPoly(mouth, [raster.pixels[geometry.mesh.keypoints[_OUTLINE], :2].round().astype(np.int32)], 1)
    return (raster.covered() & inside[raster.triangle]).astype(np.uint8), mouth


def _disc(place: FloatArray, radius: int) -> NDArray[np.uint8]:
    mask = np.zeros((FRAME_SIZE, FRAME_SIZE), np.uint8)
    cv2.circle(mask, place.round().astype(int).tolist(), radius, 1, -1)
    return mask


def colour_of(picture: NDArray[Any], mask: NDArray[np.uint8]) -> FloatArray:
    """Median (3,) of what is masked; grey if that is nothing."""
    return np.median(picture[mask > 0], axis=0).astype(np.float32) if mask.any() else np.full(3, 128, np.float32)


def _lightest(picture: NDArray[np.uint8], mask: NDArray[np.uint8], share: float) -> FloatArray:
    """The same of the lightest `share` of it."""
    light = np.where(mask > 0, picture @ LUMA, -1)
    return colour_of(picture, (light >= np.quantile(light[mask > 0], 1 - share)).astype(np.uint8) & mask)


def _own_teeth(picture: NDArray[np.uint8], inside: NDArray[np.uint8], lips: FloatArray) -> FloatArray | None:
    """Colour of the teeth that the photo shows, if it does: they are lighter and paler than lips."""
    inner = cv2.erode(inside, np.ones((3, 3), np.uint8))
    if inner.sum() < 40:
        return None
    teeth = _lightest(picture, inner, 0.4)
    light = float(teeth @ LUMA), float(lips @ LUMA)
    red, lips_red = (
        float(colour[0] - colour[1:].mean()) / level for colour, level in zip((teeth, lips), light, strict=True)
    )
    return teeth if light[0] > 1.05 * light[1] and red < max(0.75 * lips_red, COLOURFUL / 2) else None


def _white_of_eyes(picture: NDArray[np.uint8], geometry: SourceGeometry) -> FloatArray:
    """Colour (3,) of the palest of what is light in the eyes: among it may be lids, where the mesh is off."""
    raster = rasterize(geometry.points, geometry.mesh.triangles, Window.whole(FRAME_SIZE))
    eyes = (raster.parts(geometry.mesh.parts) == Part.EYE).astype(np.uint8)
    colours = picture[cv2.erode(eyes, np.ones((3, 3), np.uint8)) > 0].astype(np.float32)
    if len(colours) < 8:
        return np.zeros(3, np.float32)
    light = colours @ LUMA
    colours = colours[light >= np.quantile(light, 0.6)]
    redness = np.ptp(colours, axis=1) / np.maximum(colours.max(1), 1)
    return np.median(colours[redness <= np.quantile(redness, 0.5)], axis=0).astype(np.float32)


def _expected_teeth(white: FloatArray, cheek: FloatArray) -> FloatArray:
    """Colour of teeth in the light in which the eyes are that `white`; where that is no white, in which skin is as the
    `cheek`."""
    light, skin = float(white @ LUMA), float(cheek @ LUMA)
    if light > 0.62 * skin and np.ptp(white) < 0.45 * white.max():
        return np.asarray(white / light * WARMTH * max(1.12 * light, skin), np.float32)
    return np.asarray((0.65 + 0.35 * cheek / max(skin, 1.0)) * WARMTH * 1.05 * skin, np.float32)
