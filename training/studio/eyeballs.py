"""Look behind the lids of a figure at rest: its eyeballs bare, the light that falls on them, and what their corneas
reflect (`engines.eyeballs`)."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.atlas import fill
from engines.expression import FloatArray
from engines.eye_making import IRIS_RADIUS, find_iris, pixels_per_decimetre
from engines.eyeballs import LIT, Eyeballs, eye_sides, eyes_box
from engines.face_geometry import SourceGeometry
from engines.media import FRAME_SIZE
from engines.pictures import LUMA
from engines.raster import Window, rasterize
from training.studio.scene import Scene

LIMBUS: Final = 0.12
"""Share of the iris's radius over which the cornea ends; what is reflected this near its end is the white's."""
_NEAR: Final = 0.095
"""Decimetres from the middle of an eyeball within which there is only iris and white."""


def make_eyeballs(scene: Scene, geometry: SourceGeometry) -> Eyeballs:
    """Those of the figure in `scene`, whose head `geometry` is."""
    box, shots = eyes_box(geometry), scene.eyes()
    bare, white, lit, wet = (
        box.cut(shot).astype(np.float32) for shot in (shots.bare, shots.white, shots.lit, shots.wet)
    )
    plain = (255 * bare / np.maximum(white, 1)).clip(0, 255)
    away = _from_irises(bare @ LUMA, geometry, box)
    behind, inside = (((edge + LIMBUS - away) / LIMBUS).clip(0, 1) for edge in (1.0, 1 - 2 * LIMBUS))
    shine = (wet - bare).clip(0, 255) * inside[..., None]
    light = fill((lit * (LIT / 255)).round().astype(np.uint8), 1 - _shown(geometry, box))
    bare_and_cornea = np.dstack([plain, 255 * behind]).round().astype(np.uint8)
    return Eyeballs(bare_and_cornea, light, shine.round().astype(np.uint8), box.left, box.top)


def _shown(geometry: SourceGeometry, box: Window) -> NDArray[np.uint8]:
    """1 where the source shows the eyeballs, but not at their rims."""
    nearest = box.cut(rasterize(geometry.points, geometry.mesh.triangles, Window.whole(FRAME_SIZE)).triangle)
    shown = (nearest >= 0) & (eye_sides(geometry)[nearest] > 0)
    return np.asarray(cv2.erode(shown.astype(np.uint8), np.ones((3, 3), np.uint8)), np.uint8)


def _from_irises(light: FloatArray, geometry: SourceGeometry, box: Window) -> FloatArray:
    """How far each pixel (h, w) of the bare eyeballs, of that `light`, is from the middle of an iris, in its radii."""
    unit = pixels_per_decimetre(geometry)
    middles = Window.whole(FRAME_SIZE).pixels(geometry.camera.project(geometry.mesh.eye_centers))[:, :2]
    rows, columns = np.mgrid[: box.height, : box.width].astype(np.float32)
    nearest = np.full(light.shape, np.inf, np.float32)
    for x, y in middles - (box.left, box.top):
        near = np.hypot(columns - x, rows - y) < _NEAR * unit
        across, down, radius = find_iris(light, near, IRIS_RADIUS * unit)
        nearest = np.minimum(nearest, np.hypot(columns - across, rows - down) / radius)
    return nearest
