"""Rendered frames of the studio, with the inputs that the renderer's networks take, made as in serving."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.expression import FloatArray
from engines.face_geometry import GRID, FaceGeometry, Interior, SourceGeometry, face_geometry
from engines.head_mesh import Camera, HeadMesh
from engines.media import HeadPose, Motion

PICTURE_SIZE = 256
"""Resolution at which the whole picture is trained; the windows are trained at the full one."""


@dataclass(frozen=True)
class Identity:
    """One head of the studio: its source, and its frames with their motions."""

    name: str
    source: NDArray[np.uint8]
    geometry: SourceGeometry
    frames: NDArray[np.uint8]
    motions: list[Motion]


def load_identity(folder: Path, interior: Path, *kinds: str) -> Identity:
    """Read what ``python -m training.studio frames`` wrote for one head: the shards of `kinds`, in that order."""
    camera = json.loads((folder / "camera.json").read_text())
    geometry = SourceGeometry(
        HeadMesh.load(folder / "mesh.npz"),
        Camera(tuple(camera["eye"]), tuple(camera["at"]), camera["fov_degrees"]),
        Interior.load(interior),
    )
    source = cv2.imread(str(folder / "source.png"))
    if source is None:
        raise ValueError(f"{folder} has no source.png")
    frames, motions = [], []
    for path in [path for kind in kinds for path in sorted(folder.glob(f"{kind}*.npz"))]:
        with np.load(path) as shard:
            frames.append(shard["images"])
            for expression, pose, gaze in zip(shard["expression"], shard["pose"], shard["gaze"], strict=True):
                pitch, yaw, roll, x, y, z = pose.tolist()
                head = HeadPose(pitch, yaw, roll, (x, y, z))
                motions.append(Motion(expression.astype(np.float32), head, (float(gaze[0]), float(gaze[1]))))
    pictures = np.concatenate(frames) if frames else np.zeros((0, *source.shape), np.uint8)
    return Identity(folder.name, np.ascontiguousarray(source[..., ::-1]), geometry, pictures, motions)


@dataclass(frozen=True)
class Batch:
    """B samples. Pictures in [0, 1], planar; flows in picture units, planar; grids (B, h, w, 2)."""

    source: Tensor
    small_source: Tensor
    target: Tensor
    keypoints_source: Tensor
    keypoints_target: Tensor
    coarse_flow: Tensor
    seen: Tensor
    flow: Tensor
    mouth_centers: Tensor
    mouth_grid: Tensor
    mouth_maps: Tensor
    mouth_target: Tensor
    eyes_centers: Tensor
    eyes_grid: Tensor
    eyes_maps: Tensor
    eyes_target: Tensor


def make_sample(
    identity: Identity, frame: int, rng: np.random.Generator | None = None
) -> tuple[FaceGeometry, dict[str, FloatArray]]:
    """The tensors of one frame; with `rng`, its colours are jittered together with the source's."""
    geometry = face_geometry(identity.geometry, identity.motions[frame])
    colour = np.arange(256, dtype=np.float32)[:, None].repeat(3, 1) / 255
    if rng is not None and rng.random() < 0.6:
        colour = colour ** np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.08, 3)).astype(np.float32)
    table = colour.clip(0, 1).astype(np.float32)[None]
    source, target = (cv2.LUT(picture, table) for picture in (identity.source, identity.frames[frame]))

    def small(picture: NDArray[Any]) -> FloatArray:
        return np.asarray(cv2.resize(picture, (PICTURE_SIZE, PICTURE_SIZE), interpolation=cv2.INTER_AREA))

    def planar(picture: NDArray[Any]) -> FloatArray:
        return np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32)

    return geometry, {
        "source": planar(source),
        "small_source": planar(small(source)),
        "target": planar(small(target)),
        "keypoints_source": identity.geometry.keypoints,
        "keypoints_target": geometry.keypoints,
        "coarse_flow": planar(geometry.coarse_flow),
        "seen": geometry.seen[None],
        "flow": planar(geometry.flow),
        "mouth_centers": geometry.mouth.window.centers(),
        "mouth_grid": geometry.mouth.window.centers() + geometry.mouth.flow,
        "mouth_maps": planar(geometry.mouth.maps),
        "mouth_target": planar(geometry.mouth.window.cut(target)),
        "eyes_centers": geometry.eyes.window.centers(),
        "eyes_grid": geometry.eyes.window.centers() + geometry.eyes.flow,
        "eyes_maps": planar(geometry.eyes.maps),
        "eyes_target": planar(geometry.eyes.window.cut(target)),
    }


def collate(samples: list[dict[str, FloatArray]]) -> Batch:
    """Stack samples into a batch."""
    return Batch(**{name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]})


def batches(
    identities: list[Identity], favoured: set[str], size: int, seed: int, favour: float = 0.45
) -> Iterator[Batch]:
    """Endless random batches; a sample comes from a `favoured` identity (one that ships) with chance `favour`."""
    rng = np.random.default_rng(seed)
    pools = [
        [(identity, frame) for identity in identities if keep(identity.name) for frame in range(len(identity.motions))]
        for keep in (lambda name: name in favoured, lambda name: name not in favoured)
    ]
    while True:
        samples = []
        for _ in range(size):
            pool = pools[0] if (rng.random() < favour or not pools[1]) and pools[0] else pools[1]
            identity, frame = pool[rng.integers(len(pool))]
            samples.append(make_sample(identity, frame, rng)[1])
        yield collate(samples)


def coarse_seen(seen: Tensor) -> Tensor:
    """Visibility at the resolution of the feature maps, as serving's area resize makes it."""
    return torch.nn.functional.avg_pool2d(seen, seen.shape[-1] // GRID)
