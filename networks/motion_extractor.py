"""What the face in a picture does: LivePortrait's motion extractor M (arXiv 2407.03168), a ConvNeXt V2 tiny
(arXiv 2301.00808) with one linear head for each part of the motion."""

from itertools import pairwise
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KEYPOINTS: Final = 21
BINS: Final = 66
"""Classes of 3 degrees that an angle is told by."""
_WIDTHS, _DEPTHS = (96, 192, 384, 768), (3, 3, 9, 3)
_EPSILON: Final = 1e-6


class Motion(NamedTuple):
    """The heads' outputs for a batch of pictures, in the order in which they are exported."""

    pitch: Tensor
    """(B, 66) logits, as are yaw and roll."""
    yaw: Tensor
    roll: Tensor
    t: Tensor
    """(B, 3) translation."""
    exp: Tensor
    """(B, 63): by how much the expression moves each keypoint, x, y, z, x, y ..."""
    scale: Tensor
    """(B, 1)."""
    kp: Tensor
    """(B, 63): this person's keypoints without pose and expression."""


class _ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _ResponseNorm(nn.Module):
    """Global response normalisation over (B, H, W, C): channels compete by their energy in the whole picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        # The sum of squares leaves the range of half precision.
        energy = x.float().square().sum((1, 2), keepdim=True).sqrt()
        share = (energy / (energy.mean(-1, keepdim=True) + _EPSILON)).to(x.dtype)
        return self.gamma * (x * share) + self.beta + x


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, _EPSILON)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.grn = _ResponseNorm(4 * width)
        self.pwconv2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        hidden = self.pwconv2(self.grn(F.gelu(self.pwconv1(hidden))))
        return x + hidden.permute(0, 3, 1, 2)


class _ConvNext(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, _WIDTHS[0], 4, 4), _ChannelNorm(_WIDTHS[0], _EPSILON))
        halvings = [nn.Sequential(_ChannelNorm(a, _EPSILON), nn.Conv2d(a, b, 2, 2)) for a, b in pairwise(_WIDTHS)]
        self.downsample_layers = nn.ModuleList([stem, *halvings])
        self.stages = nn.ModuleList(
            [
                nn.Sequential(*(_Block(width) for _ in range(depth)))
                for width, depth in zip(_WIDTHS, _DEPTHS, strict=True)
            ]
        )
        width = _WIDTHS[-1]
        self.norm = nn.LayerNorm(width, _EPSILON)
        self.fc_kp = nn.Linear(width, 3 * KEYPOINTS)
        self.fc_scale = nn.Linear(width, 1)
        self.fc_pitch, self.fc_yaw, self.fc_roll = (nn.Linear(width, BINS) for _ in range(3))
        self.fc_t = nn.Linear(width, 3)
        self.fc_exp = nn.Linear(width, 3 * KEYPOINTS)

    def forward(self, image: Tensor) -> Motion:
        x = image
        for halve, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(halve(x))
        x = self.norm(x.mean((2, 3)))
        heads = (self.fc_pitch, self.fc_yaw, self.fc_roll, self.fc_t, self.fc_exp, self.fc_scale, self.fc_kp)
        return Motion(*(head(x) for head in heads))


class MotionExtractor(nn.Module):
    """Picture (B, 3, 256, 256), RGB in 0 to 1 (and nothing subtracted) -> its `Motion`. 28 M parameters, 12 GFLOP."""

    def __init__(self) -> None:
        super().__init__()
        self.detector = _ConvNext()

    def forward(self, image: Tensor) -> Motion:
        motion: Motion = self.detector(image)
        return motion
