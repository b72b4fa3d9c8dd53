"""The space of heads: a mean head mesh and the directions in which people differ from it.

Made by `training.studio.shape_basis` from random identities of the studio; the topology is that of every avatar.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from engines.expression import FloatArray
from engines.head_mesh import HEAD_BONES, HeadMesh

FACE_BASIS: Final = Path(__file__).parent / "assets" / "face_basis.npz"
_BONES: Final = len(HEAD_BONES)


@dataclass(frozen=True)
class FaceBasis:
    """`mean`, the head between all, face only (V vertices); `components` float32 (C, V + 6, 3), what one standard
    deviation along each direction adds to the vertices, then to the four joints, then to the two eye centres."""

    mean: HeadMesh
    components: FloatArray

    def head(self, shape: FloatArray) -> HeadMesh:
        """The head at `shape` (up to C,), in standard deviations."""
        moved = np.tensordot(shape, self.components[: len(shape)], axes=1).astype(np.float32)
        mean, count = self.mean, len(self.mean.neutral)
        return HeadMesh(
            neutral=mean.neutral + moved[:count],
            deltas=mean.deltas,
            skinning=mean.skinning,
            joints=mean.joints + moved[count : count + _BONES],
            eye_centers=mean.eye_centers + moved[count + _BONES :],
            eye_of_vertex=mean.eye_of_vertex,
            triangles=mean.triangles,
            parts=mean.parts,
            keypoints=mean.keypoints,
        )

    def person(self, shape: FloatArray) -> "FaceBasis":
        """The space in which there is nobody but the head at `shape`."""
        return FaceBasis(self.head(shape), self.components[:0])

    def save(self, path: Path) -> None:
        """Write `path` (.npz) and, beside it, nothing else: the mean's arrays and the components in half precision."""
        arrays = self.mean.arrays() | {"components": self.components.astype(np.float16)}
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path = FACE_BASIS) -> "FaceBasis":
        """Read what `save` wrote. Raises `FileNotFoundError` or `ValueError`."""
        mean = HeadMesh.load(path)
        with np.load(path, allow_pickle=False) as arrays:
            if "components" not in arrays:
                raise ValueError(f"{path} has no components")
            components = arrays["components"].astype(np.float32)
        if components.shape[1:] != (len(mean.neutral) + _BONES + 2, 3):
            raise ValueError(f"{path}: components have shape {components.shape}")
        return cls(mean, components)
