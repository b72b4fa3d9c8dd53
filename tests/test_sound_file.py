"""What the networks hear of a file of several channels."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import wavfile

from engines.media import MEDIA_RATE
from realtime.sound_file import Downmix, open_sound

VOICE = (8000 * np.sin(2 * np.pi * 440 * np.arange(2 * MEDIA_RATE) / MEDIA_RATE)).astype(np.int16)
NOISE = np.random.default_rng(0).integers(-300, 300, VOICE.size).astype(np.int16)


def heard(path: Path, *channels: NDArray[np.int16]) -> NDArray[np.int16]:
    """The speech of the first two seconds of a file with these channels."""
    wavfile.write(path, MEDIA_RATE, np.stack(channels, axis=1))
    with open_sound(path) as sound:
        pieces = sound.pieces()
        return np.concatenate([next(pieces).speech.pcm for _ in range(100)])


def level(pcm: NDArray[np.int16]) -> float:
    return float(np.sqrt(np.square(pcm, dtype=np.float64).mean()))


def test_channels_that_cancel_out_are_heard(tmp_path: Path) -> None:
    alone = heard(tmp_path / "mono.wav", VOICE)
    assert np.array_equal(heard(tmp_path / "cancel.wav", VOICE, -VOICE), alone)
    turned = heard(tmp_path / "noise.wav", VOICE // 2 + NOISE, -VOICE)
    assert level(turned) > 0.2 * level(alone), "one that is halved does not cancel all of the other"


@pytest.mark.parametrize("share", [1.0, 0.3, 0.0])
def test_else_it_is_the_mean_of_them(tmp_path: Path, share: float) -> None:
    right = (share * VOICE).astype(np.int16)
    mean = np.stack([VOICE, right]).mean(axis=0).astype(np.int16)
    assert np.array_equal(heard(tmp_path / "two.wav", VOICE, right), heard(tmp_path / "one.wav", mean))


def test_the_choice_holds_through_pauses() -> None:
    mono = Downmix()
    sound = np.stack([VOICE + NOISE, NOISE - VOICE])  # the noise is the same in both and does not cancel
    for start in range(0, MEDIA_RATE, 960):
        mono.mix(sound[:, start : start + 960])
    pause = np.stack([NOISE, NOISE // 2])[:, :960]
    mixed = mono.mix(pause)
    assert any(np.array_equal(mixed, channel) for channel in pause)
    assert mono.mix(pause[:, :0]).shape == (0,)
