"""The space of heads: mean and principal components of random identities, to which a portrait is fitted.

    python -m training.studio.shape_basis --assets DATA --out engines/assets/face_basis.npz

Every head is moved and scaled until its keypoints lie best on the mean's (no rotation), so that the components tell
faces apart and not how large they are. See `engines.face_basis` for what is written.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from engines.expression import FloatArray
from engines.face_basis import FaceBasis
from engines.head_mesh import HeadMesh, Part
from engines.keypoints import KEYPOINT_NAMES
from training.landmark_dataset import random_identity
from training.studio.assets import Assets
from training.studio.figure import Figure, Wardrobe
from training.studio.head_export import head_mesh

FACE: Final = [i for i, name in enumerate(KEYPOINT_NAMES) if not name.startswith(("neck", "collar", "shoulder"))]
FIRST_SEED: Final = 20_000
"""Far from the seeds of the pictures on which the landmark network trains and is judged."""


class BareStage:
    """Stands where the rasteriser would, and draws nothing."""

    def clear(self) -> None: ...

    def add(self, *surface: Any) -> None: ...


class PlainAssets(Assets):
    """Assets whose pictures are four white texels: only shapes are wanted here."""

    def texture(self, name: str, largest: int = 2048) -> NDArray[np.uint8]:
        return np.full((2, 2, 4), 255, np.uint8)


def face_only(mesh: HeadMesh) -> HeadMesh:
    """`mesh` without hair and garment."""
    count = mesh.deltas.shape[1]
    kept = (mesh.parts != Part.HAIR) & (mesh.parts != Part.CLOTH)
    return replace(
        mesh,
        neutral=mesh.neutral[:count],
        skinning=mesh.skinning[:count],
        eye_of_vertex=mesh.eye_of_vertex[:count],
        triangles=mesh.triangles[kept],
        parts=mesh.parts[kept],
    )


def stacked(mesh: HeadMesh) -> NDArray[np.float64]:
    """Vertices, joints and eye centres (V + 6, 3)."""
    return np.concatenate([mesh.neutral, mesh.joints, mesh.eye_centers]).astype(np.float64)


def aligned(
    points: NDArray[np.float64], anchors: NDArray[np.int32], onto: NDArray[np.float64]
) -> tuple[FloatArray, float]:
    """`points` (N, 3) moved and scaled so that its `anchors` lie best on `onto`, and the scale."""
    own = points[anchors]
    centre, goal = own.mean(0), onto.mean(0)
    scale = float(((own - centre) * (onto - goal)).sum() / ((own - centre) ** 2).sum())
    return ((points - centre) * scale + goal).astype(np.float32), scale


def build(assets: Assets, identities: int, components: int) -> tuple[FaceBasis, NDArray[np.float64]]:
    """The basis of this many random identities, and the variance along each of its components (in dm squared)."""
    wardrobe, stage = Wardrobe(assets), BareStage()
    heads: list[FloatArray] = []
    deltas: FloatArray = np.zeros((), np.float32)
    skinning: FloatArray = np.zeros((), np.float32)
    for seed in tqdm(range(FIRST_SEED, FIRST_SEED + identities), unit="head"):
        identity = replace(random_identity(assets.root, seed), hair="short01", garment="male_casualsuit04")
        mesh = face_only(head_mesh(Figure(wardrobe, stage, identity)))  # type: ignore[arg-type]
        anchors = mesh.keypoints[FACE]
        onto = mesh.neutral[anchors].astype(np.float64) if not heads else heads[0][anchors].astype(np.float64)
        head, scale = aligned(stacked(mesh), anchors, onto)
        heads.append(head)
        deltas = deltas + mesh.deltas * np.float32(scale / identities)
        skinning = skinning + mesh.skinning / np.float32(identities)
    mean = np.mean(heads, axis=0)
    scaled = [aligned(head.astype(np.float64), anchors, mean[anchors].astype(np.float64))[0] for head in heads]
    mean = np.mean(scaled, axis=0)
    offsets = np.stack(scaled).reshape(identities, -1) - mean.reshape(-1)
    # Few heads, many vertices: the eigenvectors of the small Gram matrix give the same directions.
    variances, mixes = np.linalg.eigh(offsets @ offsets.T / identities)
    order = np.argsort(variances)[::-1][:components]
    directions = (mixes[:, order].T @ offsets) / np.sqrt(identities)
    count = len(mesh.neutral)
    middle = replace(
        mesh,
        neutral=mean[:count].astype(np.float32),
        deltas=np.asarray(deltas, np.float32),
        skinning=np.asarray(skinning, np.float32),
        joints=mean[count:-2].astype(np.float32),
        eye_centers=mean[-2:].astype(np.float32),
    )
    basis = FaceBasis(middle, directions.reshape(-1, *mean.shape).astype(np.float32))
    return basis, variances[np.argsort(variances)[::-1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True, help="MakeHuman's data folder")
    parser.add_argument("--out", type=Path, default=Path("engines/assets/face_basis.npz"))
    parser.add_argument("--identities", type=int, default=300)
    parser.add_argument("--components", type=int, default=48)
    options = parser.parse_args()

    basis, variances = build(PlainAssets(options.assets), options.identities, options.components)
    basis.save(options.out)
    kept = variances[: options.components].sum() / variances.sum()
    print(
        f"{options.out}: {options.components} components keep {kept:.1%} of the variance of {options.identities} heads"
    )


if __name__ == "__main__":
    main()
