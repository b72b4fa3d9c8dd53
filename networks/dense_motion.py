"""From a few keypoints to where every cell of the feature volume comes from (face-vid2vid, arXiv 2011.15126, 3.2).

Each keypoint proposes to move everything as it moves itself; an hourglass looks at what each proposal would give and
decides, cell by cell, how much of which to follow, and what of the source cannot be seen any more.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from networks import volume_grid
from networks.appearance import DEPTH, FEATURES
from networks.volume_blocks import Down3d, Up3d

_COMPRESSED: Final = 4
"""Channels of the volume on which the proposals are tried."""
_WIDTHS: Final = (32, 64, 128, 256, 512, 1024)
"""Channels of the hourglass, from its fine side."""
_VARIANCE: Final = 0.01
"""Of the bumps that mark keypoints, in squared coordinates."""


class Deformation(NamedTuple):
    """Where each cell is read in the source's volume, and how much of it to believe."""

    places: Tensor
    """(B, D, H, W, 3) float32: x, y, z."""
    occlusion: Tensor
    """(B, 1, H, W), 0 to 1: 0 where the source does not show what is wanted."""
    mask: Tensor
    """(B, 1 + keypoints, D, H, W) float32 of sum 1: the share of standing still, then of each keypoint."""


class _Encoder(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        ins = (channels, *_WIDTHS[1:-1])
        self.down_blocks = nn.ModuleList([Down3d(a, b) for a, b in zip(ins, _WIDTHS[1:], strict=True)])

    def forward(self, x: Tensor) -> list[Tensor]:
        scales = [x]
        for block in self.down_blocks:
            scales.append(block(scales[-1]))
        return scales


class _Decoder(nn.Module):
    """Every scale but the coarsest is joined with what the encoder saw there."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        outs = _WIDTHS[-2::-1]
        ins = (_WIDTHS[-1], *(2 * width for width in outs[:-1]))
        self.up_blocks = nn.ModuleList([Up3d(a, b) for a, b in zip(ins, outs, strict=True)])
        self.conv = nn.Conv3d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm3d(channels)

    def forward(self, scales: list[Tensor]) -> Tensor:
        x = scales[-1]
        for block, seen in zip(self.up_blocks, scales[-2::-1], strict=True):
            x = torch.cat([block(x), seen], 1)
        return F.relu(self.norm(self.conv(x)))


class _Hourglass(nn.Module):
    """A volume (B, C, D, H, W) -> (B, C + 32, D, H, W), seen at six scales of height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels + _WIDTHS[0]
        self.encoder = _Encoder(channels)
        self.decoder = _Decoder(self.channels)

    def forward(self, x: Tensor) -> Tensor:
        joined: Tensor = self.decoder(self.encoder(x))
        return joined


class DenseMotion(nn.Module):
    """Keypoints of the source and of the wanted picture -> a deformation of the source's volume."""

    def __init__(self, keypoints: int) -> None:
        super().__init__()
        self.compress = nn.Conv3d(FEATURES, _COMPRESSED, 1)
        self.norm = nn.BatchNorm3d(_COMPRESSED)
        self.hourglass = _Hourglass((1 + keypoints) * (1 + _COMPRESSED))
        self.mask = nn.Conv3d(self.hourglass.channels, 1 + keypoints, 7, padding=3)
        self.occlusion = nn.Conv2d(self.hourglass.channels * DEPTH, 1, 7, padding=3)

    def forward(self, feature_3d: Tensor, kp_driving: Tensor, kp_source: Tensor) -> Deformation:
        """`feature_3d` (B, 32, 16, 64, 64); keypoints float32 (B, K, 3)."""
        still = torch.zeros_like(kp_source[:, :1])
        moves = torch.cat([still, kp_source - kp_driving], 1)
        proposals = self.proposals(feature_3d, kp_driving, kp_source, moves)
        seen = self.hourglass(proposals)
        mask = self.mask(seen).float().softmax(1)
        # The shares sum to 1, so that what all proposals have in common, staying in place, need not be weighed.
        moved = (moves.transpose(1, 2) @ mask.flatten(2)).unflatten(2, mask.shape[2:])
        places = volume_grid.identity(feature_3d) + moved.permute(0, 2, 3, 4, 1)
        return Deformation(places, torch.sigmoid(self.occlusion(seen.flatten(1, 2))), mask)

    def proposals(self, feature_3d: Tensor, kp_driving: Tensor, kp_source: Tensor, moves: Tensor) -> Tensor:
        """Per proposal: where its keypoint goes and leaves, and the small volume moved; (B, (1 + K) * 5, D, H, W)."""
        small = F.relu(self.norm(self.compress(feature_3d)))
        # Volumes moved by each proposal lie one behind the other: one reading instead of 1 + K copies of the volume.
        places = volume_grid.identity(small) + moves[:, :, None, None, None, :]
        moved = volume_grid.read(small, places.flatten(1, 2)).unflatten(2, (moves.shape[1], -1)).transpose(1, 2)
        bumps = volume_grid.gaussians(kp_driving, small, _VARIANCE) - volume_grid.gaussians(kp_source, small, _VARIANCE)
        bumps = F.pad(bumps, (0, 0, 0, 0, 0, 0, 1, 0))  # standing still has none
        return torch.cat([bumps[:, :, None].to(moved.dtype), moved], 2).flatten(1, 2)
