"""Coordinates in a feature volume, and reading a volume elsewhere.

Points are (x, y, z) with -1 and 1 at the centres of the outermost cells; volumes are (depth, height, width). Reading
takes -1 and 1 for the outer *edges* of those cells (`align_corners=False`), as in the published networks, whose weights
know it: reading at the coordinates themselves is therefore not quite the identity. Positions stay in float32 whatever
the precision of the features: half precision cannot tell apart neighbouring positions.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def axis(size: int, like: Tensor) -> Tensor:
    """Coordinates of the `size` cells of one axis, float32, from -1 to 1."""
    return torch.arange(size, dtype=torch.float32, device=like.device) * (2 / (size - 1)) - 1


def identity(volume: Tensor) -> Tensor:
    """Coordinates of every cell of a volume (..., D, H, W): float32 (D, H, W, 3)."""
    depth, height, width = volume.shape[-3:]
    z = axis(depth, volume)[:, None, None].expand(depth, height, width)
    y = axis(height, volume)[None, :, None].expand(depth, height, width)
    x = axis(width, volume)[None, None, :].expand(depth, height, width)
    return torch.stack([x, y, z], -1)


def read(volume: Tensor, places: Tensor) -> Tensor:
    """`volume` (B, C, D, H, W) at float32 `places` (B, d, h, w, 3): (B, C, d, h, w), linear, zero outside."""
    sampled = F.grid_sample(volume.float(), places, mode="bilinear", padding_mode="zeros", align_corners=False)
    return sampled.to(volume.dtype)


def gaussians(points: Tensor, volume: Tensor, variance: float) -> Tensor:
    """A bump of height 1 at each of `points` float32 (B, K, 3), over the cells of a volume: float32 (B, K, D, H, W)."""
    sizes = reversed(volume.shape[-3:])  # points come as x, y, z
    x, y, z = (
        torch.exp((axis(size, volume) - points[..., i, None]) ** 2 * (-0.5 / variance)) for i, size in enumerate(sizes)
    )
    return z[..., :, None, None] * y[..., None, :, None] * x[..., None, None, :]


def expectation(heat: Tensor) -> Tensor:
    """The mean place of `heat` float32 (B, K, D, H, W), whose cells sum to 1: (B, K, 3)."""
    depth, height, width = heat.shape[-3:]
    x = (heat.sum((2, 3)) * axis(width, heat)).sum(-1)
    y = (heat.sum((2, 4)) * axis(height, heat)).sum(-1)
    z = (heat.sum((3, 4)) * axis(depth, heat)).sum(-1)
    return torch.stack([x, y, z], -1)
