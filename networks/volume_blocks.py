"""Convolution, batch norm and rectifier in two and three dimensions: what the face-vid2vid family is built of.

Attribute names in this and the other modules of the family (`conv`, `norm`, `down_blocks`, `3dr0` ...) are those of the
published checkpoints, so that their parameters load unchanged.
"""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F


class Conv2d(nn.Module):
    """3 x 3 convolution, batch norm, ReLU (or leaky with `slope`) over (B, C, H, W)."""

    def __init__(self, channels_in: int, channels_out: int, slope: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels_out)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return F.leaky_relu(x, self.slope) if self.slope else F.relu(x)


class Down2d(Conv2d):
    """The same, then height and width halved by their mean."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(super().forward(x), 2)


class Conv3d(nn.Module):
    """3 x 3 x 3 convolution, batch norm, ReLU over (B, C, D, H, W)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels_in, channels_out, 3, padding=1)
        self.norm = nn.BatchNorm3d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class Down3d(Conv3d):
    """The same, then height and width halved by their mean; depth stays."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool3d(super().forward(x), (1, 2, 2))


class Up3d(Conv3d):
    """The same, of a volume whose height and width were doubled; depth stays."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.interpolate(x, scale_factor=(1.0, 2.0, 2.0), mode="nearest"))


class Residual3d(nn.Module):
    """Two times batch norm, ReLU and convolution around a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm3d(channels), nn.BatchNorm3d(channels)
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv1(F.relu(self.norm1(x)))
        return x + self.conv2(F.relu(self.norm2(hidden)))


def named(prefix: str, blocks: list[nn.Module]) -> nn.Sequential:
    """`blocks` one after the other, called prefix0, prefix1 ..."""
    return nn.Sequential(OrderedDict((f"{prefix}{i}", block) for i, block in enumerate(blocks)))
