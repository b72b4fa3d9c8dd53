"""What a person looks like, as a volume of features: LivePortrait's extractor F (arXiv 2407.03168), and the first half
of face-vid2vid's generator (arXiv 2011.15126, section 3.1). Run once per source picture."""

from typing import Final

from torch import Tensor, nn

from networks.volume_blocks import Conv2d, Down2d, Residual3d, named

SOURCE_SIZE: Final = 256
FEATURES, DEPTH, CELLS = 32, 16, 64
"""Of the volume: channels, depth, and height or width."""


class Appearance(nn.Module):
    """Picture (B, 3, 256, 256), RGB in [0, 1] -> volume (B, 32, 16, 64, 64). 0.84 M parameters, 64 GFLOP."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Conv2d(3, 64)
        self.down_blocks = nn.Sequential(Down2d(64, 128), Down2d(128, 256))
        self.second = nn.Conv2d(256, FEATURES * DEPTH, 1)
        self.resblocks_3d = named("3dr", [Residual3d(FEATURES) for _ in range(6)])

    def forward(self, image: Tensor) -> Tensor:
        flat = self.second(self.down_blocks(self.first(image)))
        volume: Tensor = self.resblocks_3d(flat.unflatten(1, (FEATURES, DEPTH)))
        return volume
