import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.resampler import RESAMPLER_DELAY, ResamplerState, resample


def stream(pcm: NDArray[np.int16], size: int) -> NDArray[np.int16]:
    state, parts = ResamplerState(), []
    for start in range(0, len(pcm), size):
        part, state = resample(pcm[start : start + size], state)
        parts.append(part)
    return np.concatenate(parts)


def sine(frequency: float, seconds: float = 0.5) -> NDArray[np.int16]:
    return (10000 * np.sin(2 * np.pi * frequency * np.arange(round(48000 * seconds)) / 48000)).astype(np.int16)


@pytest.mark.parametrize("size", [3, 300, 960, 24000])
def test_chunked_equals_whole(size: int) -> None:
    pcm = np.random.default_rng(0).integers(-20000, 20000, 24000).astype(np.int16)
    assert np.abs(stream(pcm, size).astype(int) - stream(pcm, 24000)).max() <= 1


def test_speech_passes_with_the_stated_delay() -> None:
    low = stream(sine(440), 960)[160:]
    time = np.arange(160, 160 + len(low)) / 16000 - RESAMPLER_DELAY
    assert np.abs(low - 10000 * np.sin(2 * np.pi * 440 * time)).max() < 60


def test_what_would_fold_is_removed() -> None:
    kept = np.abs(stream(sine(6500), 960)[160:]).max()
    folded = np.abs(stream(sine(9500), 960)[160:]).max()
    assert kept > 9500
    assert folded < 20


def test_odd_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 3"):
        resample(np.zeros(100, np.int16), ResamplerState())


def test_full_scale_does_not_wrap() -> None:
    square = np.where(sine(500) > 0, 32767, -32768).astype(np.int16)
    low = stream(square, 960)
    assert low.max() == 32767 and low.min() == -32768
