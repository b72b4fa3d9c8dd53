"""Keypoints of a face: heat maps over a square crop, their expectation, and how far each may be off.

A small hourglass with soft-argmax (integral regression, arXiv 1711.08229) and a scale of error per point that the
network learns itself, as a Laplace likelihood (dense landmarks from synthetic faces: arXiv 2204.02776).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CROP_SIZE = 128
"""Pixels on a side of the crop."""
HEAT_SIZE = CROP_SIZE // 4


def _conv(channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


class Landmarks(nn.Module):
    """A crop to `points` keypoints. 0.9 M parameters."""

    cells: Tensor

    def __init__(self, points: int) -> None:
        super().__init__()
        self.shallow = nn.Sequential(_conv(3, 24, 5, 2), _conv(24, 48, 3, 2), _Residual(48))
        self.quarter = nn.Sequential(_conv(48, 72, 3, 2), _Residual(72))
        self.deep = nn.Sequential(_conv(72, 96, 3, 2), _Residual(96), _Residual(96), _Residual(96))
        self.rise = _conv(96, 72, 1)
        self.middle = _Residual(72)
        self.lift = _conv(72, 48, 1)
        self.fine = _Residual(48)
        self.heat = nn.Conv2d(48, points, 1)
        self.doubt = nn.Linear(96, points)
        self.presence = nn.Linear(96, 1)
        places = (torch.arange(HEAT_SIZE) + 0.5) / HEAT_SIZE * 2 - 1
        self.register_buffer("cells", places, persistent=False)

    def forward(self, crop: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`crop` (B, 3, 128, 128) RGB in [0, 1]. Returns points (B, P, 2) in [-1, 1] of the crop, y down; the expected
        absolute error of each (B, P), in the same unit; the logit (B,) that the crop shows a face about as large as a
        crop should."""
        heat, doubt, presence = self.maps(crop)
        return self.points(heat), doubt.exp(), presence

    def maps(self, crop: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the heat maps (B, P, 32, 32), logarithm of the error (B, P), logit of presence (B,)."""
        shallow = self.shallow(crop - 0.5)
        quarter = self.quarter(shallow)
        deep = self.deep(quarter)
        pooled = deep.mean((2, 3))
        x = self.middle(self.rise(F.interpolate(deep, scale_factor=2.0, mode="nearest")) + quarter)
        x = self.fine(self.lift(F.interpolate(x, scale_factor=2.0, mode="nearest")) + shallow)
        return self.heat(x), self.doubt(pooled) - 4.0, self.presence(pooled)[:, 0]

    def points(self, heat: Tensor) -> Tensor:
        """The expectation of each heat map."""
        shares = heat.float().flatten(2).softmax(2).unflatten(2, (HEAT_SIZE, HEAT_SIZE))
        x = (shares.sum(2) * self.cells).sum(2)
        y = (shares.sum(3) * self.cells).sum(2)
        return torch.stack([x, y], 2)
