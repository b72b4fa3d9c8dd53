"""Portraits for tests: an avatar that ships as a photo, and a keypoint network that knows where its face is.

The photo's place is written into its colours (red grows with x, green with y), so that the network's stand-in can tell
from a crop alone which part of the photo it sees, mirrored or not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.avatar import list_avatars, load_avatar
from engines.backend import Tensors
from engines.expression import FloatArray
from engines.keypoints import MIRROR
from engines.landmarks import CROP_SIZE, TRACKED, Crop

_MIRRORED = [TRACKED.index(MIRROR[index]) for index in TRACKED]


def shipped_points() -> FloatArray:
    """Tracked keypoints (P, 2) of the first avatar that ships, in pixels of its picture."""
    geometry = load_avatar(list_avatars()[0]).geometry
    return np.asarray((geometry.keypoints[list(TRACKED), :2] + 1) * 256, np.float32)


def ruled(height: int, width: int) -> NDArray[np.uint8]:
    """A picture that says of each pixel where it is."""
    y, x = np.mgrid[0:height, 0:width]
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0], picture[..., 1] = 10 + x * 230 // width, 10 + y * 230 // height
    return picture


@dataclass(frozen=True)
class KnowingNetwork:
    """Finds `faces`, each (P, 2) in pixels, in crops of the picture that `ruled` drew of `height` by `width`."""

    faces: tuple[FloatArray, ...]
    height: int
    width: int

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        return {"crop": (1, 3, CROP_SIZE, CROP_SIZE)}

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        red, green = inputs["crop"][0, 0] * 255, inputs["crop"][0, 1] * 255
        inside = (red > 14) & (red < 236) & (green > 14) & (green < 236)
        nothing = {
            "points": np.zeros((1, len(TRACKED), 2), np.float32),
            "doubt": np.ones((1, len(TRACKED)), np.float32),
        }
        if inside.sum() < 200:
            return nothing | {"presence": np.array([-9.0], np.float32)}
        rows, columns = np.nonzero(inside)
        places = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], 1)
        x = (red[inside] - 10) * self.width / 230 + 0.5
        y = (green[inside] - 10) * self.height / 230 + 0.5
        to_picture = np.linalg.lstsq(places, np.stack([x, y], 1), rcond=None)[0]
        turn, shift = to_picture[:2], to_picture[2]
        best, presence = nothing, -9.0
        side = float(np.sqrt(abs(np.linalg.det(turn)))) * CROP_SIZE
        for face in self.faces:
            crop = Crop.around(face)
            middle = (np.array([crop.x, crop.y]) - shift) @ np.linalg.inv(turn) / CROP_SIZE - 0.5
            if abs(np.log(side / crop.side)) < 0.4 and np.abs(middle).max() < 0.3:
                points = (face - shift) @ np.linalg.inv(turn) / CROP_SIZE * 2 - 1
                if np.linalg.det(turn) < 0:
                    points = points[_MIRRORED]
                doubt = np.full((1, len(TRACKED)), 0.01, np.float32)
                best, presence = {"points": points[None].astype(np.float32), "doubt": doubt}, 5.0
        return best | {"presence": np.array([presence], np.float32)}


@dataclass(frozen=True)
class KnowingBackend:
    """Hands out a `KnowingNetwork` whatever is asked for."""

    network: KnowingNetwork

    def load(self, path: Path) -> KnowingNetwork:
        return self.network
