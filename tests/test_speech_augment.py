import numpy as np
import pytest

from engines.expression import FloatArray
from engines.media import SPEECH_RATE
from training.speech import augment


def buzz(seconds: float = 1.0, rate: int = SPEECH_RATE) -> FloatArray:
    """A voice-like sound: harmonics of 120 Hz, 0.07 RMS, that come and go."""
    time = np.arange(int(seconds * rate)) / rate
    sound = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20)) * (1 + np.sin(2 * np.pi * 3 * time))
    return (sound / sound.std() * 0.07).astype(np.float32)


def alignment(one: FloatArray, other: FloatArray) -> int:
    """Samples by which `other` lags behind `one`."""
    spectrum = np.fft.rfft(other, 2 * len(one)) * np.conj(np.fft.rfft(one, 2 * len(one)))
    lag = int(np.argmax(np.fft.irfft(spectrum)))
    return lag if lag < len(one) else lag - 2 * len(one)


def test_resampling_keeps_seconds_and_a_pretended_rate_scales_them() -> None:
    voice = buzz(rate=22_050)
    assert len(augment.resampled(voice, 22_050)) == pytest.approx(SPEECH_RATE, rel=1e-3)
    assert len(augment.resampled(voice, 22_050 * 1.1)) == pytest.approx(SPEECH_RATE / 1.1, rel=1e-3)


@pytest.mark.parametrize(
    "line", [augment.telephone, lambda voice: augment.opus(voice, 24_000)], ids=["telephone", "opus"]
)
def test_lines_keep_time_and_voice(line: "object") -> None:
    assert callable(line)
    rng = np.random.default_rng(0)
    voice = (buzz() * np.repeat(rng.random(50), 320)).astype(np.float32)
    heard = line(voice)
    assert heard.shape == voice.shape and heard.dtype == np.float32
    assert abs(alignment(voice, heard)) <= 16
    assert np.abs(heard - voice).max() > 1e-4
    assert np.corrcoef(np.abs(heard), np.abs(voice))[0, 1] > 0.7


def test_a_room_adds_a_tail_and_keeps_the_onset() -> None:
    click = np.zeros(SPEECH_RATE, np.float32)
    click[1000] = 1.0
    heard = augment.room(np.random.default_rng(0), click)
    assert np.abs(heard[:990]).max() < 1e-5 and heard[1000] == pytest.approx(1.0, abs=1e-4)
    assert np.abs(heard[1100:3000]).max() > 1e-3


def test_some_of_a_batch_is_heard_in_a_room() -> None:
    batch = np.tile(buzz(0.2), (60, 1))
    heard = augment.rooms(np.random.default_rng(0), batch)
    moved = np.abs(heard - batch).max(axis=1) > 1e-3
    assert heard.dtype == np.float32 and 0.15 < moved.mean() < 0.45


def test_microphones_differ_in_level_and_band() -> None:
    noise = np.random.default_rng(0).standard_normal((200, 8000)).astype(np.float32) * np.float32(augment.SPEECH_LEVEL)
    heard = augment.microphone(np.random.default_rng(1), noise)
    level = 20 * np.log10(heard.std(axis=1))
    assert level.min() < -38 and level.max() > -15 and -30 < np.median(level) < -22
    power = np.abs(np.fft.rfft(heard)) ** 2
    highs = power[:, 3800:].mean(axis=1) / power[:, 500:1500].mean(axis=1)  # above 7.6 kHz, beside 1 to 3 kHz
    lows = power[:, 5:20].mean(axis=1) / power[:, 500:1500].mean(axis=1)  # 10 to 40 Hz
    assert 0.05 < (highs < 0.01).mean() < 0.25 and 0.1 < (lows < 0.03).mean() < 0.5


def test_the_same_seed_sounds_the_same() -> None:
    batch = np.stack([buzz(), buzz()])
    for effect, sound in (
        (augment.microphone, batch), (augment.narrowed, batch[0]), (augment.overdriven, batch[0]),
    ):  # fmt: skip
        first, second, other = (effect(np.random.default_rng(seed), sound) for seed in (5, 5, 6))
        np.testing.assert_array_equal(first, second)
        assert first.dtype == np.float32 and np.abs(first - other).max() > 1e-3


def test_an_overdriven_voice_is_as_loud_and_flatter() -> None:
    rng = np.random.default_rng(0)
    heard = [augment.overdriven(rng, buzz()) for _ in range(8)]
    assert all(sound.std() == pytest.approx(buzz().std(), rel=1e-3) for sound in heard)
    assert min(np.abs(sound).max() for sound in heard) < 0.8 * np.abs(buzz()).max()


def test_a_narrow_line_has_no_highs() -> None:
    noise = np.random.default_rng(0).standard_normal(SPEECH_RATE).astype(np.float32)
    power = np.abs(np.fft.rfft(augment.narrowed(np.random.default_rng(1), noise)))
    assert power[7600:].mean() < 0.1 * power[500:3000].mean()
