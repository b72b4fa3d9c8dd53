import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("soundfile", reason="evaluation needs soundfile: pip install visavis[train]")

from engines.expression import LIP_SIZE, FloatArray
from engines.pipeline import WEIGHTS
from training.evaluate_audio import (
    CLOSE,
    CLOSED,
    JAW,
    Speaker,
    closures_seen,
    conditions,
    correlation,
    disturbances,
    lag,
    motion,
    samples,
    score,
)
from training.speech.dataset import Speech, joined, taught
from training.speech.synthesizers import missing, say


def test_correlation_of_what_never_moves_is_nothing() -> None:
    wave = np.sin(np.arange(50))
    assert correlation(wave, 2 * wave + 1) == pytest.approx(1)
    assert correlation(wave, np.ones(50)) == 0


@pytest.mark.parametrize("late", [-2, 0, 3])
def test_lag_finds_the_shift(late: int) -> None:
    wanted = np.random.default_rng(0).random(200)
    assert lag(np.roll(wanted, late), wanted) == pytest.approx(40 * late, abs=8)


def test_lag_falls_between_frames() -> None:
    time = np.arange(200) / 25
    assert lag(np.sin(7 * (time - 0.012)), np.sin(7 * time)) == pytest.approx(12, abs=2)


def test_closures_are_seen_within_one_frame_and_no_further() -> None:
    close = np.zeros(100, np.float32)
    close[[12, 40, 41]] = 1.0
    seen, false = closures_seen(close, np.array([[10 / 25, 10.5 / 25], [11 / 25, 11.5 / 25], [38.5 / 25, 39.5 / 25]]))
    assert seen == pytest.approx(2 / 3), "frame 12 is two frames after the first closure"
    assert false == 0
    seen, false = closures_seen(close, np.array([[60 / 25, 61 / 25]]))
    assert seen == 0 and false == pytest.approx(2 / 4), "two runs in four seconds"


def as_fraction(lips: NDArray[np.uint8]) -> FloatArray:
    return lips.astype(np.float32) / np.float32(255)


def test_a_perfect_prediction_has_a_perfect_score() -> None:
    rng = np.random.default_rng(0)
    lips = rng.integers(0, 70, (300, LIP_SIZE)).astype(np.uint8)
    lips[100:103, CLOSE] = 255
    speech = Speech(np.zeros(300 * 640, np.int16), lips, np.zeros(600, np.uint8), np.array([[4.0, 4.12]]))
    result = score(as_fraction(lips), speech)
    np.testing.assert_allclose(result.channels, 1, atol=1e-5)
    assert (result.recall, result.false_closures) == (1, 0)
    assert (result.lag, result.amplitude, result.acceleration) == pytest.approx((0, 1, 1), abs=3)
    assert score(as_fraction(np.roll(lips, 1, axis=0)), speech).lag == pytest.approx(40, abs=8)
    assert score(as_fraction(lips) * np.float32(0.5), speech).amplitude == pytest.approx(0.5, rel=1e-3)


def test_motion_is_the_travel_of_the_jaw_per_second() -> None:
    lips = np.zeros((26, LIP_SIZE), np.float32)
    lips[::2, JAW] = 0.5
    assert motion(lips) == pytest.approx(0.5 * 25)


@pytest.fixture(scope="module")
def speaker() -> Speaker:
    return Speaker(WEIGHTS)


@pytest.fixture(scope="module")
def voice() -> Speech:
    """Half a minute of the voice that never trained."""
    if missing("flite:rms"):
        pytest.skip("flite's voice rms is not installed here")
    lines = [
        "My big boss may buy a map of the public park.",
        "Please remember to move the table before people come home.",
        "We have been above the moon and below the bottom of the sea.",
        "Maybe a member of the family wants more bread and butter.",
        "The paper boat was made by my brother on a Monday.",
    ]
    spoken = [utterance for utterance in say("flite:rms", lines) if utterance is not None]
    return joined([taught(np.random.default_rng(0), utterance, None) for utterance in spoken])


def test_the_shipped_networks_follow_a_voice_they_never_heard(speaker: Speaker, voice: Speech) -> None:
    result = score(speaker.speak(speaker.hear(samples(voice)), 80), voice)
    assert result.opening > 0.75
    assert abs(result.lag) < 10
    assert result.recall > 0.75 and result.false_closures < 1.0


@pytest.mark.parametrize("name", ["-18 dB", "+20 dB", "mains at -35 dBFS on an offset", "telephone (mu-law)"])
def test_the_shipped_networks_follow_it_through_poor_microphones(speaker: Speaker, voice: Speech, name: str) -> None:
    result = score(speaker.speak(speaker.hear(conditions(samples(voice))[name]), 80), voice)
    assert result.opening > 0.7 and abs(result.lag) < 15
    assert result.recall > 0.7 and result.false_closures < 1.2


def test_the_shipped_networks_rest_without_speech(speaker: Speaker, voice: Speech) -> None:
    speaking = motion(speaker.speak(speaker.hear(samples(voice)), 80))
    sounds = disturbances(voice, seconds=3.0)
    for name in ("digital silence", "white noise at -50 dBFS", "music at -30 dBFS", "breathing at -40 dBFS"):
        lips = speaker.speak(speaker.hear(np.concatenate([samples(voice)[:32_000], sounds[name]])), 80)[75:]
        assert lips[:, JAW].max() < 0.12 and lips[:, CLOSE].max() < CLOSED, name
        assert motion(lips) < 0.15 * speaking, name
