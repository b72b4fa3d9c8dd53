"""48 kHz to 16 kHz as a stream: what the ear of the networks hears of the caller's voice."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from engines.media import MEDIA_RATE, SPEECH_RATE

_FACTOR: Final = MEDIA_RATE // SPEECH_RATE
_TAPS: Final = 96
RESAMPLER_DELAY: Final = ((_TAPS - 1) / 2 - (_FACTOR - 1)) / MEDIA_RATE
"""Seconds by which the output lags: 1 ms."""


def _lowpass() -> NDArray[np.float32]:
    # Windowed sinc: flat to 6.8 kHz, 60 dB down from 8 kHz + 0.5 kHz on, where folding would begin to be heard.
    time = np.arange(_TAPS) - (_TAPS - 1) / 2
    taps = np.sinc(time * 2 * 7_500 / MEDIA_RATE) * np.kaiser(_TAPS, 6.0)
    return (taps / taps.sum()).astype(np.float32)


_FILTER: Final = _lowpass()


@dataclass(frozen=True, slots=True)
class ResamplerState:
    """The last samples heard, float32 ``(93,)``; all zeros at the start."""

    tail: NDArray[np.float32] = field(default_factory=lambda: np.zeros(_TAPS - _FACTOR, np.float32))


def resample(pcm: NDArray[np.int16], state: ResamplerState) -> tuple[NDArray[np.int16], ResamplerState]:
    """``(3 n,)`` samples at 48 kHz to ``(n,)`` at 16 kHz. Chunk by chunk gives what the whole would give.

    Raises `ValueError` unless the length is a multiple of 3.
    """
    if len(pcm) % _FACTOR:
        raise ValueError(f"{len(pcm)} samples are not a multiple of {_FACTOR}: push whole 16 kHz samples")
    heard = np.concatenate([state.tail, pcm.astype(np.float32)])
    windows = sliding_window_view(heard, _TAPS)[::_FACTOR]
    low = np.clip(np.rint(windows @ _FILTER), -32768, 32767).astype(np.int16)
    return low, ResamplerState(heard[len(heard) - (_TAPS - _FACTOR) :])
