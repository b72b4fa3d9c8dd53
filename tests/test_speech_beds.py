import numpy as np
import pytest

pytest.importorskip("soundfile", reason="training needs soundfile: pip install visavis[train]")

from engines.media import SPEECH_RATE
from training.speech import beds

LENGTH = 2 * SPEECH_RATE
BEDS = [beds.tones, beds.hum, beds.music, beds.breathing, beds.knocks]


@pytest.mark.parametrize("bed", BEDS, ids=lambda bed: bed.__name__)
def test_a_bed_fills_its_length_and_follows_its_seed(bed: "object") -> None:
    assert callable(bed)
    first, second, other = (bed(np.random.default_rng(seed), LENGTH) for seed in (5, 5, 6))
    assert first.shape == (LENGTH,) and first.dtype == np.float32 and np.isfinite(first).all()
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-3


def test_noise_has_its_level() -> None:
    noise = beds.noise(np.random.default_rng(0), 40, SPEECH_RATE)
    levels = noise.std(axis=1)
    assert levels.min() > 0.3 and levels.max() < 1.1 and noise.dtype == np.float32


def test_tones_and_music_are_as_loud_as_noise() -> None:
    for seed in range(4):
        assert beds.tones(np.random.default_rng(seed), LENGTH).std() == pytest.approx(1, rel=0.01)
        assert beds.music(np.random.default_rng(seed), LENGTH).std() == pytest.approx(1, rel=0.01)


def test_hum_is_mains_and_nothing_above_its_harmonics() -> None:
    power = np.abs(np.fft.rfft(beds.hum(np.random.default_rng(3), LENGTH))) ** 2
    hertz = np.fft.rfftfreq(LENGTH, 1 / SPEECH_RATE)
    assert hertz[power.argmax()] in (50, 60) and power[hertz > 450].sum() < 1e-3 * power.sum()


def test_a_breath_swells_and_dies_away() -> None:
    sound = beds.breath(np.random.default_rng(1))
    assert 0.15 * SPEECH_RATE <= len(sound) <= 0.9 * SPEECH_RATE
    third = len(sound) // 3
    assert sound[third : 2 * third].std() > 1.3 * max(sound[: third // 2].std(), sound[-third // 2 :].std())
