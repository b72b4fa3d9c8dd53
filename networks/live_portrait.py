"""LivePortrait whole (arXiv 2407.03168): a source picture once, then every frame from a motion.

portrait = LivePortrait().eval()
source = portrait.source(image)
keypoints = portrait.stitch(source.keypoints, relative(source.face, first, now))
picture = portrait.frame(source, keypoints)
"""

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from networks import head_rotation, stitching
from networks.appearance import Appearance
from networks.motion_extractor import KEYPOINTS, Motion, MotionExtractor
from networks.spade import SpadeGenerator
from networks.warping import Warping

OFFSET_DEGREES: Final = 97.5
_FREE_POINTS: Final = (1, 2, 6, *range(11, KEYPOINTS))
_FREE_COORDINATES: Final = ((3, 1), (4, 1), (5, 2), (8, 2), (9, 1), (9, 2))
"""What an absolute motion takes of the driving expression: lips, eyes and brows; the rest would change the person."""


class Face(NamedTuple):
    """A motion in numbers that can be added and multiplied. All float32."""

    rotation: Tensor
    """(B, 3, 3), applied to rows: kp @ rotation."""
    exp: Tensor
    """(B, 21, 3)."""
    t: Tensor
    """(B, 3)."""
    scale: Tensor
    """(B, 1)."""
    kp: Tensor
    """(B, 21, 3): the person's keypoints without pose and expression."""


class Source(NamedTuple):
    """All that frames need of the source picture."""

    feature_3d: Tensor
    """(B, 32, 16, 64, 64)."""
    keypoints: Tensor
    """(B, 21, 3): where they are in the picture."""
    face: Face


def degrees(bins: Tensor) -> Tensor:
    """Logits (B, 66) -> degrees (B,)."""
    return head_rotation.degrees(bins, OFFSET_DEGREES)


def rotation(pitch: Tensor, yaw: Tensor, roll: Tensor) -> Tensor:
    """Degrees (B,) -> (B, 3, 3), for rows: kp @ rotation."""
    x, y, z = head_rotation.about_axes(*(angle * (math.pi / 180) for angle in (pitch, yaw, roll)))
    return (z @ y @ x).transpose(1, 2)


def decode(motion: Motion) -> Face:
    """What the extractor said, as a `Face`."""
    turned = rotation(degrees(motion.pitch), degrees(motion.yaw), degrees(motion.roll))
    exp, kp = (points.float().unflatten(1, (-1, 3)) for points in (motion.exp, motion.kp))
    return Face(turned, exp, motion.t.float(), motion.scale.float(), kp)


def keypoints(face: Face) -> Tensor:
    """Where the keypoints of a face are in the picture: (B, 21, 3)."""
    flat = torch.cat([face.t[:, :2], torch.zeros_like(face.t[:, 2:])], 1)  # scale already says how near it is
    return face.scale[..., None] * (face.kp @ face.rotation + face.exp) + flat[:, None]


def relative(source: Face, first: Face, now: Face) -> Tensor:
    """The source moved as the driving face moved since its `first` frame: keypoints (B, 21, 3)."""
    return keypoints(
        Face(
            rotation=now.rotation @ first.rotation.transpose(1, 2) @ source.rotation,
            exp=source.exp + now.exp - first.exp,
            t=source.t + now.t - first.t,
            scale=source.scale * now.scale / first.scale,
            kp=source.kp,
        )
    )


def absolute(source: Face, now: Face) -> Tensor:
    """The source in the driving face's pose and with its lips, eyes and brows: keypoints (B, 21, 3)."""
    free = torch.zeros(KEYPOINTS, 3, dtype=torch.bool, device=source.exp.device)
    free[list(_FREE_POINTS)] = True
    for point, coordinate in _FREE_COORDINATES:
        free[point, coordinate] = True
    exp = torch.where(free, now.exp, source.exp)
    return keypoints(source._replace(rotation=now.rotation, exp=exp, t=now.t))


class LivePortrait(nn.Module):
    """The networks and the order in which they run."""

    def __init__(self) -> None:
        super().__init__()
        self.appearance = Appearance()
        self.motion = MotionExtractor()
        self.warping = Warping(KEYPOINTS)
        self.generator = SpadeGenerator(upscale=2)
        self.stitching, self.lips, self.eyes = stitching.stitching(), stitching.lips(), stitching.eyes()

    def source(self, image: Tensor) -> Source:
        """A picture (B, 3, 256, 256), RGB in 0 to 1, encoded once."""
        face = decode(self.motion(image))
        return Source(self.appearance(image), keypoints(face), face)

    def stitch(self, kp_source: Tensor, kp_driving: Tensor) -> Tensor:
        """Driving keypoints (B, 21, 3), corrected so that the head fits its shoulders."""
        correction = self.stitching(torch.cat([kp_source.flatten(1), kp_driving.flatten(1)], 1))
        return stitching.stitched(kp_driving, correction)

    def lip_offsets(self, kp_source: Tensor, ratio: Tensor) -> Tensor:
        """What to add to the source's keypoints for an openness of the lips; `ratio` (B, 2): as it is, as wanted."""
        offsets: Tensor = self.lips(torch.cat([kp_source.flatten(1), ratio], 1))
        return offsets.unflatten(1, (KEYPOINTS, 3))

    def eye_offsets(self, kp_source: Tensor, ratio: Tensor) -> Tensor:
        """The same for the eyes; `ratio` (B, 3): the left as it is, the right, both as wanted."""
        offsets: Tensor = self.eyes(torch.cat([kp_source.flatten(1), ratio], 1))
        return offsets.unflatten(1, (KEYPOINTS, 3))

    def frame(self, source: Source, kp_driving: Tensor) -> Tensor:
        """The source with its keypoints at `kp_driving`: (B, 3, 512, 512), RGB in 0 to 1."""
        picture: Tensor = self.generator(self.warping(source.feature_3d, kp_driving, source.keypoints))
        return picture
