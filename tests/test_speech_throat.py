import numpy as np
import pytest

pytest.importorskip("soundfile", reason="training needs soundfile: pip install visavis[train]")

from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.media import SPEECH_RATE
from training.speech.throat import breathiness, revoiced, warp

BINS = np.arange(257.0)
NO_NOISE = np.zeros(257)


def vowel(pitch: float = 120.0, formant: float = 1200.0) -> FloatArray:
    """One second of harmonics of `pitch` under one formant (Hz)."""
    time = np.arange(SPEECH_RATE) / SPEECH_RATE
    numbers = np.arange(1, int(7000 / pitch))
    gains = 1 / (1 + ((numbers * pitch - formant) / 200) ** 2)
    sound = (np.sin(2 * np.pi * pitch * numbers[:, None] * time) * gains[:, None]).sum(axis=0)
    return (0.07 * sound / sound.std()).astype(np.float32)


def spectrum(sound: FloatArray) -> NDArray[np.float64]:
    return np.abs(np.fft.rfft(sound.astype(np.float64)))


def test_the_same_throat_says_the_same() -> None:
    sound = vowel()
    np.testing.assert_allclose(revoiced(np.random.default_rng(0), sound, BINS, NO_NOISE), sound, atol=1e-5)


@pytest.mark.parametrize("scale", [0.85, 1.18])
def test_formants_move_and_the_pitch_stays(scale: float) -> None:
    sound = vowel()
    moved = revoiced(np.random.default_rng(0), sound, np.clip(BINS / scale, 0, 256), NO_NOISE)
    power = spectrum(moved)
    hertz = np.arange(len(power))
    centre = (power**2 * hertz).sum() / (power**2).sum()
    before = (spectrum(sound) ** 2 * hertz).sum() / (spectrum(sound) ** 2).sum()
    assert centre / before == pytest.approx(scale, rel=0.08)
    peaks = hertz[power > 0.2 * power.max()]
    assert len(peaks) > 2 and np.all(np.minimum(peaks % 120, 120 - peaks % 120) <= 1), "harmonics of 120 Hz"


def test_a_whisper_has_no_pitch() -> None:
    whisper = revoiced(np.random.default_rng(0), vowel(), BINS, np.ones(257))
    power = spectrum(whisper)[600:1800]
    assert power[np.arange(600, 1800) % 120 == 0].mean() < 2 * power.mean()
    assert 0.01 < whisper.std() < 0.14


def test_throats_and_breath_stay_in_range_and_follow_the_seed() -> None:
    for seed in range(50):
        source, noise = warp(np.random.default_rng(seed)), breathiness(np.random.default_rng(seed))
        assert source.shape == noise.shape == (257,)
        assert source.min() >= 0 and source.max() <= 256 and noise.min() >= 0 and noise.max() <= 1
        np.testing.assert_array_equal(source, warp(np.random.default_rng(seed)))
