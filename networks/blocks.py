"""Small pieces that several image networks share."""

from torch import Tensor, nn
from torch.nn import functional as F


def conv(channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size (divided by `stride`)."""
    return nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2)


class ModulatedResidual(nn.Module):
    """Two convolutions around a skip, one of 3 x 3 and one of 1 x 1, scaled and shifted per channel by a condition
    between them (FiLM, arXiv 1709.07871).

    Begins as nearly the identity, so that depth costs nothing at the start of training.
    """

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        self.second = conv(channels, channels, 1)
        self.film = nn.Linear(condition, 2 * channels)
        nn.init.normal_(self.second.weight, 0, 0.01)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, 1)
        hidden = F.relu(self.first(x)) * (1 + scale) + shift
        return x + self.second(hidden)
