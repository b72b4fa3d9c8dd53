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
_SHARES = np.array(BONE_SHARES)


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
    turn = np.empty((3, 3))
    _rotate(float(pitch), float(yaw), float(roll), turn)
    return turn


@compiled()
def _rotate(pitch: float, yaw: float, roll: float, turn: Any) -> None:
    angle = math.sqrt(pitch * pitch + yaw * yaw + roll * roll)
    axis = np.array([pitch, yaw, roll]) / max(angle, 1e-9)
    sin, rest = math.sin(angle), 1.0 - math.cos(angle)
    for row in range(3):
        for column in range(3):
            turn[row, column] = rest * axis[row] * axis[column]
    for k in range(3):
        after, before = (k + 1) % 3, (k + 2) % 3
        turn[k, k] += 1.0 - rest
        turn[before, after] += sin * axis[k]
        turn[after, before] -= sin * axis[k]


def bone_transforms(joints: FloatArray, pose: HeadPose) -> FloatArray:
    """World transforms ``(4, 3, 4)`` of `HEAD_BONES` about `joints` ``(4, 3)``, parents first."""
    transforms = np.empty((len(HEAD_BONES), 3, 4), np.float32)
    _turn_bones(joints, pose.vector(), _SHARES, transforms)
    return transforms


@compiled()
def _turn_bones(joints: Any, pose: Any, shares: Any, transforms: Any) -> None:
    turn, parent, place = np.empty((3, 3)), np.eye(3), pose[3:].copy()
    turned = np.empty((3, 3))
    for bone in range(joints.shape[0]):
        _rotate(pose[0] * shares[bone], pose[1] * shares[bone], pose[2] * shares[bone], turn)
        for row in range(3):
            for column in range(3):
                turned[row, column] = (
                    parent[row, 0] * turn[0, column]
                    + parent[row, 1] * turn[1, column]
                    + parent[row, 2] * turn[2, column]
                )
        for row in range(3):  # the joint stays where its parent has it
            for k in range(3):
                place[row] += (parent[row, k] - turned[row, k]) * joints[bone, k]
                transforms[bone, row, k] = turned[row, k]
            transforms[bone, row, 3] = place[row]
        parent[:] = turned


@compiled()
def _pose(
    neutral: Any, starts: Any, rows: Any, offsets: Any, expression: Any, eye_of_vertex: Any, eye_centers: Any,
    turn: Any, skinning: Any, transforms: Any, posed: Any,
) -> None:  # fmt: skip
    """Compiled, because a threaded BLAS on a busy machine takes twenty times as long as these loops; with one row for
    each coordinate, of which the compiler takes many vertices at once."""
    points = np.empty((3, len(neutral)), np.float32)
    for v in range(len(neutral)):
        points[0, v], points[1, v], points[2, v] = neutral[v, 0], neutral[v, 1], neutral[v, 2]
    for k in range(len(expression)):
        strength = expression[k]
        if strength != 0.0:
            for i in range(starts[k], starts[k + 1]):
                vertex = np.uintp(rows[i])
                points[0, vertex] += strength * offsets[i, 0]
                points[1, vertex] += strength * offsets[i, 1]
                points[2, vertex] += strength * offsets[i, 2]
    for v in range(len(eye_of_vertex)):
        eye = eye_of_vertex[v]
        if eye > 0:
            cx, cy, cz = eye_centers[eye - 1]
            x, y, z = points[0, v] - cx, points[1, v] - cy, points[2, v] - cz
            points[0, v] = turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z + cx
            points[1, v] = turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z + cy
            points[2, v] = turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z + cz
    moved = np.empty_like(points)
    for axis in range(3):
        _skin(points, points[axis], skinning, transforms[:, axis], moved[axis])
    for v in range(len(posed)):
        posed[v, 0], posed[v, 1], posed[v, 2] = moved[0, v], moved[1, v], moved[2, v]


@compiled()
def _skin(points: Any, own: Any, skinning: Any, rows: Any, moved: Any) -> None:
    """One coordinate of `points` (3, V), its `own`, after the bones, of whose transforms it takes its `rows` (4, 4)."""
    xs, ys, zs = points[0], points[1], points[2]
    first, second, third, fourth = skinning[0], skinning[1], skinning[2], skinning[3]
    a, b, c, d = rows[0].copy(), rows[1].copy(), rows[2].copy(), rows[3].copy()
    for v in range(len(own)):
        x, y, z = xs[v], ys[v], zs[v]
        still = np.float32(1) - first[v] - second[v] - third[v] - fourth[v]
        carried = first[v] * (a[0] * x + a[1] * y + a[2] * z + a[3])
        carried += second[v] * (b[0] * x + b[1] * y + b[2] * z + b[3])
        carried += third[v] * (c[0] * x + c[1] * y + c[2] * z + c[3])
        carried += fourth[v] * (d[0] * x + d[1] * y + d[2] * z + d[3])
        moved[v] = still * own[v] + carried


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

    @cached_property
    def _weights(self) -> FloatArray:
        """`skinning`, a row for each bone: (4, V)."""
        return np.ascontiguousarray(self.skinning.T)

    def pose(self, motion: Motion) -> FloatArray:
        """Vertices ``(V, 3)`` under `motion`: eyeballs turn, expression adds, head bones skin."""
        expression = np.ascontiguousarray(motion.expression, np.float32)
        turn = rotation(motion.gaze[0], motion.gaze[1], 0.0).astype(np.float32)
        transforms = bone_transforms(self.joints, motion.pose)
        posed = np.empty_like(self.neutral)
        _pose(
            self.neutral, *self._moves, expression, self.eye_of_vertex, self.eye_centers, turn,
            self._weights, transforms, posed,
        )  # fmt: skip
        return posed

    def reshaped(self, neutral: FloatArray, eye_centers: FloatArray) -> "HeadMesh":
        """The same head with other vertices at rest, which expresses itself as this one does."""
        mesh = replace(self, neutral=neutral, eye_centers=eye_centers)
        mesh.__dict__.update(_moves=self._moves, _weights=self._weights)  # found once, and the same
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

    @cached_property
    def distance(self) -> np.float64:
        """To what it looks at, in decimetres."""
        return np.float64(math.dist(self.eye, self.at))

    @cached_property
    def _lens(self) -> tuple[FloatArray, FloatArray]:
        """Where it is, and unit vectors to the right and down in [-1, 1] of the picture and along the line of sight."""
        (right, up, forward), zoom = self.axes, 1.0 / self.reach
        axes = np.stack([right * zoom, -up * zoom, forward])
        return np.array(self.eye, np.float32), axes.astype(np.float32)

    def project(self, vertices: FloatArray) -> FloatArray:
        """Project ``(..., 3)`` to (x, y, depth): x and y in [-1, 1] inside the picture (y down), depth in dm."""
        projected = np.empty(vertices.shape, np.float32)
        _project(
            np.ascontiguousarray(vertices, np.float32).reshape(-1, 3), *self._lens, projected.reshape(-1, 3),
        )  # fmt: skip
        return projected
