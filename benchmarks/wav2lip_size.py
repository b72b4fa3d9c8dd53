"""A network of the sizes of Wav2Lip's generator (arXiv 2008.10010; 96 x 96 pixels), to weigh others against.

Written from the published layer sizes, with random weights: what it costs is Wav2Lip's, what it paints is nothing.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _Conv(nn.Module):
    """Convolution, batch norm and rectifier, around a skip if `residual`."""

    def __init__(
        self,
        a: int,
        b: int,
        kernel: int = 3,
        stride: int | tuple[int, int] = 1,
        padding: int = 1,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(a, b, kernel, stride, padding), nn.BatchNorm2d(b))
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return F.relu(x + y if self.residual else y)


class _Rise(nn.Sequential):
    """Transposed convolution, batch norm and rectifier."""

    def __init__(self, a: int, b: int, stride: int = 2, padding: int = 1, extra: int = 1) -> None:
        super().__init__(nn.ConvTranspose2d(a, b, 3, stride, padding, extra), nn.BatchNorm2d(b), nn.ReLU())


def _stay(channels: int, count: int) -> list[nn.Module]:
    return [_Conv(channels, channels, residual=True) for _ in range(count)]


class Wav2LipSize(nn.Module):
    """Mel spectrogram (B, 1, 80, 16) and two faces (B, 6, 96, 96) -> face (B, 3, 96, 96). 36.3 M parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.audio = nn.Sequential(
            _Conv(1, 32), *_stay(32, 2),
            _Conv(32, 64, stride=(3, 1)), *_stay(64, 2),
            _Conv(64, 128, stride=3), *_stay(128, 2),
            _Conv(128, 256, stride=(3, 2)), *_stay(256, 1),
            _Conv(256, 512, padding=0), _Conv(512, 512, 1, padding=0),
        )  # fmt: skip
        self.face = nn.ModuleList(
            [
                _Conv(6, 16, 7, padding=3),
                nn.Sequential(_Conv(16, 32, stride=2), *_stay(32, 2)),
                nn.Sequential(_Conv(32, 64, stride=2), *_stay(64, 3)),
                nn.Sequential(_Conv(64, 128, stride=2), *_stay(128, 2)),
                nn.Sequential(_Conv(128, 256, stride=2), *_stay(256, 2)),
                nn.Sequential(_Conv(256, 512, stride=2), *_stay(512, 1)),
                nn.Sequential(_Conv(512, 512, padding=0), _Conv(512, 512, 1, padding=0)),
            ]
        )
        self.rise = nn.ModuleList(
            [
                _Conv(512, 512, 1, padding=0),
                nn.Sequential(_Rise(1024, 512, 1, 0, 0), *_stay(512, 1)),
                nn.Sequential(_Rise(1024, 512), *_stay(512, 2)),
                nn.Sequential(_Rise(768, 384), *_stay(384, 2)),
                nn.Sequential(_Rise(512, 256), *_stay(256, 2)),
                nn.Sequential(_Rise(320, 128), *_stay(128, 2)),
                nn.Sequential(_Rise(160, 64), *_stay(64, 2)),
            ]
        )
        self.out = nn.Sequential(_Conv(80, 32), nn.Conv2d(32, 3, 1), nn.Sigmoid())

    def forward(self, mel: Tensor, faces: Tensor) -> Tensor:
        seen = []
        for block in self.face:
            faces = block(faces)
            seen.append(faces)
        x = self.audio(mel)
        for block in self.rise:
            x = torch.cat([block(x), seen.pop()], 1)
        picture: Tensor = self.out(x)
        return picture
