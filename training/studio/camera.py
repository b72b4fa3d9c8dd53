"""The set: where the camera stands, the lights of a portrait studio and the backdrop."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.head_mesh import Camera
from training.studio.identity import Colour

FIELD_OF_VIEW = 17.0
"""Degrees: a portrait lens."""


def portrait_camera(eyes: FloatArray, height: float = 3.2, yaw: float = 0.0) -> Camera:
    """A camera whose picture is `height` dm high at the face, `yaw` radians off the axis of a head whose eyes' middle
    is `eyes` (3,): head and shoulders as in a video call."""
    distance = height / 2 / np.tan(np.radians(FIELD_OF_VIEW) / 2)
    y, z = float(eyes[1]) - 0.20, float(eyes[2]) - 1.0
    eye = (float(np.sin(yaw) * distance), y + 0.25, z + float(np.cos(yaw) * distance))
    return Camera(eye, (0.0, y, z), FIELD_OF_VIEW)


@dataclass(frozen=True)
class Lights:
    """Directional lights: unit `directions` towards them (16, 3), linear `colours` (16, 3)."""

    directions: NDArray[np.float32]
    colours: NDArray[np.float32]


def studio_lights(
    side: float = -0.55, key: float = 2.05, fill: float = 0.32, rim: float = 0.9, dome: float = 0.46
) -> Lights:
    """Five lights for a key softbox at `side` (negative: the picture's left), three fill, two rim, six of a dome."""

    def unit(vector: object) -> NDArray[np.float64]:
        array = np.asarray(vector, np.float64)
        return array / np.linalg.norm(array)

    def square(direction: NDArray[np.float64], spread: list[tuple[float, float]]) -> list[NDArray[np.float64]]:
        across = unit(np.cross(direction, (0, 1, 0)))
        up = np.cross(across, direction)
        return [unit(direction + a * across + b * up) for a, b in spread]

    main = unit((side, 0.45, 0.75))
    key_box = square(main, [(0, 0), (0.28, 0.2), (-0.28, 0.2), (0.24, -0.24), (-0.24, -0.24)])
    fill_box = square(unit((-main[0] * 1.3, 0.15, 0.75)), [(0, 0.25), (0.35, -0.2), (-0.35, -0.2)])
    rims = [unit((-main[0] * 1.6, 0.5, -0.85)), unit((main[0] * 1.8, 0.35, -0.75))]
    sky = [(0, 1, 0.12), (0.75, 0.6, 0.35), (-0.75, 0.6, 0.35), (0, 0.3, 1), (0, -0.55, 0.8), (0, 0.75, -0.6)]
    colours = [np.array([1.0, 0.95, 0.88]) * key / 5] * 5 + [np.array([0.88, 0.94, 1.06]) * fill / 3] * 3
    colours += [np.array([1.0, 0.98, 0.95]) * rim, np.array([0.9, 0.95, 1.0]) * rim * 0.6]
    colours += [np.array([0.95, 0.97, 1.02]) * dome / 6 * (0.75 if up < 0 else 1.0) for _, up, _ in sky]
    directions = key_box + fill_box + rims + [unit(direction) for direction in sky]
    return Lights(np.array(directions, np.float32), np.array(colours, np.float32))


def backdrop(inner: Colour, outer: Colour, size: int = 256) -> NDArray[np.uint8]:
    """A soft vignette, sRGB uint8 (size, size, 3), top row first."""
    y, x = np.mgrid[0:size, 0:size] / size
    share = np.clip(np.hypot(x - 0.5, y - 0.45) * 1.25, 0, 1)[..., None]
    colour = np.array(inner) * (1 - share) + np.array(outer) * share
    return (np.clip(colour, 0, 1) * 255).astype(np.uint8)
