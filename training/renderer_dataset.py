"""Rendered frames of the studio, with the inputs that the renderer's networks take, made as in serving."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.atlas import Atlas
from engines.expression import EXPRESSION_INDEX
from engines.eyeballs import EyeballLayer, Eyeballs
from engines.face_geometry import MOUTH_WINDOW, Interior, SourceGeometry, face_geometry
from engines.globe import Globe
from engines.head_mesh import Camera, HeadMesh, Part
from engines.keypoints import MIRROR
from engines.layers import SEAM
from engines.media import HeadPose, Motion
from engines.renderer import painter_inputs
from engines.warp import warp

AS_PHOTO = 0.3
"""Share of the samples of heads that do not ship whose source is not the neutral portrait."""
AS_PHOTO_YAW = 0.2
"""Radians that a head may be turned in such a source."""
AS_PHOTO_MISFIT = 0.015
"""Decimetres by which its mesh is off, at most; a pixel is about 0.006."""
TURNED_FAVOUR = 4.0
"""How much likelier a frame is drawn per radian that its head is turned."""
OPEN_FAVOUR = 1.0
"""How much likelier one is drawn whose mouth is open."""
CHEEKS = 2.5
"""How much more an error counts beside the mouth, where a smile folds the skin: many see it, but it is small."""
CHEEK_MARGIN = 40
"""Pixels of the whole picture around the mouth's window that it concerns."""
UNDRESSED = 0.25
"""Share of those sources whose mesh lacks the hair, as where a photo's outline was not found."""
_OPENING = [EXPRESSION_INDEX[name] for name in ("jawOpen", "mouthLowerDownLeft", "mouthUpperUpLeft")]
_SLOPES = (-1, 1, 1, -1, 1, 1)
_BESIDE = {"main": (-1, 1, *_SLOPES), "mouth": _SLOPES, "eyes": _SLOPES}
"""Signs that a mirror gives to what comes after the folded pixels: the flow, the normal and its turn."""
PICTURE_SIZE = 256
"""Resolution at which the whole picture is trained; the windows are trained at the full one."""


@dataclass(frozen=True)
class Identity:
    """One head of the studio: its source, its frames with their motions, and its eyeballs, if they were shot."""

    name: str
    source: NDArray[np.uint8]
    atlas: Atlas
    geometry: SourceGeometry
    frames: NDArray[np.uint8]
    motions: list[Motion]
    eyeballs: Eyeballs | None = None


