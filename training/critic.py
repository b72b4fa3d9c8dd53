"""A critic of small windows: it learns to tell drawn mouths and eyes from true ones, patch by patch (PatchGAN, arXiv
1611.07004), and teaches the painter the fine texture that averaged errors blur."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class Critic(nn.Module):
    """Pictures (B, 3, h, w) in [0, 1] to features at three scales; the last are the verdicts on patches of 22 pixels,
    (B, 1, h / 4, w / 4), higher for what looks true."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                spectral_norm(nn.Conv2d(3, width, 4, 2, 1)),
                spectral_norm(nn.Conv2d(width, 2 * width, 4, 2, 1)),
                spectral_norm(nn.Conv2d(2 * width, 2 * width, 3, 1, 1)),
                spectral_norm(nn.Conv2d(2 * width, 1, 3, 1, 1)),
            ]
        )

    def forward(self, picture: Tensor) -> list[Tensor]:
        features = [2 * picture - 1]
        for layer in self.layers[:-1]:
            features.append(F.leaky_relu(layer(features[-1]), 0.2))
        return [*features[1:], self.layers[-1](features[-1])]


def critic_loss(critic: nn.Module, drawn: Tensor, true: Tensor) -> Tensor:
    """Hinge loss of the critic; `drawn` is taken without its gradient."""
    loss: Tensor = F.relu(1 - critic(true)[-1]).mean() + F.relu(1 + critic(drawn.detach())[-1]).mean()
    return loss


def painter_loss(critic: nn.Module, drawn: Tensor, true: Tensor, matching: float = 10.0) -> Tensor:
    """What the painter gains by convincing `critic`, plus the distance of features (pix2pixHD, arXiv 1711.11585)."""
    seen = critic(drawn)
    with torch.no_grad():
        wanted = critic(true)
    distance = torch.stack([(a - b).abs().mean() for a, b in zip(seen[:-1], wanted[:-1], strict=True)]).sum()
    loss: Tensor = matching * distance - seen[-1].mean()
    return loss


class Critics:
    """A critic for each window, with what trains them."""

    def __init__(self, windows: tuple[str, ...], rate: float = 2e-4) -> None:
        self.critics = nn.ModuleDict({window: Critic() for window in windows})
        self.optimizer = torch.optim.Adam(self.critics.parameters(), lr=rate, betas=(0.5, 0.99))

    def learn(self, drawn: Mapping[str, Tensor], true: Mapping[str, Tensor]) -> tuple[Tensor, float]:
        """One step of every critic on its window; returns the painter's loss and the critics' own."""
        with torch.autocast("cpu", torch.bfloat16):
            doubts = [critic_loss(critic, drawn[window], true[window]) for window, critic in self.critics.items()]
        doubt = torch.stack(doubts).sum()
        self.optimizer.zero_grad()
        doubt.backward()
        self.optimizer.step()
        with torch.autocast("cpu", torch.bfloat16):
            losses = [painter_loss(critic, drawn[window], true[window]) for window, critic in self.critics.items()]
        return torch.stack(losses).sum(), float(doubt.detach())
