"""Other speakers for the same spectra, anew in every batch: formants moved along the mel axis, bands that are missing.

Warping the axis is vocal tract length normalisation turned round (Jaitly & Hinton 2013); masking bands is SpecAugment's
(Park et al. 2019). A network that hears a sound only as one voice makes it confuses /n/ and /m/ in the next.
"""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from engines.expression import FloatArray

_KNOTS_HZ: Final = (0.0, 700.0, 1500.0, 2600.0, 8000.0)
_WARPED, _MASKED = 0.7, 0.4
"""Shares of the items."""


def _sources(rng: np.random.Generator, centres_hz: FloatArray) -> FloatArray:
    """Where each band is read, in bands: a tract up to 16 % longer or shorter, and not quite uniformly so."""
    size = rng.uniform(-0.15, 0.15) + rng.normal(0, 0.05, len(_KNOTS_HZ))
    read = centres_hz * np.exp(-np.interp(centres_hz, _KNOTS_HZ, size))
    return np.interp(read, centres_hz, np.arange(len(centres_hz))).astype(np.float32)


def disguised(rng: np.random.Generator, mel: Tensor, centres_hz: FloatArray) -> Tensor:
    """Log-mel spectra ``(B, bands, n)`` whose bands lie at `centres_hz` ``(bands,)``, as of other speakers."""
    items, bands, _ = mel.shape
    sources, kept = np.tile(np.arange(bands, dtype=np.float32), (items, 1)), np.ones((items, bands), np.float32)
    for item in range(items):
        if rng.random() < _WARPED:
            sources[item] = _sources(rng, centres_hz)
        if rng.random() < _MASKED:
            for _ in range(int(rng.integers(1, 3))):
                first = int(rng.integers(bands))
                kept[item, first : first + int(rng.integers(1, 9))] = 0.0
    below = np.minimum(sources.astype(np.int64), bands - 2)
    share = torch.from_numpy((sources - below).astype(np.float32))[:, :, None]
    index = torch.from_numpy(below)[:, :, None].expand_as(mel)
    moved = torch.lerp(mel.gather(1, index), mel.gather(1, index + 1), share)
    return moved * torch.from_numpy(kept)[:, :, None]
