"""Where a face is in a picture, and where its keypoints are.

One small network does both. Over square windows of several sizes it says whether a face fills the window, and where
its keypoints lie; the best windows are laid anew around the points found until they settle.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.backend import Backend, Network
from engines.expression import FloatArray
from engines.keypoints import KEYPOINT_NAMES, MIRROR

WEIGHTS: Final = Path(__file__).parent / "assets" / "weights"
CROP_SIZE: Final = 128
"""Pixels on a side of what the network sees."""
_UNTRACKED: Final = ("neck", "collar", "shoulder", "teeth", "tongue")
_BEHIND: Final = (3, 4, 6, 8, 17, 19, 22, 27, 28)
"""Numbers of the `surface` keypoints at the nape and the back of the head."""
TRACKED: Final = tuple(
    index
    for index, name in enumerate(KEYPOINT_NAMES)
    if not name.startswith(_UNTRACKED) and not (name.startswith("surface") and int(name.rsplit("_", 1)[1]) in _BEHIND)
)
"""Indices of the keypoints that the network finds, in its order: those that a face shows from the front."""
SEARCH_SIZE: Final = 640
"""Pixels on the longer side of the picture in which faces are searched."""
POSSIBLE, CERTAIN = 0.4, 0.6
"""Presence at which a window is looked at more closely, and at which a face that has settled counts."""
MOST_VAGUE: Final = 0.11
"""`Face.vagueness` beyond which what was found is no face."""
MOST_CANDIDATES: Final = 12
TRACKED_NAMES: Final = tuple(KEYPOINT_NAMES[index] for index in TRACKED)
CROP_SPREAD: Final = 3.4
"""Side of a crop, in root mean square distances of the tracked points from their centre."""


_MIRRORED: Final = [TRACKED.index(MIRROR[index]) for index in TRACKED]
_EYE_ROWS: Final = tuple(
    [row for row, index in enumerate(TRACKED) if KEYPOINT_NAMES[index].startswith(f"lid_{side}")]
    for side in ("left", "right")
)


@dataclass(frozen=True)
class Crop:
    """A square of a picture: centre (x, y) and side in its pixels, turned by `roll` radians (clockwise as seen)."""

    x: float
    y: float
    side: float
    roll: float = 0.0

    @classmethod
    def around(cls, points: FloatArray, roll: float = 0.0) -> "Crop":
        """The crop that fits a face whose tracked points (P, 2), in pixels, are these."""
        centre = points.mean(0)
        spread = float(np.sqrt(((points - centre) ** 2).sum(1).mean()))
        return cls(float(centre[0]), float(centre[1]), CROP_SPREAD * spread, roll)

    def scaled(self, scale: float) -> "Crop":
        """The same square once the picture is `scale` times as large."""
        return Crop(self.x * scale, self.y * scale, self.side * scale, self.roll)

    def matrix(self, size: float) -> NDArray[np.float64]:
        """From the picture's pixels to the crop's (2, 3), the crop being `size` pixels wide."""
        scale = size / self.side
        cos, sin = np.cos(self.roll) * scale, np.sin(self.roll) * scale
        shift = [size / 2 - cos * self.x - sin * self.y, size / 2 + sin * self.x - cos * self.y]
        return np.array([[cos, sin, shift[0]], [-sin, cos, shift[1]]])

    def pixel_matrix(self, size: float, left: float = 0.0, top: float = 0.0) -> NDArray[np.float64]:
        """The same between pixel centres, which OpenCV has at whole numbers, for a part of the picture that begins at
        (left, top)."""
        matrix = self.matrix(size)
        matrix[:, 2] += matrix[:, :2] @ (left + 0.5, top + 0.5) - 0.5
        return matrix

    def to_picture(self, points: FloatArray) -> FloatArray:
        """From [-1, 1] of the crop to pixels of the picture, (..., 2)."""
        cos, sin = np.cos(self.roll) * self.side / 2, np.sin(self.roll) * self.side / 2
        turned = points @ np.array([[cos, sin], [-sin, cos]], np.float32) + np.array([self.x, self.y], np.float32)
        return np.asarray(turned, np.float32)

    def to_crop(self, points: FloatArray) -> FloatArray:
        """The reverse of `to_picture`."""
        cos, sin = np.cos(self.roll) * 2 / self.side, np.sin(self.roll) * 2 / self.side
        turned = (points - np.array([self.x, self.y], np.float32)) @ np.array([[cos, -sin], [sin, cos]], np.float32)
        return np.asarray(turned, np.float32)


def cut(picture: NDArray[np.uint8], crop: Crop, size: int, border: int = cv2.BORDER_REPLICATE) -> NDArray[np.uint8]:
    """The crop as uint8 (size, size, 3); shrinking blurs first, so that nothing flickers between pixels."""
    shrink = crop.side / size
    if shrink > 1.5:  # halve until what is left is less than that
        small = 1 / shrink
        picture = np.asarray(cv2.resize(picture, None, fx=small, fy=small, interpolation=cv2.INTER_AREA), np.uint8)
        crop = crop.scaled(small)
    found = cv2.warpAffine(picture, crop.pixel_matrix(size), (size, size), flags=cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(found, np.uint8)


@dataclass(frozen=True)
class Face:
    """A face in a picture: its tracked `points` float32 (P, 2) and the expected error of each, `doubt` (P,), in pixels;
    `presence` (0 to 1), how sure the network is that it is one."""

    points: FloatArray
    doubt: FloatArray
    presence: float

    @property
    def crop(self) -> Crop:
        """The upright crop that the face fills."""
        return Crop.around(self.points, self.roll)

    @property
    def roll(self) -> float:
        """Angle of the line through the eyes in radians, clockwise as seen."""
        return _roll(self.points)

    @property
    def vagueness(self) -> float:
        """Median doubt in distances between the eyes: about 0.05 in clear pictures, and large where there is no face
        at all, because the points then differ from look to look."""
        return float(np.median(self.doubt)) / max(self.eye_distance, 1e-3)

    @property
    def eye_distance(self) -> float:
        """Pixels between the middles of the eyes."""
        left, right = (self.points[list(rows)].mean(0) for rows in _EYE_ROWS)
        return float(np.hypot(*(left - right)))


def _roll(points: FloatArray) -> float:
    left, right = (points[rows].mean(0) for rows in _EYE_ROWS)
    return float(np.arctan2(left[1] - right[1], left[0] - right[0]))


def _overlap(one: Crop, other: Crop) -> bool:
    return bool(np.hypot(one.x - other.x, one.y - other.y) < max(one.side, other.side) / 4)


class LandmarkFinder:
    """Searches pictures with a request of its own: for one thread at a time."""

    def __init__(self, backend: Backend, weights: Path = WEIGHTS) -> None:
        self._network: Network = backend.load(weights / "landmarks.onnx")

    def find(self, picture: NDArray[np.uint8]) -> list[Face]:
        """Every face in `picture` uint8 RGB (h, w, 3), the largest first."""
        shrink = max(1.0, max(picture.shape[:2]) / SEARCH_SIZE)
        small = np.asarray(
            cv2.resize(picture, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA), np.uint8
        )
        seen = [(self.look(small, crop), crop) for crop in _windows(*small.shape[:2])]
        seen = [(look, crop) for look, crop in seen if look[2] > POSSIBLE]
        seen.sort(key=lambda one: float(np.median(one[0][1])) / one[0][2])
        faces: list[Face] = []
        for (points, _, _), window in seen[:MOST_CANDIDATES]:
            crop = Crop.around(window.to_picture(points) * np.float32(shrink))
            if any(_overlap(crop, face.crop) for face in faces):
                continue
            face = self.settle(picture, crop)
            if face is not None and not any(_overlap(face.crop, other.crop) for other in faces):
                faces.append(face)
        return sorted(faces, key=lambda face: -face.crop.side)

    def settle(self, picture: NDArray[np.uint8], crop: Crop) -> Face | None:
        """Lay the crop anew around the points found in it until it fits, then look from several crops at once; None if
        that turns out to be no face."""
        for _ in range(3):
            points, _, presence = self.look(picture, crop)
            if presence < POSSIBLE:
                return None
            places = crop.to_picture(points)
            crop = Crop.around(places, _roll(places))
        places_seen, doubts, presences = [], [], []
        for factor, mirrored in ((0.92, False), (1.0, True), (1.0, False), (1.1, True)):
            near = Crop(crop.x, crop.y, crop.side * factor, crop.roll)
            points, doubt, presence = self.look(picture, near, mirrored)
            places_seen.append(near.to_picture(points))
            doubts.append(doubt * np.float32(near.side / 2))
            presences.append(presence)
        scatter = np.linalg.norm(np.std(places_seen, axis=0), axis=1)
        doubt = np.maximum(np.mean(doubts, axis=0), scatter)
        face = Face(np.mean(places_seen, axis=0), doubt, float(np.mean(presences)))
        return face if presence >= CERTAIN and face.vagueness <= MOST_VAGUE else None

    def look(
        self, picture: NDArray[np.uint8], crop: Crop, mirrored: bool = False
    ) -> tuple[FloatArray, FloatArray, float]:
        """Points (P, 2) and their doubt (P,) in [-1, 1] of the crop, and presence."""
        inside = cut(picture, crop, CROP_SIZE)
        if mirrored:
            inside = inside[:, ::-1]
        planar = np.multiply(inside.transpose(2, 0, 1)[None], np.float32(1 / 255), dtype=np.float32)
        found = self._network.run({"crop": planar})
        points, doubt = found["points"][0].copy(), found["doubt"][0].copy()
        if mirrored:
            points, doubt = points[_MIRRORED] * np.array([-1, 1], np.float32), doubt[_MIRRORED]
        return points, doubt, float(1 / (1 + np.exp(-found["presence"][0])))


def _windows(height: int, width: int) -> Iterator[Crop]:
    """Overlapping crops of all sizes at which a face may stand in a picture."""
    side = 1.25 * max(height, width)
    while side > 0.16 * max(height, width) and side > CROP_SIZE / 4:
        columns, rows = (
            np.linspace(
                min(side / 3, size / 2), max(size - side / 3, size / 2), max(1, int(np.ceil(size / (side * 0.4))) - 1)
            )
            for size in (width, height)
        )
        for y in rows:
            for x in columns:
                yield Crop(float(x), float(y), side)
        side /= 1.45
