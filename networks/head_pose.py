"""How the head in a picture is turned and what its expression moves: face-vid2vid's pose and expression estimator
(arXiv 2011.15126, section 3.1), after ResNet-50 (arXiv 1512.03385) and Hopenet (arXiv 1710.00925)."""

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from networks.keypoint_detector import KEYPOINTS
from networks.motion_extractor import BINS
from networks.volume_blocks import named

_WIDTHS: Final = (64, 256, 512, 1024, 2048)
_DEPTHS: Final = (3, 3, 5, 2)
"""Blocks that keep the size, in each of the four stages."""


class HeadPose(NamedTuple):
    """The heads' outputs for a batch of pictures."""

    yaw: Tensor
    """(B, 66) logits, as are pitch and roll."""
    pitch: Tensor
    roll: Tensor
    t: Tensor
    """(B, 3) translation."""
    exp: Tensor
    """(B, 45): by how much the expression moves each keypoint, x, y, z, x, y ..."""


class _Bottleneck(nn.Module):
    """Three convolutions around a skip; with `stride` 2 the skip is a strided convolution."""

    def __init__(self, width: int, stride: int = 1) -> None:
        super().__init__()
        narrow = width // 4
        self.conv1, self.norm1 = nn.Conv2d(width, narrow, 1), nn.BatchNorm2d(narrow)
        self.conv2, self.norm2 = nn.Conv2d(narrow, narrow, 3, stride, 1), nn.BatchNorm2d(narrow)
        self.conv3, self.norm3 = nn.Conv2d(narrow, width, 1), nn.BatchNorm2d(width)
        self.strided = stride > 1
        if self.strided:
            self.skip, self.norm4 = nn.Conv2d(width, width, 1, stride), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.norm1(self.conv1(x)))
        hidden = F.relu(self.norm2(self.conv2(hidden)))
        skip = self.norm4(self.skip(x)) if self.strided else x
        return F.relu(self.norm3(self.conv3(hidden)) + skip)


class HeadPoseEstimator(nn.Module):
    """Picture (B, 3, 256, 256), RGB in 0 to 1 -> its `HeadPose`. 30 M parameters, 16 GFLOP."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, _WIDTHS[0], 7, 2, 3), nn.BatchNorm2d(_WIDTHS[0])
        # A stage widens by 1 x 1 convolution conv2 ... conv5, halves (but for the first), and keeps the size.
        for stage, depth in enumerate(_DEPTHS):
            narrow, wide = _WIDTHS[stage : stage + 2]
            self.add_module(f"conv{stage + 2}", nn.Conv2d(narrow, wide, 1))
            self.add_module(f"norm{stage + 2}", nn.BatchNorm2d(wide))
            if stage:
                self.add_module(f"block{2 * stage}", _Bottleneck(wide, stride=2))
            number = 2 * stage + 1
            self.add_module(f"block{number}", named(f"b{number}_", [_Bottleneck(wide) for _ in range(depth)]))
        width = _WIDTHS[-1]
        self.fc_roll, self.fc_pitch, self.fc_yaw = (nn.Linear(width, BINS) for _ in range(3))
        self.fc_t = nn.Linear(width, 3)
        self.fc_exp = nn.Linear(width, 3 * KEYPOINTS)

    def forward(self, image: Tensor) -> HeadPose:
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(image))), 3, 2, 1)
        for stage in range(len(_DEPTHS)):
            widen, norm = self.get_submodule(f"conv{stage + 2}"), self.get_submodule(f"norm{stage + 2}")
            x = F.relu(norm(widen(x)))
            if stage:
                x = self.get_submodule(f"block{2 * stage}")(x)
            x = self.get_submodule(f"block{2 * stage + 1}")(x)
        x = torch.mean(x, (2, 3))
        # The published weights learnt yaw in the layer called roll, and roll in the one called yaw.
        yaw, pitch, roll = self.fc_roll(x), self.fc_pitch(x), self.fc_yaw(x)
        return HeadPose(yaw, pitch, roll, self.fc_t(x), self.fc_exp(x))
