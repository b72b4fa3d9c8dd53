"""HuBERT (arXiv 2106.07447) and wav2vec 2.0 (arXiv 2006.11477): 16 kHz speech to 50 features a second, as published for
`transformers`. Parameters are named as there, so that they load unchanged; sizes come from the `config.json` beside.

The front end, seven convolutions, is a network of its own: each of its outputs depends on 400 samples only (but for the
variant with group norm, which looks at all it is given), so that a stream may keep them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from networks.attention import Attention

SAMPLES_PER_FEATURE: Final = 320
FIELD: Final = 400
"""Samples that one output of the front end depends on; the next one begins 320 later."""
KINDS: Final = ("hubert", "wav2vec2")
_NORM: Final = "parametrizations.weight.original"
_UNSUPPORTED: Final = {"conv_pos_batch_norm": False, "add_adapter": False, "hidden_act": "gelu"} | {
    "feat_extract_activation": "gelu",
    "adapter_attn_dim": None,
}
"""What other values of these would ask for is not in any checkpoint we know."""
LARGE: Final[dict[str, Any]] = {
    "model_type": "hubert",
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "conv_dim": [512] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "conv_bias": True,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
}
BASE: Final[dict[str, Any]] = LARGE | {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "conv_bias": False,
    "feat_extract_norm": "group",
    "do_stable_layer_norm": False,
}
"""What matters of the published `config.json` of HuBERT-large and HuBERT-base."""


@dataclass(frozen=True, slots=True)
class SpeechConfig:
    """Sizes of one checkpoint."""

    width: int
    layers: int
    heads: int
    hidden: int
    """Of the feed-forward layers."""
    channels: tuple[int, ...]
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    front_bias: bool
    front_norm: Literal["group", "layer"]
    """Group norm, over all of the time there is, behind the first convolution; or layer norm behind each."""
    projection_norm: bool
    norm_first: bool
    """Whether the transformer's layers normalise what goes in (the large models) or what comes out (the base ones)."""
    epsilon: float
    position_kernel: int
    position_groups: int
    normalised: bool
    """Whether it was trained on speech of mean 0 and variance 1."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "SpeechConfig":
        """From a `config.json`, and what a `preprocessor_config.json` adds to it.

        Raises ValueError for another kind of network, or an unknown part.
        """
        if (kind := config.get("model_type")) not in KINDS:
            raise ValueError(f"config.json is about {kind!r}, not one of {', '.join(KINDS)}")
        if other := [f"{key} {config[key]!r}" for key, only in _UNSUPPORTED.items() if config.get(key, only) != only]:
            raise ValueError(f"config.json asks for what is not supported: {', '.join(other)}")
        made = cls(
            width=config["hidden_size"],
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            hidden=config["intermediate_size"],
            channels=tuple(config["conv_dim"]),
            kernels=tuple(config["conv_kernel"]),
            strides=tuple(config["conv_stride"]),
            front_bias=config["conv_bias"],
            front_norm=config["feat_extract_norm"],
            projection_norm=config.get("feat_proj_layer_norm", True),
            norm_first=config["do_stable_layer_norm"],
            epsilon=config.get("layer_norm_eps", 1e-5),
            position_kernel=config["num_conv_pos_embeddings"],
            position_groups=config["num_conv_pos_embedding_groups"],
            normalised=config.get("do_normalize", True),
        )
        field, stride = 1, 1
        for kernel, step in zip(made.kernels, made.strides, strict=True):
            field, stride = field + (kernel - 1) * stride, stride * step
        if (field, stride) != (FIELD, SAMPLES_PER_FEATURE):
            raise ValueError(f"its features span {field} samples every {stride}, not {FIELD} every 320")
        return made


class _FrontLayer(nn.Module):
    def __init__(self, config: SpeechConfig, index: int) -> None:
        super().__init__()
        channels = config.channels[index]
        before = config.channels[index - 1] if index else 1
        self.conv = nn.Conv1d(before, channels, config.kernels[index], config.strides[index], bias=config.front_bias)
        self.over_time = config.front_norm == "group"
        if not self.over_time:
            self.layer_norm: nn.Module = nn.LayerNorm(channels)
        elif index == 0:
            self.layer_norm = nn.GroupNorm(channels, channels)
        else:
            self.layer_norm = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = self.layer_norm(x) if self.over_time else self.layer_norm(x.transpose(1, 2)).transpose(1, 2)
        return F.gelu(x)


class FrontEnd(nn.Module):
    """Normalised speech (B, S) -> (B, (S - 80) // 320, channels)."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.conv_layers = nn.Sequential(*(_FrontLayer(config, index) for index in range(len(config.channels))))

    def forward(self, pcm: Tensor) -> Tensor:
        channels_first: Tensor = self.conv_layers(pcm[:, None])
        return channels_first.transpose(1, 2)


class _Projection(nn.Module):
    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        channels = config.channels[-1]
        self.layer_norm = nn.LayerNorm(channels, config.epsilon) if config.projection_norm else nn.Identity()
        self.projection = nn.Linear(channels, config.width)

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.projection(self.layer_norm(x))
        return projected


class WeightNormConv1d(nn.Conv1d):
    """A convolution trained as direction and length of its taps (arXiv 1602.07868), multiplied out when loaded."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for length, direction in (("weight_g", "weight_v"), (f"{_NORM}0", f"{_NORM}1")):
            if prefix + length in state_dict:
                g, v = state_dict.pop(prefix + length), state_dict.pop(prefix + direction)
                state_dict[f"{prefix}weight"] = g * v / v.norm(dim=(0, 1), keepdim=True)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class _Positions(nn.Module):
    """What the neighbourhood says about where one is: a wide convolution instead of position codes."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        kernel = config.position_kernel
        self.conv = WeightNormConv1d(
            config.width, config.width, kernel, padding=kernel // 2, groups=config.position_groups
        )
        self.surplus = 1 - kernel % 2

    def forward(self, x: Tensor) -> Tensor:
        near = self.conv(x.transpose(1, 2))
        return F.gelu(near[..., : near.shape[-1] - self.surplus]).transpose(1, 2)


class _FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.intermediate_dense, self.output_dense = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.output_dense(F.gelu(self.intermediate_dense(x)))
        return out


class _Layer(nn.Module):
    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.norm_first = config.norm_first
        self.attention = Attention(config.width, config.heads)
        self.layer_norm = nn.LayerNorm(config.width, config.epsilon)
        self.feed_forward = _FeedForward(config.width, config.hidden)
        self.final_layer_norm = nn.LayerNorm(config.width, config.epsilon)

    def forward(self, x: Tensor) -> Tensor:
        if self.norm_first:
            x = x + self.attention(self.layer_norm(x))
            return x + self.feed_forward(self.final_layer_norm(x))
        x = self.layer_norm(x + self.attention(x))
        normal: Tensor = self.final_layer_norm(x + self.feed_forward(x))
        return normal


class _Transformer(nn.Module):
    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.norm_first = config.norm_first
        self.pos_conv_embed = _Positions(config)
        self.layer_norm = nn.LayerNorm(config.width, config.epsilon)
        self.layers = nn.Sequential(*(_Layer(config) for _ in range(config.layers)))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_conv_embed(x)
        x = self.layers(x) if self.norm_first else self.layers(self.layer_norm(x))
        return self.layer_norm(x) if self.norm_first else x


class Hubert(nn.Module):
    """Speech (B, S), full scale 1, normalised to mean 0 and variance 1 -> features (B, (S - 80) // 320, width)."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.config = config
        self.feature_extractor = FrontEnd(config)
        self.feature_projection = _Projection(config)
        self.encoder = _Transformer(config)

    def forward(self, pcm: Tensor) -> Tensor:
        return self.encode(self.feature_extractor(pcm))

    def encode(self, heard: Tensor) -> Tensor:
        """What the front end made of a window, (B, T, channels) -> features (B, T, width)."""
        features: Tensor = self.encoder(self.feature_projection(heard))
        return features


class HubertEncoder(nn.Module):
    """All but the front end, to export: (B, T, channels) -> (B, T, width)."""

    def __init__(self, whole: Hubert) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, heard: Tensor) -> Tensor:
        return self.whole.encode(heard)


def bare_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's part of a checkpoint, as it is called within: without the name of the kind of network before it,
    and without heads for training or for letters."""
    prefixes = tuple(f"{kind}." for kind in KINDS)
    if any(name.startswith(prefixes) for name in state):
        state = {name.partition(".")[2]: value for name, value in state.items() if name.startswith(prefixes)}
    ours = ("feature_extractor.", "feature_projection.", "encoder.")
    return {name: value for name, value in state.items() if name.startswith(ours)}


def normalised(pcm: Tensor) -> Tensor:
    """A whole utterance (B, S) at mean 0 and variance 1, as the published networks were trained."""
    mean, variance = pcm.mean(1, keepdim=True), pcm.var(1, keepdim=True, unbiased=False)
    return (pcm - mean) / torch.sqrt(variance + 1e-7)
