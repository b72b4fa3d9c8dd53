import numpy as np
import pytest

from engines.loudness import FLOOR, HOP, Level, normalised

RATE = 16_000


def noise(seconds: float, rms: float, seed: int = 0) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return (np.random.default_rng(seed).standard_normal(int(seconds * RATE)) * rms).astype(np.float32)


@pytest.mark.parametrize("rms", [0.02, 0.3])
def test_a_voice_comes_to_variance_one_within_seconds(rms: float) -> None:
    heard, _ = normalised(Level(), noise(6, rms))
    assert np.sqrt(np.square(heard[-RATE:]).mean()) == pytest.approx(1, abs=0.1)


def test_an_offset_is_taken_away() -> None:
    heard, _ = normalised(Level(), noise(30, 0.1) + np.float32(0.05))
    assert heard[-RATE:].mean() == pytest.approx(0, abs=0.05)


def test_silence_is_not_amplified_and_teaches_nothing() -> None:
    _, level = normalised(Level(), noise(5, 0.1))
    pause, after = normalised(level, noise(60, 0.001))
    assert after == level
    assert np.sqrt(np.square(pause).mean()) == pytest.approx(0.01, rel=0.1), "as far below speech as it was"


def test_a_whisper_is_raised_to_the_floor_only() -> None:
    _, level = normalised(Level(), noise(60, FLOOR * 1.05))
    assert level.deviation >= FLOOR


@pytest.mark.parametrize("hops", [1, 7, 50])
def test_in_pieces_it_is_the_same(hops: int) -> None:
    voice = noise(2, 0.1) * np.repeat(np.linspace(0.1, 1, 100), HOP).astype(np.float32)
    whole, end = normalised(Level(), voice)
    level, pieces = Level(), []
    for start in range(0, len(voice), hops * HOP):
        piece, level = normalised(level, voice[start : start + hops * HOP])
        pieces.append(piece)
    assert np.array_equal(np.concatenate(pieces), whole) and level == end


def test_half_a_hop_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 320"):
        normalised(Level(), np.zeros(500, np.float32))
    assert len(normalised(Level(), np.zeros(0, np.float32))[0]) == 0
