"""Contracts of HuBERT's two halves for a window of the stream (`engines.hubert`)."""

from collections.abc import Iterator

from torch import nn

from build_trt.contracts import Contract, Tensor
from engines.hubert import Window
from networks.hubert import Hubert, HubertEncoder, SpeechConfig


def front(config: SpeechConfig, window: Window) -> Contract:
    """Per step: normalised speech -> what the front end makes of it. Layer norm: of new samples; group norm: of all."""
    keeps = config.front_norm == "layer"
    pcm = Tensor("pcm", (1, window.front_samples(keeps)), span=(-2, 2))
    features = 2 * (window.present if keeps else window.frames)
    return Contract("hubert_front", (pcm,), (Tensor("heard", (1, features, config.channels[-1])),))


def encoder(config: SpeechConfig, window: Window) -> Contract:
    """Per step: what the front end made of a window -> features of all of it."""
    heard = Tensor("heard", (1, window.features, config.channels[-1]))
    return Contract("hubert_encoder", (heard,), (Tensor("features", (1, window.features, config.width)),))


def hubert(network: Hubert, window: Window) -> Iterator[tuple[Contract, nn.Module]]:
    """Both halves with their contracts."""
    yield front(network.config, window), network.feature_extractor
    yield encoder(network.config, window), HubertEncoder(network)
