"""The compact renderer: what a picture warped by the head mesh lacks, painted over it.

Like face-vid2vid (arXiv 2011.15126) it encodes the source once, warps it by a dense motion and generates what the warp
cannot know. Unlike it, the motion comes whole from z-buffering one head mesh (`engines.flow`), and the picture itself
is warped, outside and at full resolution; the network decides where that warp is right and what to paint where it is
not: uncovered skin, the change of light, the inside of the mouth.

All pictures go in and come out with pixels folded into channels and channels last, so that nothing is rearranged in
the graph (see `engines.renderer.painter_inputs`).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from networks.blocks import ModulatedResidual, conv

SOURCE_SIZE = 256
MAIN_CELLS = 64
"""Cells on a side of the whole picture, each 2 x 2 pixels at 128 x 128."""
SLOPES = 6
"""Normal of the skin (3), and how far it has turned since the source (3): by that the light on it has changed."""
MAIN_CHANNELS = 4 * 4 + 2 + SLOPES
"""Folded warp (3) and share seen in the source (1); the flow (2)."""
MOUTH_CELLS, EYES_CELLS = (56, 56), (32, 96)
"""Rows and columns of 2 x 2 pixels at the picture's own resolution."""
MOUTH_CHANNELS = 4 * 9 + SLOPES
"""Folded: warped source (3), seen in the source, teeth, tongue, and the textured, unlit inside of the mouth (3)."""
EYES_CHANNELS = 4 * 5 + SLOPES
"""Folded: warped source (3), seen in the source, eyeball."""
LAYER_CHANNELS = 4 * 4
"""Folded: premultiplied colour (3), and the logit of the mask."""
IDENTITY, GESTURE = 32, 64
REGIONS = 4
"""Rows and columns of regions of the portrait that the identity is read from: light comes from a side."""


