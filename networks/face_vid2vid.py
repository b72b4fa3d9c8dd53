"""face-vid2vid whole (arXiv 2011.15126), as published by zhanglonghao1992 and used by ControlTalk: a source picture
once, then every frame from the pose and expression of another picture, or from an expression that audio made.

The published generator is one network; its parts are LivePortrait's extractor, warping and SPADE generator, with 15
keypoints and pictures of 256 x 256. `parts` takes its parameters apart.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from torch import Tensor, nn

from networks import head_rotation
from networks.appearance import Appearance
from networks.head_pose import HeadPose, HeadPoseEstimator
from networks.keypoint_detector import KEYPOINTS, KeypointDetector
from networks.spade import SpadeGenerator
from networks.warping import Warping

OFFSET_DEGREES: Final = 99.0
_PI: Final = 3.14
"""The published weights were trained with this one."""
DECODER: Final = "decoder."
_WARPING: Final = ("dense_motion_network.", "third.", "fourth.")


class Pose(NamedTuple):
    """What a head does beside its expression. Both float32."""

    rotation: Tensor
    """(B, 3, 3), applied to columns: rotation @ kp."""
    t: Tensor
    """(B, 3)."""


class Source(NamedTuple):
    """All that frames need of the source picture."""

    feature_3d: Tensor
    """(B, 32, 16, 64, 64)."""
    canonical: Tensor
    """(B, 15, 3): the person's keypoints without pose and expression."""
    keypoints: Tensor
    """(B, 15, 3): where they are in the picture."""


class Parts(NamedTuple):
    """Parameters of the published generator, by the network of ours that they belong to."""

    appearance: dict[str, Tensor]
    warping: dict[str, Tensor]
    generator: dict[str, Tensor]


def parts(published: Mapping[str, Tensor]) -> Parts:
    """The state dict of the published SPADE generator, taken apart."""
    sorted_out = Parts({}, {}, {})
    for name, value in published.items():
        if name.startswith(DECODER):
            sorted_out.generator[name.removeprefix(DECODER)] = value
        elif name.startswith(_WARPING):
            sorted_out.warping[name] = value
        else:
            sorted_out.appearance[name] = value
    return sorted_out


def degrees(bins: Tensor) -> Tensor:
    """Logits (B, 66) -> degrees (B,)."""
    return head_rotation.degrees(bins, OFFSET_DEGREES)


def rotation(pitch: Tensor, yaw: Tensor, roll: Tensor) -> Tensor:
    """Degrees (B,) -> (B, 3, 3), for columns: rotation @ kp."""
    x, y, z = head_rotation.about_axes(*(angle / 180 * _PI for angle in (pitch, yaw, roll)))
    return x @ y @ z


def decode(head: HeadPose) -> tuple[Pose, Tensor]:
    """What the estimator said: the pose, and the expression (B, 15, 3)."""
    turned = rotation(degrees(head.pitch), degrees(head.yaw), degrees(head.roll))
    return Pose(turned, head.t.float()), head.exp.float().unflatten(1, (-1, 3))


def keypoints(canonical: Tensor, pose: Pose, exp: Tensor) -> Tensor:
    """Where keypoints `canonical` (B, 15, 3) are with this pose and expression `exp` (B, 15, 3)."""
    return canonical @ pose.rotation.transpose(1, 2) + pose.t[:, None] + exp


class FaceVid2Vid(nn.Module):
    """The networks and the order in which they run; `reduced` and `middle` tell variants of the checkpoints apart."""

    def __init__(self, reduced: bool = True, middle: int = 6) -> None:
        super().__init__()
        self.detector = KeypointDetector(reduced)
        self.pose = HeadPoseEstimator()
        self.appearance = Appearance()
        self.warping = Warping(KEYPOINTS)
        self.generator = SpadeGenerator(upscale=1, middle=middle)

    def source(self, image: Tensor) -> Source:
        """A picture (B, 3, 256, 256), RGB in 0 to 1, encoded once."""
        canonical = self.detector(image)
        return Source(self.appearance(image), canonical, keypoints(canonical, *self.motion(image)))

    def motion(self, image: Tensor) -> tuple[Pose, Tensor]:
        """Pose and expression (B, 15, 3) of a picture (B, 3, 256, 256)."""
        return decode(self.pose(image))

    def frame(self, source: Source, kp_driving: Tensor) -> Tensor:
        """The source with its keypoints at `kp_driving` (B, 15, 3): (B, 3, 256, 256), RGB in 0 to 1."""
        picture: Tensor = self.generator(self.warping(source.feature_3d, kp_driving, source.keypoints))
        return picture
