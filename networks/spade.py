"""From warped features to a picture: the SPADE generator (arXiv 1903.07291) of LivePortrait and of face-vid2vid's
public code. The features are the picture's first draft and, at every scale, the condition that scales and shifts it."""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from networks.enlarged import convolve_enlarged
from networks.warping import CHANNELS

_HIDDEN: Final = 128
_SLOPE: Final = 0.2
"""Of every leaky rectifier here."""


class SpectralConv2d(nn.Conv2d):
    """A convolution trained under spectral normalisation (arXiv 1802.05957).

    Checkpoints hold `weight_orig`, `weight_u` and `weight_v`; what the network uses is weight_orig / (u . W v), with u
    and v as they are stored. Loading divides once, and then this is a plain convolution.
    """

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        if f"{prefix}weight_orig" in state_dict:
            names = (f"{prefix}weight_{part}" for part in ("orig", "u", "v"))
            original, u, v = (state_dict.pop(name) for name in names)
            state_dict[f"{prefix}weight"] = spectrally_normal(original, u, v)
        super()._load_from_state_dict(state_dict, prefix, *rest)


def spectrally_normal(original: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """`original` (O, I, h, w) over u . W v, with W (O, I h w): its greatest singular value, as training knew it."""
    sigma = u.double() @ (original.double().flatten(1) @ v.double())
    return (original.double() / sigma).to(original.dtype)


class Spade(nn.Module):
    """Every channel to mean 0 and variance 1 over its picture, then scaled and shifted place by place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(CHANNELS, _HIDDEN, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(_HIDDEN, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(_HIDDEN, channels, 3, padding=1)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """`x` (B, C, H, W), and what it saw of the condition (B, 128, H, W)."""
        return F.instance_norm(x) * (1 + self.mlp_gamma(seen)) + self.mlp_beta(seen)


def look(norms: Sequence[Spade], condition: Tensor, scale: int) -> tuple[Tensor, ...]:
    """What several norms see of one condition (B, 256, h, w) enlarged `scale` times: (B, 128, H, W) for each.

    One convolution for all of them, and of the small condition: an eighth less work of the whole generator.
    """
    convolutions = [norm.mlp_shared.get_submodule("0") for norm in norms]
    weight, bias = (torch.cat([getattr(one, part) for one in convolutions]) for part in ("weight", "bias"))
    return F.relu(convolve_enlarged(condition, weight, bias, scale)).chunk(len(norms), 1)


class SpadeBlock(nn.Module):
    """Two convolutions around a skip, each after a conditional norm and a rectifier.

    The condition is `scale` times smaller than what it is about.
    """

    def __init__(self, channels_in: int, channels_out: int, scale: int = 1) -> None:
        super().__init__()
        self.scale = scale
        middle = min(channels_in, channels_out)
        self.norm_0, self.norm_1 = Spade(channels_in), Spade(middle)
        self.conv_0 = SpectralConv2d(channels_in, middle, 3, padding=1)
        self.conv_1 = SpectralConv2d(middle, channels_out, 3, padding=1)
        self.reshaped = channels_in != channels_out
        if self.reshaped:
            self.norm_s = Spade(channels_in)
            self.conv_s = SpectralConv2d(channels_in, channels_out, 1, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """`x` (B, channels_in, H, W), `condition` (B, 256, H / scale, W / scale): (B, channels_out, H, W)."""
        norms = [self.norm_0, self.norm_1] + ([self.norm_s] if self.reshaped else [])
        first, second, *third = look(norms, condition, self.scale)
        hidden = self.conv_0(F.leaky_relu(self.norm_0(x, first), _SLOPE))
        hidden = self.conv_1(F.leaky_relu(self.norm_1(hidden, second), _SLOPE))
        skip = self.conv_s(self.norm_s(x, third[0])) if self.reshaped else x
        return skip + hidden


class SpadeGenerator(nn.Module):
    """Features (B, 256, 64, 64) -> picture (B, 3, S, S), RGB in 0 to 1.

    `upscale` 2 makes S 512 (LivePortrait), 1 makes it 256 (face-vid2vid). 55 M parameters, 892 GFLOP. The oldest
    face-vid2vid checkpoints have 2 `middle` blocks instead of 6.
    """

    def __init__(self, upscale: int, middle: int = 6) -> None:
        super().__init__()
        self.fc = nn.Conv2d(CHANNELS, 512, 3, padding=1)
        self.middle = [f"G_middle_{i}" for i in range(middle)]
        for name in self.middle:
            self.add_module(name, SpadeBlock(512, 512))
        self.up_0, self.up_1 = SpadeBlock(512, 256, scale=2), SpadeBlock(256, 64, scale=4)
        last = nn.Conv2d(64, 3 * upscale**2, 3, padding=1)
        self.conv_img = nn.Sequential(last, nn.PixelShuffle(upscale)) if upscale > 1 else last

    def forward(self, feature: Tensor) -> Tensor:
        x = self.fc(feature)
        for name in self.middle:
            x = self.get_submodule(name)(x, feature)
        for block in (self.up_0, self.up_1):
            x = block(F.interpolate(x, scale_factor=2.0, mode="nearest"), feature)
        return torch.sigmoid(self.conv_img(F.leaky_relu(x, _SLOPE)))
