"""From audio features to the bias on the source's expression, with the recent past of the face as context.

The bias, and that its last layer starts at zero, are ControlTalk's (Zhao et al. 2024, section 3.2); conditioning on
the past 16 expressions is RealTalk's (Ji et al. 2024, section 3.2). Three heads share the features: each reads the
audio up to the same frame and speaks about a frame further back.
"""

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LIPS: Final = 9
HISTORY: Final = 16
LOOKAHEAD_FRAMES: Final = (0, 2, 4)
"""How many frames of 40 ms each head hears beyond the frame it speaks about: 0, 80 and 160 ms."""
FEATURES_PER_FRAME: Final = 2
CLOSE: Final = 1
PART: Final = 7
"""The channels that press the lips and part them: where the lips do not close for a sound, it parts them."""
_REST: Final = 0.02
"""Activation that stands for no bias at all, so that the logistic function can reach it."""


def bias_from_logits(logits: Tensor) -> Tensor:
    """The bias: exactly 0 at logit 0, up to 1."""
    activation = torch.sigmoid(logits + math.log(_REST / (1 - _REST)))
    return (activation - _REST) / (1 - _REST)


def logit_from_bias(bias: float) -> float:
    """The inverse of `bias_from_logits`, for a bias below 1."""
    activation = _REST + (1 - _REST) * bias
    return math.log(activation / (1 - activation)) - math.log(_REST / (1 - _REST))


def loss_with_logits(logits: Tensor, bias: Tensor) -> Tensor:
    """Cross-entropy, element by element, between predicted logits and the wanted bias (0 to 1)."""
    shifted = logits + math.log(_REST / (1 - _REST))
    return F.binary_cross_entropy_with_logits(shifted, _REST + (1 - _REST) * bias, reduction="none")


class Head(nn.Module):
    """One lookahead: a frame's features ``(..., 2 * width)`` and past lips ``(..., 144)`` to logits ``(..., 9)``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.past = nn.Linear(HISTORY * LIPS, 64)
        self.audio = nn.Linear(FEATURES_PER_FRAME * width, 192)
        self.mix = nn.Linear(192 + 64, 128)
        self.last = nn.Linear(128, LIPS)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def hear(self, features: Tensor) -> Tensor:
        return F.silu(self.audio(features))

    def speak(self, heard: Tensor, history: Tensor) -> Tensor:
        mixed = self.mix(torch.cat([heard, F.silu(self.past(history))], dim=-1))
        return self.last(F.silu(mixed))


class Audio2Exp(nn.Module):
    """One frame: `features` ``(B, 2, width + 3)``, `history` ``(B, 16, 9)`` oldest first -> bias ``(B, 3, 9)``.

    The last three values of a feature are what it takes off the logit of a closure, one for each row. Row j is about
    the frame `LOOKAHEAD_FRAMES[j]` before the one just heard, and expects the history to end with the frame before
    that.
    """

    def __init__(self, width: int = 192) -> None:
        super().__init__()
        self.width = width
        self.heads = nn.ModuleList([Head(width) for _ in LOOKAHEAD_FRAMES])
        doubted = torch.zeros(LIPS)
        doubted[CLOSE], doubted[PART] = -1.0, 1.0
        self.doubted: Tensor
        self.register_buffer("doubted", doubted, persistent=False)

    def head(self, row: int) -> Head:
        head = self.heads[row]
        assert isinstance(head, Head)
        return head

    @torch.no_grad()
    def recalibrate(self, channel: int, slope: float, level: float = 0.0, becomes: float = 0.0) -> None:
        """Let a channel be `becomes` where it was `level`, and `slope` times as steep there, in logits."""
        shift = logit_from_bias(becomes) - slope * logit_from_bias(level)
        for row in range(len(LOOKAHEAD_FRAMES)):
            last = self.head(row).last
            last.weight[channel] *= slope
            last.bias[channel] = slope * last.bias[channel] + shift

    def forward(self, features: Tensor, history: Tensor) -> Tensor:
        doubt = features[:, -1, self.width :, None]
        features, history = features[:, :, : self.width].flatten(1), history.flatten(1)
        heads = [self.head(row) for row in range(len(LOOKAHEAD_FRAMES))]
        logits = [head.speak(head.hear(features), history) for head in heads]
        return bias_from_logits(torch.stack(logits, dim=1) + doubt * self.doubted)
