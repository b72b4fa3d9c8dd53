"""The head mesh: canonical keypoints that an expression and a head pose move (K = R (Kc + E) + T).

One topology of the face is shared by every avatar, so its triangles, parts and keypoint indices mean the same thing
everywhere; what differs between avatars is the neutral shape, the deltas of the expression, the skin weights, and the
hair and garment that may follow the face.
"""

import math
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.compiled import compiled
from engines.expression import EXPRESSION_SIZE, FloatArray
from engines.media import HeadPose, Motion

HEAD_BONES = ("neck01", "neck02", "neck03", "head")
"""Parents first. A head pose turns each by its share."""
BONE_SHARES = (0.2, 0.2, 0.2, 0.4)
"""Share of the head's rotation that each of `HEAD_BONES` carries."""


class Part(IntEnum):
    """What a triangle of the mesh belongs to."""

    SKIN = 0
    EYE = 1
    UPPER_TEETH = 2
    LOWER_TEETH = 3
    TONGUE = 4
    HAIR = 5
    CLOTH = 6


def rotation(pitch: float, yaw: float, roll: float) -> NDArray[np.float64]:
    """Rotation matrix of the rotation vector (pitch, yaw, roll) about x, y, z (Rodrigues), ``(3, 3)``."""
    angle = math.hypot(pitch, yaw, roll)
    if angle < 1e-9:
        return np.eye(3)
    x, y, z = pitch / angle, yaw / angle, roll / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * (cross @ cross)


def bone_transforms(joints: FloatArray, pose: HeadPose) -> FloatArray:
    """World transforms ``(4, 3, 4)`` of `HEAD_BONES` about `joints` ``(4, 3)``, parents first."""
    transforms = np.empty((len(HEAD_BONES), 3, 4), np.float32)
    parent = np.eye(4)
    parent[:3, 3] = pose.translation
    turns = {share: rotation(pose.pitch * share, pose.yaw * share, pose.roll * share) for share in set(BONE_SHARES)}
    for index, share in enumerate(BONE_SHARES):
        turn = turns[share]
        local = np.eye(4)
        local[:3, :3] = turn
        local[:3, 3] = joints[index] - turn @ joints[index]
        parent = parent @ local
        transforms[index] = parent[:3]
    return transforms


@compiled()
def _pose(
    neutral: Any, starts: Any, rows: Any, offsets: Any, expression: Any, eye_of_vertex: Any, eye_centers: Any,
    turn: Any, skinning: Any, transforms: Any, posed: Any,
) -> None:  # fmt: skip
    """Compiled, because a threaded BLAS on a busy machine takes twenty times as long as these loops."""
    posed[:] = neutral
    for k in range(expression.shape[0]):
        strength = expression[k]
        if strength != 0.0:
            for i in range(starts[k], starts[k + 1]):
                v = rows[i]
                posed[v, 0] += strength * offsets[i, 0]
                posed[v, 1] += strength * offsets[i, 1]
                posed[v, 2] += strength * offsets[i, 2]
    for v in range(posed.shape[0]):
        x, y, z = posed[v, 0], posed[v, 1], posed[v, 2]
        eye = eye_of_vertex[v]
        if eye > 0:
            cx, cy, cz = eye_centers[eye - 1]
            x, y, z = x - cx, y - cy, z - cz
            x, y, z = (
                turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z + cx,
                turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z + cy,
                turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z + cz,
            )
        still = np.float32(1.0)
        px = py = pz = np.float32(0.0)
        for bone in range(skinning.shape[1]):
            weight = skinning[v, bone]
            if weight != 0.0:
                still -= weight
                t = transforms[bone]
                px += weight * (t[0, 0] * x + t[0, 1] * y + t[0, 2] * z + t[0, 3])
                py += weight * (t[1, 0] * x + t[1, 1] * y + t[1, 2] * z + t[1, 3])
                pz += weight * (t[2, 0] * x + t[2, 1] * y + t[2, 2] * z + t[2, 3])
        posed[v, 0], posed[v, 1], posed[v, 2] = still * x + px, still * y + py, still * z + pz


@compiled()
def _project(vertices: Any, eye: Any, axes: Any, projected: Any) -> None:
    for v in range(vertices.shape[0]):
        x, y, z = vertices[v, 0] - eye[0], vertices[v, 1] - eye[1], vertices[v, 2] - eye[2]
        depth = x * axes[2, 0] + y * axes[2, 1] + z * axes[2, 2]
        projected[v, 0] = (x * axes[0, 0] + y * axes[0, 1] + z * axes[0, 2]) / depth
        projected[v, 1] = (x * axes[1, 0] + y * axes[1, 1] + z * axes[1, 2]) / depth
        projected[v, 2] = depth


