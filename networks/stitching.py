"""LivePortrait's three small corrections (arXiv 2407.03168, section 3.4): stitching, so that the animated head fits the
shoulders it was cut from, and moving lips or eyes to a wanted openness."""

from itertools import pairwise

from torch import Tensor, nn

from networks.motion_extractor import KEYPOINTS


class Retargeting(nn.Module):
    """A perceptron over keypoints and perhaps a few numbers (B, inputs) -> (B, outputs)."""

    def __init__(self, inputs: int, hidden: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        widths = (inputs, *hidden, outputs)
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [nn.Linear(a, b), nn.ReLU()]
        self.mlp = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.mlp(x)
        return outputs


def stitching() -> Retargeting:
    """Source's and driving keypoints, (B, 126) -> offsets of 21 keypoints, then of them all in x and y: (B, 65)."""
    return Retargeting(2 * 3 * KEYPOINTS, (128, 128, 64), 3 * KEYPOINTS + 2)


def lips() -> Retargeting:
    """Source's keypoints, its lips' openness and the wanted one, (B, 65) -> offsets (B, 63)."""
    return Retargeting(3 * KEYPOINTS + 2, (128, 128, 64), 3 * KEYPOINTS)


def eyes() -> Retargeting:
    """Source's keypoints, openness of its left and right eye and the wanted one, (B, 66) -> offsets (B, 63)."""
    return Retargeting(3 * KEYPOINTS + 3, (256, 256, 128, 128, 64), 3 * KEYPOINTS)


def stitched(kp_driving: Tensor, correction: Tensor) -> Tensor:
    """Keypoints (B, 21, 3) with what `stitching` answered, (B, 65), added."""
    offsets, shift = correction[:, :-2].unflatten(1, (-1, 3)), correction[:, None, -2:]
    moved = kp_driving + offsets
    return nn.functional.pad(shift, (0, 1)) + moved
