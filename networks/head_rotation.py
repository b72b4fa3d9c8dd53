"""Angles from classes, and rotations from angles, as the face-vid2vid family tells them."""

import torch
from torch import Tensor

BIN_DEGREES = 3


def degrees(bins: Tensor, offset: float) -> Tensor:
    """Logits (B, 66) of classes of 3 degrees, the first of them `offset` below 0 -> the mean angle, float32 (B,)."""
    shares = bins.float().softmax(-1)
    classes = torch.arange(bins.shape[-1], dtype=torch.float32, device=bins.device)
    return BIN_DEGREES * (shares * classes).sum(-1) - offset


def about_axes(pitch: Tensor, yaw: Tensor, roll: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Angles (B,) in radians -> right-handed rotations (B, 3, 3) of columns: about x, about y, about z."""
    one, nought = torch.ones_like(pitch), torch.zeros_like(pitch)
    c, s = pitch.cos(), pitch.sin()
    about_x = _matrix(one, nought, nought, nought, c, -s, nought, s, c)
    c, s = yaw.cos(), yaw.sin()
    about_y = _matrix(c, nought, s, nought, one, nought, -s, nought, c)
    c, s = roll.cos(), roll.sin()
    about_z = _matrix(c, -s, nought, s, c, nought, nought, nought, one)
    return about_x, about_y, about_z


def _matrix(*entries: Tensor) -> Tensor:
    return torch.stack(entries, -1).unflatten(-1, (3, 3))