@dataclass(frozen=True)
class HeadMesh:
    """V vertices in decimetres (x to the model's left, y up, z forward) and T triangles.

    `neutral` float32 (V, 3); `deltas` float32 (EXPRESSION_SIZE, D, 3), added per unit of coefficient to the first D
    vertices: the face, whose topology all avatars share (hair and garment come after it and express nothing);
    `skinning` float32 (V, 4), weights of `HEAD_BONES` (what is missing to 1 stays still); `joints` float32 (4, 3), the
    heads of the bones; `eye_centers` float32 (2, 3), left then right; `eye_of_vertex` int8 (V,), 0 for none, 1 left, 2
    right; `triangles` int32 (T, 3), the face's first, wound so that the front faces the camera counter-clockwise;
    `parts` uint8 (T,) of `Part`; `keypoints` int32 (K,), the vertices that stand for the face where a few points must
    do.
    """

    neutral: FloatArray
    deltas: FloatArray
    skinning: FloatArray
    joints: FloatArray
    eye_centers: FloatArray
    eye_of_vertex: NDArray[np.int8]
    triangles: NDArray[np.int32]
    parts: NDArray[np.uint8]
    keypoints: NDArray[np.int32]

    @cached_property
    def _moves(self) -> tuple[NDArray[np.int32], NDArray[np.int32], FloatArray]:
        """The deltas without their zeros, nine in ten: coefficient k moves vertices `rows[starts[k]:starts[k + 1]]`
        by `offsets` (n, 3). Returns starts, rows, offsets."""
        coefficients, rows = np.nonzero(self.deltas.any(axis=2))
        starts = np.searchsorted(coefficients, np.arange(EXPRESSION_SIZE + 1))
        return starts.astype(np.int32), rows.astype(np.int32), self.deltas[coefficients, rows]

    def pose(self, motion: Motion) -> FloatArray:
        """Vertices ``(V, 3)`` under `motion`: eyeballs turn, expression adds, head bones skin."""
        expression = np.ascontiguousarray(motion.expression, np.float32)
        turn = rotation(motion.gaze[0], motion.gaze[1], 0.0).astype(np.float32)
        transforms = bone_transforms(self.joints, motion.pose)
        posed = np.empty_like(self.neutral)
        _pose(
            self.neutral, *self._moves, expression, self.eye_of_vertex, self.eye_centers, turn,
            self.skinning, transforms, posed,
        )  # fmt: skip
        return posed

    def reshaped(self, neutral: FloatArray, eye_centers: FloatArray) -> "HeadMesh":
        """The same head with other vertices at rest, which expresses itself as this one does."""
        mesh = replace(self, neutral=neutral, eye_centers=eye_centers)
        mesh.__dict__["_moves"] = self._moves  # found once, and the same
        return mesh

    def save(self, path: Path) -> None:
        """Write a compressed ``.npz``; deltas and weights in half precision."""
        np.savez_compressed(path, **self.arrays())  # type: ignore[arg-type]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a file of the mesh holds, by name."""
        return {
            "neutral": self.neutral.astype(np.float32),
            "deltas": self.deltas.astype(np.float16),
            "skinning": self.skinning.astype(np.float16),
            "joints": self.joints.astype(np.float32),
            "eye_centers": self.eye_centers.astype(np.float32),
            "eye_of_vertex": self.eye_of_vertex,
            "triangles": self.triangles,
            "parts": self.parts,
            "keypoints": self.keypoints,
        }

    @classmethod
    def load(cls, path: Path) -> "HeadMesh":
        """Read what `save` wrote. Raises `ValueError` when the file is not a head mesh."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                mesh = cls(
                    neutral=arrays["neutral"],
                    deltas=arrays["deltas"].astype(np.float32),
                    skinning=arrays["skinning"].astype(np.float32),
                    joints=arrays["joints"],
                    eye_centers=arrays["eye_centers"],
                    eye_of_vertex=arrays["eye_of_vertex"],
                    triangles=arrays["triangles"],
                    parts=arrays["parts"],
                    keypoints=arrays["keypoints"],
                )
        except KeyError as error:
            raise ValueError(f"{path} is not a head mesh: {error} is missing") from error
        if mesh.deltas.shape[::2] != (EXPRESSION_SIZE, 3) or mesh.deltas.shape[1] > len(mesh.neutral):
            raise ValueError(f"{path}: deltas have shape {mesh.deltas.shape}, expected {EXPRESSION_SIZE} expressions")
        return mesh


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at `eye` looking at `at` (decimetres), y up, square picture, vertical field of view; tilted by
    `roll` radians, clockwise as seen from behind it."""

    eye: tuple[float, float, float]
    at: tuple[float, float, float]
    fov_degrees: float = 17.0
    roll: float = 0.0

    @cached_property
    def axes(self) -> NDArray[np.float64]:
        """Unit vectors (3, 3) to the right in the picture, up in it, and along the line of sight."""
        eye, at = np.array(self.eye, np.float32), np.array(self.at, np.float32)
        forward = (at - eye) / np.linalg.norm(at - eye)
        right = np.cross(forward, (0.0, 1.0, 0.0))
        right /= np.linalg.norm(right)
        up = np.cross(right, forward)
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        return np.stack([cos * right - sin * up, cos * up + sin * right, forward])

    @property
    def reach(self) -> float:
        """Half the picture's height at a distance of 1."""
        return float(np.tan(np.radians(self.fov_degrees) / 2))

    def project(self, vertices: FloatArray) -> FloatArray:
        """Project ``(..., 3)`` to (x, y, depth): x and y in [-1, 1] inside the picture (y down), depth in dm."""
        right, up, forward = self.axes
        zoom = 1.0 / self.reach
        axes = np.stack([right * zoom, -up * zoom, forward]).astype(np.float32)
        projected = np.empty(vertices.shape, np.float32)
        _project(
            np.ascontiguousarray(vertices, np.float32).reshape(-1, 3), np.array(self.eye, np.float32), axes,
            projected.reshape(-1, 3),
        )  # fmt: skip
        return projected
