"""The source's feature volume, moved to where the keypoints went: LivePortrait's warping network W (arXiv 2407.03168),
and the middle of face-vid2vid's generator."""

from torch import Tensor, nn

from networks import volume_grid
from networks.appearance import DEPTH, FEATURES
from networks.dense_motion import DenseMotion
from networks.volume_blocks import Conv2d

CHANNELS = 256
"""Of the flat features that the generator paints from."""


class Warping(nn.Module):
    """Per frame: (B, 32, 16, 64, 64) and keypoints -> flat features (B, 256, 64, 64).

    With LivePortrait's 21 keypoints 45.5 M parameters and 342 GFLOP; face-vid2vid has 15.
    """

    def __init__(self, keypoints: int) -> None:
        super().__init__()
        self.dense_motion_network = DenseMotion(keypoints)
        self.third = Conv2d(FEATURES * DEPTH, CHANNELS, slope=0.01)
        self.fourth = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, feature_3d: Tensor, kp_driving: Tensor, kp_source: Tensor) -> Tensor:
        """`feature_3d` (B, 32, 16, 64, 64), keypoints float32 (B, K, 3): where they shall be, and are in the source."""
        places, occlusion, _ = self.dense_motion_network(feature_3d, kp_driving, kp_source)
        return self.move(feature_3d, places, occlusion)

    def move(self, feature_3d: Tensor, places: Tensor, occlusion: Tensor) -> Tensor:
        """The volume read at `places` (B, 16, 64, 64, 3), flattened, and dimmed where the source shows nothing."""
        flat = volume_grid.read(feature_3d, places).flatten(1, 2)
        features: Tensor = self.fourth(self.third(flat)) * occlusion
        return features
