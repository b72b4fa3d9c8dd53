"""Another throat for the same speech: formants move without the pitch, and voice gives way to breath.

Works on the short-time spectrum: the spectral envelope (the cepstrum's low quefrencies) is warped along frequency, as
vocal tract length normalisation does (Lee & Rose 1998), and what excites it can be replaced by noise, up to a whisper.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from engines.expression import FloatArray
from engines.media import SPEECH_RATE

_WINDOW: Final = 512
_HOP: Final = 128
_LIFTER: Final = 30
"""Quefrencies of the envelope: below 1.9 ms, the period of the highest voice."""
_KNOTS_HZ: Final = (0.0, 900.0, 2400.0, 8000.0)


def warp(rng: np.random.Generator) -> NDArray[np.float64]:
    """Where the envelope of each bin is read, in bins: a tract 18 % longer to 18 % shorter, not quite uniformly so."""
    bins = _WINDOW // 2
    size = rng.uniform(-0.18, 0.18) + rng.normal(0, 0.035, len(_KNOTS_HZ))
    frequency = np.linspace(0, SPEECH_RATE / 2, bins + 1)
    source = frequency * np.exp(-np.interp(frequency, _KNOTS_HZ, size))
    return np.clip(source / (SPEECH_RATE / 2) * bins, 0, bins)


def breathiness(rng: np.random.Generator) -> NDArray[np.float64]:
    """Share of noise in the excitation of each bin: none, more with the frequency, or (one in 25) a whisper's."""
    bins = _WINDOW // 2 + 1
    kind = rng.random()
    if kind < 0.04:
        return np.ones(bins)
    if kind < 0.65:
        return np.zeros(bins)
    frequency = np.linspace(0, SPEECH_RATE / 2, bins)
    return rng.uniform(0.1, 0.9) / (1 + np.exp(-(frequency - rng.uniform(500, 5000)) / 600))


def revoiced(
    rng: np.random.Generator, samples: FloatArray, source: NDArray[np.float64], noise: NDArray[np.float64]
) -> FloatArray:
    """`samples` ``(n,)`` with the envelope read at the bins `source` and `noise` of its excitation replaced."""
    window = np.hanning(_WINDOW + 1)[:-1]
    padded = np.pad(samples.astype(np.float64), (_WINDOW, _WINDOW + -len(samples) % _HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    spectrum = fft.rfft(frames * window, axis=1)
    magnitude = np.log(np.abs(spectrum) + 1e-5)
    cepstrum = fft.irfft(magnitude, axis=1)
    cepstrum[:, _LIFTER : _WINDOW - _LIFTER + 1] = 0
    envelope = fft.rfft(cepstrum, axis=1).real
    below = np.minimum(source.astype(int), len(source) - 2)
    share = source - below
    moved = envelope[:, below] * (1 - share) + envelope[:, below + 1] * share
    voiced = spectrum * np.exp(np.clip(moved - envelope, -3.5, 2.5))
    if noise.any():
        loudness = np.exp(moved) * 1.1
        hiss = loudness * (rng.standard_normal(spectrum.shape) + 1j * rng.standard_normal(spectrum.shape)) / np.sqrt(2)
        voiced = voiced * np.sqrt(1 - noise) + hiss * np.sqrt(noise)
    pieces = fft.irfft(voiced, axis=1) * window
    result = np.zeros(len(padded))
    for offset in range(0, _WINDOW, _HOP):  # windows that do not overlap are laid at once
        part = pieces[offset // _HOP :: _WINDOW // _HOP].reshape(-1)
        result[offset : offset + len(part)] += part
    return (result[_WINDOW : _WINDOW + len(samples)] / 1.5).astype(np.float32)
