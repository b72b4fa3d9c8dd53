"""RealTalk (Ji et al. 2024, arXiv 2406.18284): audio to coefficients of a face model, and those to a picture.

No weights were published. Sizes are the paper's where it gives them: l = 32, N = 16, T = 16, pictures of 256 x 256,
four stages of two residual blocks, cross-attention at 1/8 and 1/16 only. Coefficients are those of the reconstruction
it uses (arXiv 1903.08527): 80 for the shape, 64 for the expression, 6 for the pose. Widths and depths are ours: the
renderer has 57 M parameters, the paper's 69 M.
"""

import math
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from networks.attention import Attention
from networks.blocks import conv

AUDIO, HISTORY, SPOKEN = 32, 16, 16
"""Audio features heard (20 ms each), past expressions known, and expressions predicted at once."""
SHAPE, EXPRESSION, POSE = 80, 64, 6
PICTURE: Final = 256
_PERIOD: Final = 25
"""Tokens after which positions repeat, so that nothing depends on the length trained on."""
_WIDTH, _HEADS, _DEPTH = 256, 8, 3
_CHANNELS: Final = (64, 128, 256, 512, 512)
"""Of the renderer, from full size to 1/16."""
_BLOCKS: Final = 2
_ALIGNED: Final = 2
"""Coarsest scales at which the picture looks at the reference: 1/16 and 1/8."""


def periodic_positions(count: int, width: int, period: int = _PERIOD) -> Tensor:
    """Sines and cosines of the place within its period (FaceFormer, arXiv 2112.05329, 3.3): (count, width)."""
    places = torch.arange(count).remainder(period)[:, None]
    angles = places * torch.exp(torch.arange(0, width, 2) * (-math.log(10_000) / width))
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)


class _Layer(nn.Module):
    """Attention to the tokens themselves or to a memory, then two linear layers; each normalised and skipped."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention(_WIDTH, _HEADS)
        self.norm1, self.norm2 = nn.LayerNorm(_WIDTH), nn.LayerNorm(_WIDTH)
        self.wide, self.narrow = nn.Linear(_WIDTH, 4 * _WIDTH), nn.Linear(4 * _WIDTH, _WIDTH)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        x = x + self.attention(self.norm1(x), memory)
        narrow: Tensor = self.narrow(F.gelu(self.wide(self.norm2(x))))
        return x + narrow


class AudioToExpression(nn.Module):
    """Audio, the shape of the face and what it did before -> the next 16 expressions (section 3.1)."""

    audio_places: Tensor
    query_places: Tensor

    def __init__(self, audio_width: int = 1024) -> None:
        super().__init__()
        self.hear, self.know = nn.Linear(audio_width, _WIDTH), nn.Linear(SHAPE, _WIDTH)
        self.remember = nn.Linear(EXPRESSION, _WIDTH)
        self.align = nn.ModuleList([_Layer() for _ in range(_DEPTH)])
        self.speak = nn.ModuleList([_Layer() for _ in range(_DEPTH)])
        self.memory_norm, self.last_norm = nn.LayerNorm(_WIDTH), nn.LayerNorm(_WIDTH)
        self.last = nn.Linear(_WIDTH, EXPRESSION)
        self.register_buffer("audio_places", periodic_positions(AUDIO + 1 + HISTORY, _WIDTH), persistent=False)
        self.register_buffer("query_places", periodic_positions(SPOKEN, _WIDTH), persistent=False)

    def forward(self, audio: Tensor, shape: Tensor, history: Tensor) -> Tensor:
        """`audio` (B, 32, width), `shape` (B, 80), `history` (B, 16, 64) oldest first: expressions (B, 16, 64)."""
        tokens = torch.cat([self.hear(audio), self.know(shape)[:, None], self.remember(history)], 1)
        memory = tokens + self.audio_places
        for layer in self.align:
            memory = layer(memory)
        memory = self.memory_norm(memory)
        # Queries start at nought and differ by their place alone.
        queries = self.query_places.expand(len(audio), -1, -1)
        for layer in self.speak:
            queries = layer(queries, memory)
        expressions: Tensor = self.last(self.last_norm(queries))
        return expressions


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = conv(channels, channels), conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.second(F.leaky_relu(F.instance_norm(self.first(x)), 0.2))
        return x + F.instance_norm(hidden)


class _Encoder(nn.Module):
    """A picture (B, 3, 256, 256) -> features at 1, 1/2, 1/4, 1/8 and 1/16 of its size."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = conv(3, _CHANNELS[0], 7)
        self.stages = nn.ModuleList(
            [
                nn.Sequential(conv(narrow, wide, stride=2), *(_Residual(wide) for _ in range(_BLOCKS)))
                for narrow, wide in pairwise(_CHANNELS)
            ]
        )

    def forward(self, picture: Tensor) -> list[Tensor]:
        scales = [self.enter(picture)]
        for stage in self.stages:
            scales.append(stage(scales[-1]))
        return scales


