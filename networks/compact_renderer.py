"""The compact renderer: dense motion over a cached source, and two heads that repaint mouth and eyes.

Like face-vid2vid (arXiv 2011.15126) it encodes the source once, warps its features by a dense motion and generates
what the warp cannot know. Unlike it, the motion comes from z-buffering one head mesh (`engines.flow`), so the network
only corrects it. The source picture itself is warped outside, at full resolution; the networks decide where
that warp is right and what to paint where it is not. Sampling grids are inputs, never computed in the graph,
because bfloat16 steps near 1.0 are half a pixel wide.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from networks.blocks import ModulatedResidual, conv

SOURCE_SIZE = 256
GRID = 64
"""Cells on a side of the feature maps and of the residual flow."""
MAIN_SIZE = 128
"""Resolution of what is painted over the whole picture."""
MOUTH_HEIGHT, MOUTH_WIDTH = 112, 112
EYES_HEIGHT, EYES_WIDTH = 64, 192
MOUTH_CHANNELS = 9
"""Warped source (3), seen in the source, teeth, tongue, and the textured, unlit inside of the mouth (3)."""
EYES_CHANNELS = 5
"""Warped source (3), seen in the source, eyeball."""
FEATURES, HIDDEN, IDENTITY, GESTURE = 48, 32, 32, 64
RESIDUAL_SCALE = 0.1


class SourceEncoder(nn.Module):
    """Run once per avatar: picture (B, 3, 256, 256) in [0, 1] to features (B, 48, 64, 64) and identity (B, 32)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 24, 5, 2), nn.ReLU(), conv(24, FEATURES, 3, 2), nn.ReLU())
        self.refine = nn.Sequential(conv(FEATURES, FEATURES), nn.ReLU(), conv(FEATURES, FEATURES))
        self.summary = nn.Sequential(conv(FEATURES, 64, 3, 2), nn.ReLU(), conv(64, 64, 3, 2), nn.ReLU())
        self.identity = nn.Linear(64, IDENTITY)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        features = self.stem(picture - 0.5)
        features = features + self.refine(features)
        return features, self.identity(self.summary(features).mean((2, 3)))


