"""Where a person's own keypoints are, pose and expression taken away: face-vid2vid's canonical keypoint detector
(arXiv 2011.15126, section 3.1), as heat maps in a volume whose depth is made up from one picture."""

from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from networks import volume_grid
from networks.appearance import DEPTH
from networks.volume_blocks import Down2d, Up3d, named

KEYPOINTS: Final = 15
_DOWN: Final = (3, 64, 128, 256, 512, 1024)
_UP: Final = (1024, 512, 256, 128, 64, 32)
_TEMPERATURE: Final = 0.1
"""Of the softmax over a heat map."""
_REDUCTION, _SIGMA, _REACH = 4, 1.5, 6
"""The picture is read at every fourth pixel, blurred by a Gaussian of so many pixels, cut off at so many."""


class _Reduced(nn.Module):
    """A picture at a quarter of its size, blurred first so that fine detail does not turn into coarse."""

    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        bump = torch.exp(-(torch.arange(-_REACH, _REACH + 1.0) ** 2) / (2 * _SIGMA**2))
        bump = bump / bump.sum()
        self.register_buffer("weight", bump.outer(bump).expand(3, 1, -1, -1).clone())

    def forward(self, image: Tensor) -> Tensor:
        return F.conv2d(image, self.weight, stride=_REDUCTION, padding=_REACH, groups=3)


class _Hourglass(nn.Module):
    """Picture (B, 3, H, W) -> volume (B, 32, 16, H, W); nothing passes but what the coarsest scale holds."""

    def __init__(self) -> None:
        super().__init__()
        self.down_blocks = named("down", [Down2d(a, b) for a, b in pairwise(_DOWN)])
        self.conv = nn.Conv2d(_DOWN[-1], _UP[0] * DEPTH, 1)
        self.up_blocks = named("up", [Up3d(a, b) for a, b in pairwise(_UP)])

    def forward(self, image: Tensor) -> Tensor:
        flat = self.conv(self.down_blocks(image))
        volume: Tensor = self.up_blocks(flat.unflatten(1, (_UP[0], DEPTH)))
        return volume


class KeypointDetector(nn.Module):
    """Picture (B, 3, 256, 256), RGB in 0 to 1 -> keypoints float32 (B, 15, 3). 42 M parameters, 39 GFLOP.

    Checkpoints without the entry `down.weight` were trained to look at the picture at its full size.
    """

    def __init__(self, reduced: bool = True) -> None:
        super().__init__()
        self.down = _Reduced() if reduced else nn.Identity()
        self.predictor = _Hourglass()
        self.kp = nn.Conv3d(_UP[-1], KEYPOINTS, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        logits = self.kp(self.predictor(self.down(image))).float() / _TEMPERATURE
        heat = logits.flatten(2).softmax(2).unflatten(2, logits.shape[2:])
        return volume_grid.expectation(heat)