class FacialIdentityAlignment(nn.Module):
    """One scale: the coefficients shape the features (AdaIN), residual blocks refine them, and, where `aligned`, each
    place takes texture from the places of the reference that are like it."""

    def __init__(self, channels_in: int, channels: int, aligned: bool) -> None:
        super().__init__()
        self.enter = conv(channels_in, channels)
        coefficients = SHAPE + EXPRESSION + POSE
        self.shape = nn.Sequential(
            nn.Linear(coefficients, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 2 * channels)
        )
        self.blocks = nn.Sequential(*(_Residual(channels) for _ in range(_BLOCKS)))
        self.align = Attention(channels, _HEADS) if aligned else None

    def forward(self, x: Tensor, coefficients: Tensor, reference: Tensor) -> Tensor:
        """`x` (B, C, h, w), `coefficients` (B, 150), `reference` (B, channels, h, w): (B, channels, h, w)."""
        scale, shift = self.shape(coefficients)[:, :, None, None].chunk(2, 1)
        x = self.blocks(F.leaky_relu(F.instance_norm(self.enter(x)) * (1 + scale) + shift, 0.2))
        if self.align is None:
            return x
        tokens, texture = x.flatten(2).transpose(1, 2), reference.flatten(2).transpose(1, 2)
        return x + self.align(tokens, texture).transpose(1, 2).unflatten(2, x.shape[2:])


class ExpressionToFace(nn.Module):
    """The source with mouth and neck painted anew, as the coefficients ask for (section 3.2)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _Encoder()
        ins, outs = (_CHANNELS[-1], *_CHANNELS[:0:-1]), _CHANNELS[::-1]
        self.decoder = nn.ModuleList(
            [
                FacialIdentityAlignment(wide, narrow, aligned=scale < _ALIGNED)
                for scale, (wide, narrow) in enumerate(zip(ins, outs, strict=True))
            ]
        )
        self.last = conv(_CHANNELS[0], 3, 7)

    def forward(self, source: Tensor, keep: Tensor, reference: Tensor, coefficients: Tensor) -> Tensor:
        """`source` and `reference` (B, 3, 256, 256), RGB in 0 to 1; `keep` (B, 1, 256, 256), 1 where the source stays
        (see `keep_mask`); `coefficients` (B, 150) of shape, expression and pose. Returns RGB in 0 to 1."""
        x, textures = self.encoder(source * keep)[-1], self.encoder(reference)[::-1]
        for index, (align, texture) in enumerate(zip(self.decoder, textures, strict=True)):
            if index:
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = align(x, coefficients, texture)
        painted = torch.sigmoid(self.last(x))
        return keep * source + (1 - keep) * painted


def keep_mask(contour: Tensor, size: int = PICTURE) -> Tensor:
    """What of a picture is not painted anew: (B, 1, size, size), 0 inside of a closed `contour` (B, S, 2) and 1 around.

    The contour, x and y in -1 to 1, runs through points of the face model chosen once, where the *predicted* expression
    puts them: the learnable mask, wide open where the mouth will be. A place is inside if a ray from it to the right
    crosses the contour an odd number of times.
    """
    centres = (torch.arange(size, device=contour.device) + 0.5) * (2 / size) - 1
    x0, y0 = (coordinate[:, :, None] for coordinate in contour.unbind(2))
    x1, y1 = (coordinate.roll(-1, 1) for coordinate in (x0, y0))
    spans = (y0 <= centres) != (y1 <= centres)
    run = torch.where(spans, y1 - y0, torch.ones_like(y0))
    at = x0 + (x1 - x0) * (centres - y0) / run
    crossed = spans[..., None] & (at[..., None] > centres)
    return 1 - crossed.sum(1).remainder(2)[:, None].to(contour.dtype)
