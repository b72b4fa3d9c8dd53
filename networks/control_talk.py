"""From audio to the expression of a face: ControlTalk's Audio2Exp (arXiv 2406.02880, section 3.2), published as
lipControlNet. It predicts a bias on the expression that the source, or a driving video, already has."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from networks.keypoint_detector import KEYPOINTS

WINDOW, FEATURES = 18, 1024
"""Features of HuBERT-large that it hears at once: 20 ms each, so 360 ms, beginning with the frame spoken about."""
ALPHA: Final = 0.7
"""How much of the bias that speech asks for the authors apply; larger opens the mouth further."""


class _Projection(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.projection = nn.Linear(inputs, outputs)
        self.fc = nn.Linear(outputs, outputs)
        self.layer_norm = nn.LayerNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        projected = self.projection(x)
        normal: Tensor = self.layer_norm(projected + self.fc(F.gelu(projected)))
        return normal


class _AudioEncoder(nn.Module):
    """A window (B, 18, 1024) of features -> (B, 1024)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = _Projection(WINDOW * FEATURES, 2048)
        self.fc2 = _Projection(2048, 1024)
        self.fc3 = _Projection(1024, 512)
        self.fc4 = _Projection(512, 1024)

    def forward(self, audio: Tensor) -> Tensor:
        heard: Tensor = self.fc4(self.fc3(self.fc2(self.fc1(audio.flatten(1)))))
        return heard


class ControlTalk(nn.Module):
    """Audio (B, 18, 1024) and an expression (B, 15, 3) -> the bias (B, 15, 3) on it. 47.5 M parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = _AudioEncoder()
        self.out_fc = nn.Linear(3 * KEYPOINTS + 1024, 3 * KEYPOINTS)
        nn.init.zeros_(self.out_fc.weight)
        nn.init.zeros_(self.out_fc.bias)

    def forward(self, audio: Tensor, exp: Tensor) -> Tensor:
        heard = self.audio_encoder(audio)
        # The expression goes in as all x, all y, all z, yet the bias comes out as x, y, z of each keypoint.
        bias: Tensor = self.out_fc(torch.cat([exp.transpose(1, 2).flatten(1), heard], 1))
        return bias.unflatten(1, (KEYPOINTS, 3))

    def speak(self, exp: Tensor, audio: Tensor, silence: Tensor, alpha: float = ALPHA) -> Tensor:
        """The expression that says `audio`: first the mouth is closed as for `silence` (of which the authors take the
        features of a recording, not zeros), then opened by `alpha` times what the audio asks for."""
        closed = self.close(exp, silence)
        return closed + alpha * self(audio, closed)

    def close(self, exp: Tensor, silence: Tensor) -> Tensor:
        """The first of both passes: it depends on the source alone, and may be kept."""
        return exp + self(silence, exp)
