"""The compact streaming counterpart of HuBERT: 16 kHz samples in, 50 features a second out, causal, explicit state.

The front end is a log-mel spectrogram written as convolutions, so that it is part of the exported graph. Behind it
stand causal blocks after ConvNeXt (Liu et al. 2022, section 2): depthwise convolution, norm over channels, two
pointwise layers, residual. Among them stands a memory of the voice. HuBERT's contract (Hsu et al. 2021, section III):
one feature per 320 samples. Behind each feature stands how far this voice's /m/ is to be believed.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks.audio2exp import LOOKAHEAD_FRAMES

SAMPLES_PER_FEATURE: Final = 320
_RATE: Final = 16_000
_WINDOW: Final = 400
_HOP: Final = 160
_FLOOR: Final = 1e-3
"""Power added before the logarithm: about a quiet room at a window of 25 ms."""
_HALVED: Final = 500.0
"""Features, 10 s of them, after which a memory has faded to a half."""
_SHRINKAGE: Final = 5.0
HUMS: Final = 3
"""What a nasal after a vowel can be: /m/, another, or none."""
_M_SHARE: Final = 0.36
"""Of the nasals after vowels, in the mean of the languages in training; 19 stretches of 40 s in 20 hold .12 to .58."""
_HUMS_HALVED: Final = 1500.0
"""Features, 30 s of them, after which what was heard of the nasals has faded to a half."""
_HUMS_SHRINKAGE: Final = 40.0
_LANGUAGES: Final = 0.25
"""By so much, in logarithms of odds, the share may differ before it says anything of the voice."""
_DOUBT: Final = 3.0
"""What each unit beyond that takes off the logit of a closure, within these bounds:"""
_LEAST_DOUBT: Final = -2.0
_GREATEST_DOUBT: Final = 2.5
_SPAN: Final = 500
"""Features that a memory sums at once."""
_DROPPED: Final = 0.08
"""Share of a block's hidden channels that are silent for a whole crop in training, so that none is trusted for one
voice alone."""


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


class LogMel(nn.Module):
    """Log-mel spectrum every 10 ms, 0 for digital silence: pcm ``(B, n * 160)`` -> ``(B, bands, n)``, the bands at
    `centres` ``(bands,)`` in Hz."""

    def __init__(self, bands: int = 64, low: float = 60.0, high: float = 7800.0) -> None:
        super().__init__()
        time = torch.arange(_WINDOW)
        phase = 2 * math.pi / _WINDOW * torch.arange(_WINDOW // 2 + 1)[:, None] * time
        window = torch.hann_window(_WINDOW)
        fourier = torch.cat([torch.cos(phase) * window, -torch.sin(phase) * window])
        edges = 700 * (10 ** (torch.linspace(_mel(low), _mel(high), bands + 2) / 2595) - 1)
        self.centres = edges[1:-1]
        bins = torch.arange(_WINDOW // 2 + 1) * (_RATE / _WINDOW)
        left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
        triangles = torch.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clamp(min=0)
        self.fourier: Tensor
        self.triangles: Tensor
        self.register_buffer("fourier", fourier[:, None], persistent=False)
        self.register_buffer("triangles", triangles[:, :, None], persistent=False)

    def start(self, batch: int) -> Tensor:
        """The `past` of the first sample: silence."""
        return self.fourier.new_zeros(batch, 1, _WINDOW - _HOP)

    def forward(self, pcm: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """`past` ``(B, 1, 240)``: the samples before `pcm`. Returns the spectrum and the next `past`."""
        heard = torch.cat([past, pcm[:, None]], dim=2)
        with torch.autocast(pcm.device.type, enabled=False):  # powers span more than half precision holds
            real, imaginary = F.conv1d(heard, self.fourier, stride=_HOP).chunk(2, dim=1)
            mel = F.conv1d(real * real + imaginary * imaginary, self.triangles)
            return torch.log(mel / _FLOOR + 1) * 0.25, heard[:, :, _HOP - _WINDOW :]


class ChannelNorm(nn.Module):
    """Root-mean-square norm over channels of ``(B, C, n)``: causal by construction (Zhang & Sennrich 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, channels, 1))
        self.shift = nn.Parameter(torch.zeros(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-4) * self.gain + self.shift


class CausalConv(nn.Module):
    """A convolution that sees only the past, which it takes and returns: ``(B, C, context)``."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, outputs, kernel, stride, dilation=dilation, groups=groups)
        self.channels, self.context = inputs, (kernel - 1) * dilation + 1 - stride

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        heard = torch.cat([past, x], dim=2)
        return self.convolution(heard), heard[:, :, -self.context :]


class Block(nn.Module):
    """Causal ConvNeXt block: what is near in time, then what belongs together across channels."""

    def __init__(self, width: int, dilation: int, expansion: int, *, kernel: int = 7) -> None:
        super().__init__()
        self.depthwise = CausalConv(width, width, kernel, dilation=dilation, groups=width)
        self.norm = ChannelNorm(width)
        self.widen = nn.Conv1d(width, width * expansion, 1)
        self.narrow = nn.Conv1d(width * expansion, width, 1)
        with torch.no_grad():  # near the identity at first
            self.narrow.weight.mul_(0.5)
        if self.narrow.bias is not None:
            nn.init.zeros_(self.narrow.bias)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        y, past = self.depthwise(x, past)
        hidden = F.dropout1d(F.silu(self.widen(self.norm(y))), _DROPPED, self.training)
        return x + self.narrow(hidden), past


class VoiceMemory(nn.Module):
    """How this voice makes its sounds: for each kind of sound the mean of what was heard of it, the last ten seconds
    most of all, told to whatever sounds like that kind now.

    What one voice's /n/ sounds like may be another's /m/. The means are weighted by how likely each feature is of the
    kind, and shrunk to zero until a tenth of a second of it was heard.
    """

    def __init__(self, width: int, kinds: int = 8, size: int = 24) -> None:
        super().__init__()
        self.kinds, self.size = kinds, size
        self.norm = ChannelNorm(width)
        self.kind = nn.Conv1d(width, kinds, 1)
        self.value = nn.Conv1d(width, size, 1)
        self.tell = nn.Conv1d(kinds * size, width, 1)
        with torch.no_grad():  # says little at first
            self.tell.weight.mul_(0.2)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`x` ``(B, width, n)`` after `past` ``(B, kinds, size + 1)``, weighted sums and, last, the sum of the weights:
        what follows `x`, the kinds' logits ``(B, kinds, n)`` and the next `past`."""
        heard = self.norm(x)
        logits, values = self.kind(heard), self.value(heard)
        with torch.autocast(x.device.type, enabled=False):  # sums over seconds need more than half precision
            weights = torch.softmax(logits.float(), dim=1)
            counted = torch.cat([values.float(), torch.ones_like(values[:, :1], dtype=torch.float32)], dim=1)
            told = []
            for some, what in zip(weights.split(_SPAN, dim=2), counted.split(_SPAN, dim=2), strict=True):
                sums = _faded_sums(some[:, :, None] * what[:, None], past)
                past = sums[..., -1]
                means = sums[:, :, :-1] / (sums[:, :, -1:] + _SHRINKAGE)
                told.append((means * some[:, :, None]).flatten(1, 2))
        return x + self.tell(torch.cat(told, dim=2)), logits, past


class NasalDoubt(nn.Module):
    """How far a voice's /m/ is to be believed, by how much oftener it seems to say one than languages do.

    Noses differ, and of a stranger's all /n/ may sound like /m/, or the other way. How often the lips close for a
    nasal after a vowel hardly differs between languages, so that the share of /m/ among those heard of late tells, and
    by how much: a classifier's outputs are brought to priors that are known (Saerens et al. 2002).
    """

    def __init__(self, width: int, views: int = len(LOOKAHEAD_FRAMES), counted: int = 1) -> None:
        """`views`: how many heads ask about a frame of theirs; what the one numbered `counted` hears is counted."""
        super().__init__()
        self.views, self.counted = views, counted
        self.hum = nn.Linear(width, views * HUMS)
        with torch.no_grad():  # hears no nasals before it has learned
            self.hum.weight.zero_()
            self.hum.bias.copy_(torch.tensor([0.0, 0.0, 15.0]).repeat(views))

    def logits(self, features: Tensor) -> Tensor:
        """Of what each view hears: ``(B, n, views, HUMS)`` from ``(B, n, width)``."""
        return self.hum(features).unflatten(2, (self.views, HUMS))

    def forward(self, features: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """What to take off the logit of a closure, for each view ``(B, n, views)``, from features ``(B, n, width)``
        after `past` ``(B, 2, 1)``: how often /m/ and other nasals were heard. Returns the next `past` too."""
        with torch.autocast(features.device.type, enabled=False):
            heard = torch.softmax(self.logits(features.float()), dim=3)
            sums, before = [], past[:, :, 0]
            for some in heard[:, :, self.counted, :2].transpose(1, 2).split(_SPAN, dim=2):
                sums.append(_faded_sums(some, before, _HUMS_HALVED))
                before = sums[-1][..., -1]
            m, other = torch.cat(sums, dim=2).unbind(dim=1)
            odds = (m + _HUMS_SHRINKAGE * _M_SHARE) / (other + _HUMS_SHRINKAGE * (1 - _M_SHARE))
            excess = torch.log(odds) - math.log(_M_SHARE / (1 - _M_SHARE))
            doubt = _DOUBT * (excess - excess.clamp(-_LANGUAGES, _LANGUAGES))
            nasal = heard[..., 0] + heard[..., 1]
            return nasal * doubt.clamp(_LEAST_DOUBT, _GREATEST_DOUBT)[:, :, None], before[:, :, None]


def _faded_sums(x: Tensor, past: Tensor, halved: float = _HALVED) -> Tensor:
    """Sums along the last axis of `x` ``(..., n)`` in which all that is older, `past` ``(...)`` too, counts less."""
    steps = torch.arange(int(x.shape[-1]), dtype=torch.float32, device=x.device)
    age = steps - steps[:, None]
    fading = torch.where(age >= 0, torch.exp2(age.clamp(min=0) / -halved), torch.zeros_like(age))
    lost = 1 - torch.exp2((steps + 1) / -halved)  # by itself: rounding to half precision hardly touches the rest
    return x @ fading - past[..., None] * lost + past[..., None]


class CompactAudio(nn.Module):
    """Streaming audio features.

    `pcm` float32 ``(B, n * 320)``, full scale 1, 16 kHz -> features ``(B, n, width)``, each followed by what is to be
    taken off the logit of a closure at each lookahead: ``(B, n, size)``. The state is a list of tensors, all zero at
    the start, which is also digital silence: a whole recording is one long step.
    """

    def __init__(
        self,
        width: int = 192,
        dilations: Sequence[int] = (1, 2, 4, 8, 1, 2, 4, 1, 2, 4, 8, 1),
        expansion: int = 3,
        bands: int = 64,
    ) -> None:
        super().__init__()
        self.width = width
        self.spectrum = LogMel(bands)
        self.first = CausalConv(bands, width, 3)
        self.first_norm = ChannelNorm(width)
        self.halve = CausalConv(width, width, 4, stride=2)
        self.halve_norm = ChannelNorm(width)
        self.blocks = nn.ModuleList([Block(width, dilation, expansion) for dilation in dilations])
        self.memory_after = min(8, len(dilations))  # blocks: the others make something of what it tells
        self.memory = VoiceMemory(width)
        self.last_norm = ChannelNorm(width)
        self.doubt = NasalDoubt(width)
        self.size = width + self.doubt.views

    def state_shapes(self) -> list[tuple[int, int]]:
        """Channels and length of every state."""
        convolutions = [self.first, self.halve, *(block.depthwise for block in self.blocks)]
        shapes = [(1, _WINDOW - _HOP)]
        for convolution in convolutions:
            assert isinstance(convolution, CausalConv)
            shapes.append((convolution.channels, convolution.context))
        return [*shapes, (self.memory.kinds, self.memory.size + 1), (HUMS - 1, 1)]

    def start(self, batch: int = 1) -> list[Tensor]:
        """The state before the first sample: zeros on the device of the weights."""
        return [self.last_norm.gain.new_zeros(batch, *shape) for shape in self.state_shapes()]

    def forward(self, pcm: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Features with their doubts, followed by the next state."""
        samples, *rest, hums = state
        mel, samples = self.spectrum(pcm, samples)
        features, _, *rest = self.encode(mel, *rest)
        doubt, hums = self.doubt(features, hums)
        return torch.cat([features, doubt], dim=2), samples, *rest, hums

    def encode(self, mel: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """What follows the spectrum ``(B, bands, 2 n)``: features, logits of the kinds of sound ``(B, kinds, n)``, and
        the state without the spectrum's and the nasals'."""
        first, halve, *rest, memory = state
        x, first = self.first(mel, first)
        x, halve = self.halve(F.silu(self.first_norm(x)), halve)
        x = F.silu(self.halve_norm(x))
        blocks = []
        for count, (block, past) in enumerate(zip(self.blocks, rest, strict=True), start=1):
            x, past = block(x, past)
            blocks.append(past)
            if count == self.memory_after:
                x, kinds, memory = self.memory(x, memory)
        return self.last_norm(x).transpose(1, 2), kinds, first, halve, *blocks, memory


def grown(small: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a smaller network as those of a larger one, such as `like`, that says the same.

    Blocks, hidden channels, a memory and doubts that `small` lacks are those of `like`, but nothing comes out of them,
    if `like` has not learned. Raises ValueError if `small` is no smaller network of this kind.
    """
    if small.keys() - like.keys():
        raise ValueError(f"weights of another network: {', '.join(sorted(small.keys() - like.keys()))}")
    result = {}
    for name, weight in like.items():
        result[name] = torch.zeros_like(weight) if ".narrow." in name or ".tell." in name else weight.clone()
        if name in small:
            if any(old > new for old, new in zip(small[name].shape, weight.shape, strict=True)):
                raise ValueError(f"{name} {tuple(small[name].shape)} does not fit into {tuple(weight.shape)}")
            result[name][tuple(map(slice, small[name].shape))] = small[name].to(weight.dtype)
    return result