class SourceEncoder(nn.Module):
    """Run once per avatar: picture (B, 3, 256, 256) in [0, 1] to an identity (B, 32)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(3, 24, 5, 2), nn.ReLU(),
            conv(24, 48, 3, 2), nn.ReLU(),
            conv(48, 64, 3, 2), nn.ReLU(),
            conv(64, 64, 3, 2), nn.ReLU(),
        )  # fmt: skip
        self.identity = nn.Linear(64 * REGIONS**2, IDENTITY)

    def forward(self, picture: Tensor) -> Tensor:
        features = self.body(picture - 0.5)
        identity: Tensor = self.identity(F.avg_pool2d(features, SOURCE_SIZE // 16 // REGIONS).flatten(1))
        return identity


class Sketch(nn.Module):
    """What the condition alone says of each place, as a coarse map of a few channels: where a smile folds the cheek,
    which convolutions over smooth skin cannot find."""

    def __init__(self, condition: int, depth: int, cells: tuple[int, int], channels: int) -> None:
        super().__init__()
        self.shape = (-1, depth, *cells)
        self.places = nn.Linear(condition, depth * cells[0] * cells[1])
        self.spread = conv(depth, channels, 1)
        for parameter in (self.places.weight, self.places.bias, self.spread.bias):
            nn.init.zeros_(parameter)  # type: ignore[arg-type]

    def forward(self, condition: Tensor) -> Tensor:
        """(B, C) to (B, channels, *cells), at first 0."""
        drawn: Tensor = self.spread(self.places(condition).view(self.shape))
        return drawn


class WholePicture(nn.Module):
    """Paint over the whole picture: a small U-Net of three scales."""

    def __init__(self, condition: int) -> None:
        super().__init__()
        self.enter = conv(MAIN_CHANNELS, 32)
        self.down1 = conv(32, 64, 3, 2)
        self.body1 = ModulatedResidual(64, condition)
        self.down2 = conv(64, 96, 3, 2)
        self.sketch = Sketch(condition, 12, (MAIN_CELLS // 4, MAIN_CELLS // 4), 96)
        self.body2 = nn.ModuleList([ModulatedResidual(96, condition) for _ in range(2)])
        self.up2 = conv(96, 64)
        self.body3 = ModulatedResidual(64, condition)
        self.up1 = conv(64, 32)
        self.merge = conv(32, 32)
        self.out = conv(32, LAYER_CHANNELS, 1)
        start_transparent(self.out)

    def forward(self, picture: Tensor, condition: Tensor) -> Tensor:
        """(B, 24, 64, 64) to a folded layer (B, 16, 64, 64)."""
        fine = F.relu(self.enter(picture))
        middle = self.body1(F.relu(self.down1(fine)), condition)
        coarse = F.relu(self.down2(middle)) + self.sketch(condition)
        for body in self.body2:
            coarse = body(coarse, condition)
        middle = self.body3(middle + twice(F.relu(self.up2(coarse))), condition)
        fine = fine + twice(F.relu(self.up1(middle)))
        layer: Tensor = self.out(F.relu(self.merge(fine)))
        return layer


class CropHead(nn.Module):
    """Repaint a window at native resolution: a trunk at a quarter of it, of `depth` blocks, and details from the warp
    itself, of `edges` more."""

    def __init__(
        self, channels: int, cells: tuple[int, int], trunk: int, detail: int, depth: int, edges: int, condition: int
    ) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, trunk, 4, 2, 1)
        self.sketch = Sketch(condition, 8, (cells[0] // 4, cells[1] // 4), trunk)
        self.bodies = nn.ModuleList([ModulatedResidual(trunk, condition) for _ in range(depth)])
        self.up = conv(trunk, detail, 1)
        self.detail = conv(detail + channels, detail)
        self.edges = nn.ModuleList([ModulatedResidual(detail, condition) for _ in range(edges)])
        self.out = conv(detail, LAYER_CHANNELS, 1)
        start_transparent(self.out)

    def forward(self, window: Tensor, condition: Tensor) -> Tensor:
        """Folded window (B, C, h, w), even height and width, to a folded layer (B, 16, h, w)."""
        trunk = F.relu(self.enter(window)) + twice(self.sketch(condition))
        for body in self.bodies:
            trunk = body(trunk, condition)
        detail = F.relu(twice_beside(self.up(trunk), window, self.detail))
        for edge in self.edges:
            detail = edge(detail, condition)
        layer: Tensor = self.out(detail)
        return layer


class Painter(nn.Module):
    """Every frame: the keypoints say what the face does, three heads paint it."""

    def __init__(self, keypoints: int) -> None:
        super().__init__()
        condition = GESTURE + IDENTITY
        self.gesture = nn.Sequential(
            nn.Linear(3 * keypoints, 128), nn.ReLU(), nn.Linear(128, GESTURE), nn.ReLU()
        )  # fmt: skip
        self.main = WholePicture(condition)
        self.mouth = CropHead(MOUTH_CHANNELS, MOUTH_CELLS, 64, 32, 3, 1, condition)
        self.eyes = CropHead(EYES_CHANNELS, EYES_CELLS, 48, 32, 2, 0, condition)

    def forward(
        self, identity: Tensor, keypoints: Tensor, main: Tensor, mouth: Tensor, eyes: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`identity` (B, 32) of the source; `keypoints` (B, K, 3), how far they moved since; folded pictures with
        channels last, centred on 0: `main` (B, 64, 64, 24), `mouth` (B, 56, 56, 42), `eyes` (B, 32, 96, 26). Returns
        a folded layer (..., 16) for each."""
        condition = torch.cat([self.gesture((keypoints * 6).flatten(1)), identity], 1)
        heads = ((self.main, main), (self.mouth, mouth), (self.eyes, eyes))
        painted = [head(window.permute(0, 3, 1, 2), condition).permute(0, 2, 3, 1) for head, window in heads]
        return painted[0], painted[1], painted[2]


class CompactRenderer(nn.Module):
    """Both networks, trained as one and exported one by one."""

    def __init__(self, keypoints: int) -> None:
        super().__init__()
        self.source = SourceEncoder()
        self.painter = Painter(keypoints)


def twice(x: Tensor) -> Tensor:
    """Double height and width."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def twice_beside(coarse: Tensor, fine: Tensor, convolution: nn.Conv2d) -> Tensor:
    """`convolution` of 3 x 3 over `twice(coarse)` with the channels of `fine` after it.

    Of doubled pixels a kernel sees each twice in a row, and in a column: its weights are added up first, and four
    products do for nine.
    """
    weight, count = convolution.weight, coarse.shape[1]
    spread = _spread(_spread(weight[:, :count], 2), 3).transpose(0, 1)
    beside: Tensor = F.conv2d(fine, weight[:, count:], convolution.bias, padding=1)
    return beside + F.conv_transpose2d(coarse, spread, stride=2, padding=1)


def _spread(weight: Tensor, axis: int) -> Tensor:
    """Three weights along an `axis`, as four with which a pixel is laid upon twice as many."""
    first, middle, last = (weight.narrow(axis, at, 1) for at in range(3))  # folded when exported, unlike a split
    return torch.cat([last, middle + last, first + middle, first], axis)


def start_transparent(out: nn.Conv2d) -> None:
    """Initialise the last convolution so that the layer begins invisible."""
    nn.init.zeros_(out.weight)
    out.bias = nn.Parameter(torch.tensor([0.0, 0.0, 0.0, -3.0]).repeat(4))
