"""Other speakers for the same spectra, anew in every batch: a network that hears a sound only as one voice makes it
confuses /n/ and /m/ in the next.

Formants move along the mel axis, as vocal tract length normalisation turned round (Jaitly & Hinton 2013), and every
sound has its own place and colour in each speaker's mouth. Bands take over the mean and the spread of another item's
(MixStyle, Zhou et al. 2021, on frequencies). Peaks grow sharper or flatter, transitions crisper or smoother: what tells
recordings, diphones and statistical voices apart. Bands go missing (SpecAugment, Park et al. 2019).
"""

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from engines.expression import FloatArray
from training.speech.phonemes import NASALS, SILENCE, SYMBOL_INDEX, SYMBOLS

_KNOTS_HZ: Final = (0.0, 700.0, 1500.0, 2600.0, 8000.0)
_COLOURS: Final = 7
_COLOUR: Final = 0.13
"""How much the sounds differ at so many places of the spectrum, in units of `LogMel`: 2 dB."""
_NOSE: Final = 0.3
"""How much noses differ, which all nasals of a speaker share: 5 dB. What tells /m/ from /n/ in everybody is the vowel's
way into it and out of it."""
_HUMS: Final = [SYMBOL_INDEX[symbol] for symbol in "m" + NASALS]
_FAINT: Final = 0.15
"""A band as loud as this takes half of the colour, one of silence none."""
_KNOTS_CEPSTRUM: Final = (0.0, 2.0, 7.0, 16.0, 64.0)
_CONTRASTS: Final = (0.0, 0.12, 0.18, 0.22, 0.3)
"""Deviation of the logarithm of each gain: level, tilt, formants, their detail, the pitch's harmonics."""
_GLIDE: Final = np.array([1, 2, 3, 2, 1], np.float32) / 9
"""A blur of 50 ms."""
_WARPED, _COLOURED, _MIXED, _SHAPED, _PACED, _MASKED = 0.7, 0.6, 0.3, 0.5, 0.4, 0.3
"""Shares of the items."""


def _sources(centres_hz: FloatArray, size: FloatArray) -> FloatArray:
    """Where each band is read, in bands, by a tract longer by `size` (in logarithms) at the knots."""
    read = centres_hz * np.exp(-np.interp(centres_hz, _KNOTS_HZ, size))
    return np.interp(read, centres_hz, np.arange(len(centres_hz))).astype(np.float32)


def _warps(rng: np.random.Generator, centres_hz: FloatArray, sounds: NDArray[np.int64]) -> FloatArray:
    """Where each band is read, in bands ``(bands, 2 n)``: a tract up to 16 % longer or shorter, not quite uniformly so,
    and not quite the same for each of the `sounds` ``(n,)``."""
    one = (rng.uniform(-0.15, 0.15) + rng.normal(0, 0.05, len(_KNOTS_HZ))).astype(np.float32)
    other = one + rng.normal(0, 0.05, len(_KNOTS_HZ)).astype(np.float32)
    path = np.repeat(rng.random(len(SYMBOLS))[sounds], 2)
    share = np.convolve(np.pad(path, 2, mode="edge"), _GLIDE, mode="valid").astype(np.float32)
    first, last = _sources(centres_hz, one)[:, None], _sources(centres_hz, other)[:, None]
    return first + (last - first) * share


def _moved(mel: Tensor, sources: Tensor) -> Tensor:
    below = sources.long().clamp(max=mel.shape[1] - 2)
    return torch.lerp(mel.gather(1, below), mel.gather(1, below + 1), sources - below)


def _coloured(rng: np.random.Generator, mel: Tensor, sounds: NDArray[np.int64]) -> Tensor:
    """Some items with an equaliser for each of their `sounds` ``(B, n)``, and one for the nose."""
    items, bands, _ = mel.shape
    gains = rng.normal(0, _COLOUR, (items, len(SYMBOLS), _COLOURS))
    gains[:, _HUMS] += rng.normal(0, _NOSE, (items, 1, _COLOURS))
    gains *= rng.random((items, 1, 1)) < _COLOURED
    gains[:, SYMBOL_INDEX[SILENCE]] = 0
    heard = torch.from_numpy(gains.astype(np.float32)[np.arange(items)[:, None], sounds]).transpose(1, 2)
    steps = F.pad(heard.repeat_interleave(2, dim=2), (2, 2), mode="replicate").reshape(items * _COLOURS, 1, -1)
    glides = F.conv1d(steps, torch.from_numpy(_GLIDE)[None, None]).reshape(items, _COLOURS, -1)
    places = np.linspace(0, _COLOURS - 1, bands)
    spread = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(_COLOURS))).astype(np.float32)
    return mel + torch.from_numpy(spread) @ glides * (mel / (mel + _FAINT))


