"""A face as the face-vid2vid family tells it, and where that puts its keypoints: face-vid2vid (arXiv 2011.15126) and
LivePortrait (arXiv 2407.03168), whose published weights know the formulas exactly as they stand here."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray

BIN_DEGREES: Final = 3.0
"""Angles are told by classes of as many degrees."""
MOVE_SIZE: Final = 9 + 3 + 1
"""Numbers of a `Faces.move` before the expression."""


@dataclass(frozen=True)
class KeypointFace:
    """What one picture shows. `angles` float32 (3,), pitch, yaw and roll in degrees; `t` (3,), translation; `scale`;
    `exp` (K, 3), by how much the expression moves each keypoint; `kp` (K, 3), the person's own, without pose and
    expression."""

    angles: FloatArray
    t: FloatArray
    scale: float
    exp: FloatArray
    kp: FloatArray

    def vector(self) -> FloatArray:
        """All but the person: angles, translation, logarithm of the scale, expression; float32 (7 + 3 K,)."""
        return np.concatenate([self.angles, self.t, [math.log(self.scale)], self.exp.ravel()]).astype(np.float32)

    def moved(self, change: FloatArray) -> "KeypointFace":
        """The same person with `change` (7 + 3 K,) added to its `vector`."""
        vector = self.vector() + change
        return KeypointFace(vector[:3], vector[3:6], math.exp(vector[6]), vector[7:].reshape(-1, 3), self.kp)


class Faces(ABC):
    """How a family tells a face: keypoints are s (kp R + exp) + T."""

    keypoint_count: int

    @abstractmethod
    def decode(self, outputs: Mapping[str, NDArray[Any]]) -> KeypointFace:
        """What its networks said of one picture."""

    @abstractmethod
    def rotation(self, face: KeypointFace) -> FloatArray:
        """R, float32 (3, 3)."""

    @abstractmethod
    def shift(self, face: KeypointFace) -> FloatArray:
        """T, float32 (3,)."""

    def size(self, face: KeypointFace) -> float:
        """s."""
        return face.scale

    def keypoints(self, face: KeypointFace) -> FloatArray:
        """Where the keypoints are in the picture, float32 (K, 3)."""
        return np.asarray(self.size(face) * (face.kp @ self.rotation(face) + face.exp) + self.shift(face), np.float32)

    def move(self, face: KeypointFace) -> FloatArray:
        """All but the person, as the GPU places keypoints by it: R, T, s, exp; float32 (MOVE_SIZE + 3 K,)."""
        size = np.array([self.size(face)], np.float32)
        return np.concatenate([self.rotation(face).ravel(), self.shift(face), size, face.exp.ravel()])


@dataclass(frozen=True)
class LivePortraitFaces(Faces):
    """LivePortrait: R = (Rz Ry Rx)^T, T = (tx, ty, 0), 21 keypoints."""

    keypoint_count: int = 21
    first_degrees: float = 97.5

    def decode(self, outputs: Mapping[str, NDArray[Any]]) -> KeypointFace:
        """What the motion extractor said of one picture: `pitch`, `yaw`, `roll` (1, 66), `t` (1, 3), `exp`, `kp`
        (1, 63), `scale` (1, 1)."""
        return KeypointFace(
            _angles(outputs, self.first_degrees),
            _copied(outputs["t"], 3),
            float(outputs["scale"].reshape(())),
            _copied(outputs["exp"], -1, 3),
            _copied(outputs["kp"], -1, 3),
        )

    def rotation(self, face: KeypointFace) -> FloatArray:
        """See `Faces.rotation`."""
        x, y, z = _about_axes(face.angles * np.float32(math.pi / 180))
        return np.asarray((z @ y @ x).T, np.float32)

    def shift(self, face: KeypointFace) -> FloatArray:
        """See `Faces.shift`."""
        return face.t * np.array([1, 1, 0], np.float32)  # the scale already says how near it is


@dataclass(frozen=True)
class FaceVid2VidFaces(Faces):
    """face-vid2vid: R = (Rx Ry Rz)^T, T = t, 15 keypoints, no scale."""

    keypoint_count: int = 15
    first_degrees: float = 99.0
    pi: float = 3.14
    """The published weights were trained with this one."""

    def decode(self, outputs: Mapping[str, NDArray[Any]]) -> KeypointFace:
        """What both estimators said of one picture: `pitch`, `yaw`, `roll` (1, 66), `t` (1, 3), `exp` (1, 45) and, of
        the keypoint detector, `canonical` (1, 15, 3)."""
        return KeypointFace(
            _angles(outputs, self.first_degrees),
            _copied(outputs["t"], 3),
            1.0,
            _copied(outputs["exp"], -1, 3),
            _copied(outputs["canonical"], -1, 3),
        )

    def rotation(self, face: KeypointFace) -> FloatArray:
        """See `Faces.rotation`."""
        x, y, z = _about_axes(face.angles / np.float32(180) * np.float32(self.pi))
        return np.asarray((x @ y @ z).T, np.float32)

    def shift(self, face: KeypointFace) -> FloatArray:
        """See `Faces.shift`."""
        return face.t

    def size(self, face: KeypointFace) -> float:
        """See `Faces.size`."""
        return 1.0


def _angles(outputs: Mapping[str, NDArray[Any]], first: float) -> FloatArray:
    bins = np.concatenate([outputs[name] for name in ("pitch", "yaw", "roll")]).astype(np.float32)
    shares = np.exp(bins - bins.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    return np.asarray(BIN_DEGREES * (shares @ np.arange(bins.shape[-1], dtype=np.float32)) - first, np.float32)


def _about_axes(radians: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Right-handed rotations of columns about x, y and z, (3, 3) each."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(radians), np.sin(radians)
    return (
        np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]], np.float32),
        np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]], np.float32),
        np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]], np.float32),
    )


def _copied(tensor: NDArray[Any], *shape: int) -> FloatArray:
    return np.array(tensor, np.float32).reshape(shape)