class Motion(nn.Module):
    """Correct the mesh's flow and say where the warped features hold."""

    def __init__(self, keypoints: int) -> None:
        super().__init__()
        condition = GESTURE + IDENTITY
        self.gesture = nn.Sequential(
            nn.Linear(3 * keypoints, 128), nn.ReLU(), nn.Linear(128, GESTURE), nn.ReLU()
        )  # fmt: skip
        self.down1 = conv(FEATURES + 3, 48, 3, 2)
        self.down2 = conv(48, 80, 3, 2)
        self.body1 = ModulatedResidual(80, condition)
        self.body2 = ModulatedResidual(80, condition)
        self.up1 = conv(80, 48)
        self.up2 = conv(48, HIDDEN)
        self.out = conv(HIDDEN, 3)
        nn.init.zeros_(self.out.weight)
        self.out.bias = nn.Parameter(torch.tensor([0.0, 0.0, 2.0]))

    def forward(
        self,
        features: Tensor,
        identity: Tensor,
        keypoints_source: Tensor,
        keypoints_target: Tensor,
        flow: Tensor,
        seen: Tensor,
        grid: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features and identity of the source; keypoints (B, K, 3) projected; `flow` (B, 2, 64, 64), `seen`
        (B, 1, 64, 64); `grid` (B, 64, 64, 2), cell centres plus flow. Returns the residual flow (B, 2, 64, 64), the
        occlusion (B, 1, 64, 64), hidden maps (B, 32, 64, 64) and the condition (B, 96)."""
        condition = torch.cat([self.gesture(((keypoints_target - keypoints_source) * 6).flatten(1)), identity], 1)
        warped = sample(features, grid)
        wide = F.relu(self.down1(torch.cat([warped, flow * 8, seen - 0.5], 1)))
        x = F.relu(self.down2(wide))
        x = self.body2(self.body1(x, condition), condition)
        x = F.relu(self.up1(F.interpolate(x, scale_factor=2.0, mode="nearest"))) + wide
        hidden = F.relu(self.up2(F.interpolate(x, scale_factor=2.0, mode="nearest")))
        out = self.out(hidden)
        return RESIDUAL_SCALE * out[:, :2], torch.sigmoid(out[:, 2:]), hidden, condition


class CropHead(nn.Module):
    """Repaint a window at native resolution: a trunk at a quarter of it, details from the warp itself."""

    def __init__(self, channels: int, trunk: int, detail: int, condition: int) -> None:
        super().__init__()
        self.enter = conv(16 * channels, trunk)
        self.body1 = ModulatedResidual(trunk, condition)
        self.body2 = ModulatedResidual(trunk, condition)
        self.up = conv(trunk, 4 * detail, 1)
        self.detail = conv(detail + 4 * channels, detail)
        self.out = conv(detail, 16)
        start_transparent(self.out)

    def forward(self, window: Tensor, condition: Tensor) -> Tensor:
        """`window` (B, C, H, W) in [0, 1] to (B, 4, H, W): premultiplied colour and mask."""
        window = window - 0.5
        x = F.relu(self.enter(F.pixel_unshuffle(window, 4)))
        x = self.body2(self.body1(x, condition), condition)
        x = F.pixel_shuffle(self.up(x), 2)
        x = F.relu(self.detail(torch.cat([x, F.pixel_unshuffle(window, 2)], 1)))
        return layer(F.pixel_shuffle(self.out(x), 2))


class Painter(nn.Module):
    """Generate what the warp cannot show, as layers to lay over it."""

    def __init__(self) -> None:
        super().__init__()
        condition = GESTURE + IDENTITY
        self.enter = conv(FEATURES + HIDDEN, 32, 1)
        self.body = ModulatedResidual(32, condition)
        self.merge = conv(32 + 4 * 4, 32)
        self.out = conv(32, 16)
        start_transparent(self.out)
        self.mouth = CropHead(MOUTH_CHANNELS, 64, 32, condition)
        self.eyes = CropHead(EYES_CHANNELS, 48, 24, condition)

    def forward(
        self,
        features: Tensor,
        grid: Tensor,
        occlusion: Tensor,
        hidden: Tensor,
        condition: Tensor,
        warped: Tensor,
        mouth: Tensor,
        eyes: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`grid` (B, 64, 64, 2) includes the residual; `warped` (B, 4, 128, 128) is the warped source and where it
        was seen; `mouth` and `eyes` are native windows. Returns three layers (B, 4, H, W): over the whole picture at
        128 x 128, over the mouth's window and over the eyes'."""
        x = F.relu(self.enter(torch.cat([sample(features, grid) * occlusion, hidden], 1)))
        x = self.body(x, condition)
        x = F.relu(self.merge(torch.cat([x, F.pixel_unshuffle(warped - 0.5, 2)], 1)))
        main = layer(F.pixel_shuffle(self.out(x), 2))
        return main, self.mouth(mouth, condition), self.eyes(eyes, condition)


class CompactRenderer(nn.Module):
    """The three stages, trained as one and exported one by one."""

    def __init__(self, keypoints: int) -> None:
        super().__init__()
        self.source = SourceEncoder()
        self.motion = Motion(keypoints)
        self.painter = Painter()


def sample(maps: Tensor, grid: Tensor) -> Tensor:
    """Bilinear look-up of `maps` at `grid` in [-1, 1], the border repeated."""
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)


def layer(raw: Tensor) -> Tensor:
    """Colour as it is and a mask in [0, 1]: to be laid over a picture as ``picture * (1 - mask) + colour``."""
    return torch.cat([raw[:, :3], torch.sigmoid(raw[:, 3:])], 1)


def start_transparent(out: nn.Conv2d) -> None:
    """Initialise the last convolution before a pixel shuffle so that the layer begins invisible."""
    nn.init.zeros_(out.weight)
    bias = torch.zeros(4, out.out_channels // 4)
    bias[3] = -3.0
    out.bias = nn.Parameter(bias.flatten())