def _mixed(rng: np.random.Generator, mel: Tensor) -> Tensor:
    """Some items with the mean and the deviation of each band on the way to those of another item."""
    items = len(mel)
    share = rng.beta(0.6, 0.6, items) * (rng.random(items) < _MIXED)
    toward = torch.from_numpy(share.astype(np.float32))[:, None, None]
    deviation, mean = torch.std_mean(mel, dim=2, keepdim=True)
    other = torch.from_numpy(rng.permutation(items))
    gain = torch.lerp(torch.ones_like(deviation), ((deviation[other] + 0.05) / (deviation + 0.05)), toward)
    return (mel - mean) * gain.clamp(0.6, 1.6) + torch.lerp(mean, mean[other], toward)


def _cosines(bands: int) -> Tensor:
    """The orthonormal cosines of a cepstrum (DCT-II): ``(bands, bands)``, a row for each quefrency."""
    row, column = torch.arange(bands)[:, None], torch.arange(bands)
    cosines = torch.cos(torch.pi / bands * row * (column + 0.5)) * (2 / bands) ** 0.5
    cosines[0] *= 0.5**0.5
    return cosines


def _shaped(rng: np.random.Generator, mel: Tensor) -> Tensor:
    """Some items with formants, detail and harmonics sharper or flatter."""
    items, bands, _ = mel.shape
    knots = rng.standard_normal((items, len(_CONTRASTS))) * _CONTRASTS * (rng.random((items, 1)) < _SHAPED)
    gains = np.exp([np.interp(np.arange(bands), _KNOTS_CEPSTRUM, curve) for curve in knots]).astype(np.float32)
    cosines = _cosines(bands)
    return (cosines.T @ (torch.from_numpy(gains)[:, :, None] * cosines)) @ mel


def _paced(rng: np.random.Generator, mel: Tensor) -> Tensor:
    """Some items with transitions crisper or smoother, by what the blur takes away."""
    items, bands, frames = mel.shape
    amount = rng.uniform(-0.8, 0.7, items) * (rng.random(items) < _PACED)
    edges = F.pad(mel.reshape(-1, 1, frames), (2, 2), mode="replicate")
    smooth = F.conv1d(edges, torch.from_numpy(_GLIDE)[None, None]).reshape(items, bands, frames)
    return mel + torch.from_numpy(amount.astype(np.float32))[:, None, None] * (mel - smooth)


@torch.autocast("cpu", enabled=False)
def disguised(rng: np.random.Generator, mel: Tensor, centres_hz: FloatArray, sounds: NDArray[np.int64]) -> Tensor:
    """Log-mel spectra ``(B, bands, 2 n)``, 0 or more, whose bands lie at `centres_hz` ``(bands,)``, as of others who
    say the same `sounds` ``(B, n)``, which are indices of `SYMBOLS`."""
    items, bands, frames = mel.shape
    sources = np.tile(np.arange(bands, dtype=np.float32)[None, :, None], (items, 1, frames))
    kept = np.ones((items, bands), np.float32)
    for item in range(items):
        if rng.random() < _WARPED:
            sources[item] = _warps(rng, centres_hz, sounds[item])
        if rng.random() < _MASKED:
            for _ in range(int(rng.integers(1, 3))):
                first = int(rng.integers(bands))
                kept[item, first : first + int(rng.integers(1, 9))] = 0.0
    heard = _coloured(rng, _moved(mel, torch.from_numpy(sources)), sounds)
    heard = _paced(rng, _shaped(rng, _mixed(rng, heard)))
    return F.relu(heard) * torch.from_numpy(kept)[:, :, None]