def load_identity(folder: Path, interior: Path, *kinds: str) -> Identity:
    """Read what ``python -m training.studio frames`` wrote for one head: the shards of `kinds`, in that order."""
    camera = json.loads((folder / "camera.json").read_text())
    geometry = SourceGeometry(
        HeadMesh.load(folder / "mesh.npz"),
        Camera(tuple(camera["eye"]), tuple(camera["at"]), camera["fov_degrees"]),
        Interior.load(interior),
        globe=Globe.load(folder),
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
    picture = np.ascontiguousarray(source[..., ::-1])
    eyeballs = Eyeballs.load(folder)
    return Identity(folder.name, picture, geometry.atlas(picture), geometry, pictures, motions, eyeballs)


@dataclass(frozen=True)
class Batch:
    """B samples. `source` (B, 3, 256, 256) is what the encoder sees; `keypoints`, `main`, `mouth` and `eyes` are the
    painter's inputs. `warped` and `target` (B, 3, 256, 256), and the same of the windows, are in [0, 1]; `weight`
    (B, 1, 256, 256) is how much an error counts: 0 where a window replaces what is painted over the whole picture."""

    source: Tensor
    keypoints: Tensor
    main: Tensor
    mouth: Tensor
    eyes: Tensor
    warped: Tensor
    warped_mouth: Tensor
    warped_eyes: Tensor
    target: Tensor
    target_mouth: Tensor
    target_eyes: Tensor
    weight: Tensor


def make_sample(
    identity: Identity, frame: int, rng: np.random.Generator | None = None
) -> dict[str, NDArray[np.float32]]:
    """The tensors of one frame; with `rng`, its colours are jittered together with the source's. What the corneas
    reflect is not the painter's to paint."""
    geometry = face_geometry(identity.geometry, identity.motions[frame])
    source, target = identity.source, identity.frames[frame]
    warped = warp(identity.atlas, geometry)
    if identity.eyeballs is not None:
        gleam = EyeballLayer(identity.eyeballs, identity.geometry).lay(warped, geometry)
        target = target.copy()
        eyes = gleam.window.cut(target)
        eyes[:] = (eyes - gleam.light).clip(0, 255).round()
    table = random_colours(rng) if rng is not None else None
    if table is not None:
        source, target, warped = (np.asarray(cv2.LUT(each, table), np.uint8) for each in (source, target, warped))
    weight = np.ones((*warped.shape[:2], 1), np.float32)
    top, left = (max(edge - CHEEK_MARGIN, 0) for edge in (geometry.mouth.top, geometry.mouth.left))
    height, width = (side + 2 * CHEEK_MARGIN for side in MOUTH_WINDOW)
    weight[top : top + height, left : left + width] = CHEEKS
    for window in (geometry.mouth, geometry.eyes):
        window.cut(weight)[SEAM:-SEAM, SEAM:-SEAM] = 0

    def small(picture: NDArray[Any]) -> NDArray[Any]:
        resized = cv2.resize(picture, (PICTURE_SIZE, PICTURE_SIZE), interpolation=cv2.INTER_AREA)
        return resized.reshape(PICTURE_SIZE, PICTURE_SIZE, -1)

    def planar(picture: NDArray[Any]) -> NDArray[np.float32]:
        return np.ascontiguousarray(picture.transpose(2, 0, 1)) * np.float32(1 / 255)

    sample = {name: tensor[0] for name, tensor in painter_inputs(identity.geometry, geometry, warped).items()}
    for name, picture in (("warped", warped), ("target", target)):
        sample[name] = planar(small(picture))
        sample[f"{name}_mouth"] = planar(geometry.mouth.cut(picture))
        sample[f"{name}_eyes"] = planar(geometry.eyes.cut(picture))
    return sample | {"source": planar(small(source)), "weight": small(weight).transpose(2, 0, 1)}


def mirrored(sample: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """The same face in a mirror: another person, lit from the other side."""
    turned = {}
    for name, tensor in sample.items():
        if name == "keypoints":
            turned[name] = tensor[list(MIRROR)] * np.array([-1, 1, 1], np.float32)
        elif name in _BESIDE:
            height, width, channels = tensor.shape
            beside = np.array(_BESIDE[name], np.float32)
            folded = channels - len(beside)
            cells = tensor[:, ::-1, :folded].reshape(height, width, 2, 2, -1)[:, :, :, ::-1]
            vectors = tensor[:, ::-1, folded:] * beside
            turned[name] = np.concatenate([cells.reshape(height, width, folded), vectors], -1)
        else:
            turned[name] = np.ascontiguousarray(tensor[..., ::-1])
    return turned


def random_colours(rng: np.random.Generator) -> NDArray[np.uint8] | None:
    """A look-up table (1, 256, 3): now and then another contrast and cast, sometimes a strong one."""
    if rng.random() > 0.6:
        return None
    colour = np.arange(256, dtype=np.float32)[:, None].repeat(3, 1) / 255
    strength = 2.2 if rng.random() < 0.3 else 1.0
    colour = colour ** np.exp(rng.normal(0, 0.12 * strength)) * np.exp(rng.normal(0, 0.08 * strength, 3))
    return (255 * colour).clip(0, 255).round().astype(np.uint8)[None]


def as_photo(identity: Identity, rng: np.random.Generator) -> Identity:
    """`identity` with another of its frames as the source, as people upload them: smiling, blinking, a little turned,
    saved as JPEG; its mesh, fitted, is a pixel or two off."""
    frontal = [n for n, motion in enumerate(identity.motions) if abs(motion.pose.yaw) < AS_PHOTO_YAW]
    frame = int(rng.choice(frontal)) if frontal else 0
    picture = identity.frames[frame]
    mesh, camera = identity.geometry.mesh, identity.geometry.camera
    pictured = mesh.pose(identity.motions[frame])
    if rng.random() < UNDRESSED:
        own = mesh.parts != Part.HAIR
        mesh = replace(mesh, triangles=mesh.triangles[own], parts=mesh.parts[own])
    waves, phases = rng.normal(0, 1.0, (3, 3)), rng.uniform(0, 2 * np.pi, 3)
    if rng.random() < 0.4:
        quality = int(rng.integers(40, 95))
        _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    off = np.sin(pictured @ waves.T + phases) * rng.uniform(0, AS_PHOTO_MISFIT)
    geometry = SourceGeometry(mesh, camera, identity.geometry.interior, pictured + off.astype(np.float32))
    return replace(identity, source=picture, atlas=geometry.atlas(picture), geometry=geometry, eyeballs=None)


def collate(samples: list[dict[str, NDArray[np.float32]]]) -> Batch:
    """Stack samples into a batch."""
    return Batch(**{name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]})


def batches(
    identities: list[Identity], favoured: set[str], size: int, seed: int, favour: float = 0.45
) -> Iterator[Batch]:
    """Endless random batches; a sample comes from a `favoured` identity (one that ships) with chance `favour`, else
    every second time in a mirror."""
    rng = np.random.default_rng(seed)
    pools = [
        [(identity, frame) for identity in identities if keep(identity.name) for frame in range(len(identity.motions))]
        for keep in (lambda name: name in favoured, lambda name: name not in favoured)
    ]
    chances = []
    for pool in pools:
        shown = [identity.motions[frame] for identity, frame in pool]
        turned = np.array([abs(motion.pose.yaw) for motion in shown])
        opened = np.array([motion.expression[_OPENING].sum() for motion in shown]).clip(0, 1)
        chances.append(np.cumsum(1 + turned * TURNED_FAVOUR + opened * OPEN_FAVOUR))
    while True:
        samples = []
        for _ in range(size):
            at = 0 if (rng.random() < favour or not pools[1]) and pools[0] else 1
            chosen = int(np.searchsorted(chances[at], rng.random() * chances[at][-1], side="right"))
            identity, frame = pools[at][chosen]
            if at == 1 and rng.random() < AS_PHOTO:
                identity = as_photo(identity, rng)
            sample = make_sample(identity, frame, rng)
            samples.append(mirrored(sample) if at == 1 and rng.random() < 0.5 else sample)
        yield collate(samples)
