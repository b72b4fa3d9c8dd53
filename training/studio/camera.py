"""The set: where the camera stands, the lights of a portrait studio and the backdrop."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.head_mesh import Camera
from training.studio.identity import Identity


def portrait_camera(eyes: FloatArray, identity: Identity) -> Camera:
    """The camera of `identity`, head and shoulders as in a video call: its picture is `picture_height` dm high at the
    face; it stands `camera_yaw` off the axis of a head whose eyes' middle is `eyes` (3,), and `camera_rise` above."""
    distance = identity.picture_height / 2 / np.tan(np.radians(identity.field_of_view) / 2)
    y, z = float(eyes[1]) - 0.20, float(eyes[2]) - 1.0
    across, rise = float(np.sin(identity.camera_yaw)), float(np.sin(identity.camera_rise))
    eye = (across * distance, y + 0.25 + rise * distance, z + float(np.cos(identity.camera_yaw)) * distance)
    return Camera(eye, (0.0, y, z), identity.field_of_view)


@dataclass(frozen=True)
class Lights:
    """Directional lights: unit `directions` towards them (16, 3), linear `colours` (16, 3)."""

    directions: NDArray[np.float32]
    colours: NDArray[np.float32]


def studio_lights(
    side: float = -0.55,
    key: float = 2.05,
    fill: float = 0.32,
    rim: float = 0.9,
    dome: float = 0.46,
    warmth: float = 0.06,
) -> Lights:
    """Five lights for a key softbox at `side` (negative: the picture's left), three fill, two rim, six of a dome. The
    `warmth` of the key is by how much its red exceeds its green, and its green its blue."""

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
    colours = [np.array([1.0, 1.01 - warmth, 1.0 - 2 * warmth]) * key / 5] * 5 + [
        np.array([0.88, 0.94, 1.06]) * fill / 3
    ] * 3
    colours += [np.array([1.0, 0.98, 0.95]) * rim, np.array([0.9, 0.95, 1.0]) * rim * 0.6]
    colours += [np.array([0.95, 0.97, 1.02]) * dome / 6 * (0.75 if up < 0 else 1.0) for _, up, _ in sky]
    directions = key_box + fill_box + rims + [unit(direction) for direction in sky]
    return Lights(np.array(directions, np.float32), np.array(colours, np.float32))


def backdrop(identity: Identity, size: int = 256) -> NDArray[np.uint8]:
    """What is out of focus behind `identity`, sRGB uint8 (size, size, 3), top row first: a soft vignette, and with a
    `backdrop_seed` the blurred shapes of some room."""
    y, x = np.mgrid[0:size, 0:size] / size
    share = np.clip(np.hypot(x - 0.5, y - 0.45) * 1.25, 0, 1)[..., None]
    colour = np.array(identity.backdrop[0]) * (1 - share) + np.array(identity.backdrop[1]) * share
    if identity.backdrop_seed:
        rng = np.random.default_rng(identity.backdrop_seed)
        for _ in range(rng.integers(3, 9)):
            width, height = rng.uniform(0.05, 0.5, 2)
            left, top = rng.uniform(-0.2, 1.0, 2)
            inside = (x > left) & (x < left + width) & (y > top) & (y < top + height)
            colour = np.where(inside[..., None], colour * rng.uniform(0.4, 1.5) + rng.normal(0, 0.05, 3), colour)
        colour = cv2.GaussianBlur(colour, (0, 0), float(rng.uniform(0.01, 0.06)) * size)
    return (np.clip(colour, 0, 1) * 255).astype(np.uint8)
