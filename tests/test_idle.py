"""The idle model: rates and timings of blinks, bounds of the head, reproducibility."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.expression import LIP_NAMES, LIP_SIZE, FloatArray
from engines.eyes import DEGREE
from engines.idle import Idle, IdleState, start_idle, step_idle
from engines.media import FRAME_RATE

MINUTE = 60 * FRAME_RATE
SILENCE = np.zeros(LIP_SIZE, np.float32)


def live(state: IdleState, lips: FloatArray) -> tuple[list[Idle], IdleState]:
    """Step through `lips` ``(frames, LIP_SIZE)``."""
    frames = []
    for row in lips:
        idle, state = step_idle(state, row)
        frames.append(idle)
    return frames, state


def silence(frames: int) -> FloatArray:
    return np.zeros((frames, LIP_SIZE), np.float32)


def babble(frames: int, seed: int = 0) -> FloatArray:
    """Lips of phrases of two to four seconds, four syllables a second, with pauses of half a second to a second."""
    random = np.random.default_rng(seed)
    lips = silence(frames)
    start = 0
    while start < frames:
        length = int(random.integers(50, 100))
        time = np.arange(min(length, frames - start)) / FRAME_RATE
        stress = random.uniform(0.2, 1.0, 20)[(time * 4).astype(int)]
        lips[start : start + length, LIP_NAMES.index("jawOpen")] = 0.5 * stress * np.sin(np.pi * 4 * time) ** 2
        start += length + int(random.integers(12, 25))
    return lips


def blink_starts(frames: list[Idle]) -> list[int]:
    closure = np.array([frame.blink for frame in frames])
    return list(np.flatnonzero((closure[1:] > 0.0) & (closure[:-1] == 0.0)) + 1)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("make_lips", [silence, babble])
def test_blinks_12_to_20_times_a_minute(seed: int, make_lips: Callable[[int], FloatArray]) -> None:
    frames, _ = live(start_idle(seed), make_lips(10 * MINUTE))
    assert 12.0 <= len(blink_starts(frames)) / 10 <= 20.0


@pytest.mark.parametrize("seed", range(20))
def test_nobody_stares(seed: int) -> None:
    frames, _ = live(start_idle(seed), silence(2 * MINUTE))
    starts = np.array(blink_starts(frames)) / FRAME_RATE
    assert 1.0 <= starts[0] <= 2.6
    assert np.diff(starts).max() < 7.7


def test_lids_close_faster_than_they_open() -> None:
    frames, _ = live(start_idle(4), silence(5 * MINUTE))
    closure = np.array([frame.blink for frame in frames])
    starts = blink_starts(frames)[:-1]
    assert len(starts) > 50
    for start in starts:
        end = start + int(np.argmax(closure[start:] == 0.0))
        shut = start + np.flatnonzero(closure[start:end] > 0.97)
        assert len(shut), "no picture shows the eyes shut"
        closing, opening = shut[0] - start, end - shut[-1]
        assert closing <= 3 and 4 <= opening <= 6 and closing < opening


def test_some_blinks_are_double() -> None:
    frames, _ = live(start_idle(5), silence(10 * MINUTE))
    gaps = np.diff(blink_starts(frames))
    close = gaps < 0.6 * FRAME_RATE
    assert 5 <= np.sum(close) <= 40
    assert not np.any(close[1:] & close[:-1]), "no flutter of three"


def test_blinks_prefer_the_ends_of_phrases() -> None:
    lips = babble(20 * MINUTE)
    frames, _ = live(start_idle(6), lips)
    voiced = lips[:, 0] > 0.06
    paused = np.convolve(voiced, np.ones(8), "full")[: len(voiced)] == 0
    rest = np.convolve(paused, np.ones(15), "full")[: len(voiced)] > 0
    starts = np.array(blink_starts(frames))
    assert np.mean(rest[starts]) > 1.5 * np.mean(rest)


def test_equal_seeds_live_equal_lives_and_others_do_not() -> None:
    lips = babble(MINUTE)
    first, _ = live(start_idle(7), lips)
    again, _ = live(start_idle(7), lips)
    other, _ = live(start_idle(8), lips)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.pose, two.pose)
        assert one[1:] == two[1:]
    assert any(one.blink != two.blink for one, two in zip(first, other, strict=True))


def test_a_state_can_be_kept_and_continued_twice() -> None:
    lips = babble(400)
    _, middle = live(start_idle(9), lips[:200])
    whole, _ = live(start_idle(9), lips)
    for _ in range(2):
        rest, _ = live(middle, lips[200:])
        np.testing.assert_array_equal([frame.pose for frame in rest], [frame.pose for frame in whole[200:]])


def test_speech_shifts_no_drift_and_nods_shift_no_blink() -> None:
    """The streams of random numbers are separate: two babbles differ in gestures alone until a pause calls a blink."""
    loud, _ = live(start_idle(10), babble(60, seed=1) + np.float32(0.2))
    soft, _ = live(start_idle(10), babble(60, seed=2) + np.float32(0.2))
    np.testing.assert_array_equal([frame.pose[1:4] for frame in loud], [frame.pose[1:4] for frame in soft])
    assert [frame.blink for frame in loud] == [frame.blink for frame in soft]


@pytest.mark.parametrize("make_lips", [silence, babble])
def test_the_head_stays_near_and_moves(make_lips: Callable[[int], FloatArray]) -> None:
    frames, _ = live(start_idle(11), make_lips(10 * MINUTE))
    pose = np.array([frame.pose for frame in frames])
    pitch, yaw, roll = (pose[:, axis] / DEGREE for axis in range(3))
    assert np.abs(pitch).max() < 5.0 and np.abs(yaw).max() < 7.5 and np.abs(roll).max() < 3.5
    assert np.std(yaw) > 1.0 and np.std(pitch) > 0.5 and np.std(roll) > 0.4
    assert np.abs(pose[:, 3:]).max() < 0.06


def autocorrelation(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of lags 0 to half of the length, 1 at lag 0."""
    values = values - values.mean()
    spectrum = np.abs(np.fft.rfft(values, 2 * len(values))) ** 2
    correlation = np.fft.irfft(spectrum)[: len(values) // 2]
    return correlation / correlation[0]


@pytest.mark.parametrize("make_lips", [silence, babble])
def test_no_part_of_the_motion_ever_loops(make_lips: Callable[[int], FloatArray]) -> None:
    """Breathing and blinking have a usual pace, so that a few seconds may look like the next few; half a minute on,
    nothing does."""
    frames, _ = live(start_idle(12), make_lips(15 * MINUTE))
    pose = np.array([frame.pose for frame in frames])
    parts = {
        **{name: pose[:, axis] for axis, name in enumerate(("pitch", "yaw", "roll", "x", "y", "z"))},
        "gaze": np.array([frame.gaze[1] for frame in frames]),
        "blink": np.array([frame.blink for frame in frames]),
        "smile": np.array([frame.smile_left for frame in frames]),
    }
    for name, values in parts.items():
        assert np.abs(autocorrelation(values)[30 * FRAME_RATE :]).max() < 0.3, name


def test_breathing_lifts_the_head_12_to_18_times_a_minute() -> None:
    frames, _ = live(start_idle(13), silence(5 * MINUTE))
    height = np.array([frame.pose[4] for frame in frames])
    spectrum = np.abs(np.fft.rfft((height - height.mean()) * np.hanning(len(height))))
    frequency = np.fft.rfftfreq(len(height), 1 / FRAME_RATE)
    breathing = spectrum * (frequency > 0.15)
    assert 12.0 <= 60.0 * frequency[np.argmax(breathing)] <= 18.0


def test_the_eyes_rest_on_the_viewer_most_of_the_time_and_look_away_at_times() -> None:
    frames, _ = live(start_idle(14), silence(10 * MINUTE))
    world = np.array([np.add(frame.gaze, 0.8 * frame.pose[:2]) for frame in frames])
    away = np.abs(world[:, 1]) > 3.0 * DEGREE
    assert 0.01 < away.mean() < 0.3
    saccades = np.abs(np.diff(world[:, 1])) > 0.1 * DEGREE
    assert 0.3 < saccades.sum() / 600 < 2.0


def test_speech_brings_nods_and_brows_on_stressed_syllables() -> None:
    lips = babble(4 * MINUTE)
    quiet, _ = live(start_idle(15), silence(4 * MINUTE))
    assert max(frame.brows for frame in quiet) == 0.0
    state, begun, raised = start_idle(15), [], 0
    for index, row in enumerate(lips):
        idle, after = step_idle(state, row)
        assert after.gesture.nod >= 0.0, "a nod goes down, never up"
        if after.gestures > state.gestures:
            begun.append(index)
            raised += after.gesture.brows > 0.0
        assert idle.brows <= 0.53
        state = after
    jaw = lips[:, LIP_NAMES.index("jawOpen")]
    assert 20 < len(begun) / 4 < 60 and 0.1 < raised / len(begun) < 0.4
    assert jaw[begun].mean() > 1.6 * jaw[jaw > 0].mean()


def test_the_head_of_a_speaker_moves_more() -> None:
    quiet, _ = live(start_idle(16), silence(10 * MINUTE))
    spoken, _ = live(start_idle(16), babble(10 * MINUTE))
    turning = [np.abs(np.diff([frame.pose[:3] for frame in frames], axis=0)).mean() for frames in (quiet, spoken)]
    assert turning[1] > 1.4 * turning[0]


def test_speech_begins_and_ends_without_a_jerk() -> None:
    lips = np.concatenate([silence(200), babble(500), silence(200)])
    frames, _ = live(start_idle(17), lips)
    angles = np.array([frame.pose[:3] for frame in frames])
    assert np.abs(np.diff(angles, n=2, axis=0)).max() * FRAME_RATE**2 < 6.0  # rad/s^2


def test_large_glances_take_the_head_along_and_often_a_blink() -> None:
    state, glances, blinked, leans = start_idle(18), 0, 0, []
    for row in silence(12 * MINUTE):
        _, after = step_idle(state, row)
        if abs(after.fixation.target[1] - state.fixation.target[1]) > 6 * DEGREE:
            glances += 1
            blinked += after.blink.wait <= 0.04
        leans.append(after.lean[1] - 0.15 * after.fixation.target[1])
        state = after
    assert glances > 20 and 0.15 < blinked / glances < 0.6
    assert np.quantile(np.abs(leans), 0.9) < 0.5 * DEGREE, "the head comes along within a moment"


def test_a_speaker_breathes_in_at_pauses() -> None:
    lips = babble(20 * MINUTE)
    state, paused, begun = start_idle(19), [], []
    for index, row in enumerate(lips):
        _, after = step_idle(state, row)
        if after.voice.paused:
            paused.append(index)
        if after.breaths > state.breaths:
            begun.append(index)
        state = after
    near = np.abs(np.subtract.outer(begun, paused)).min(axis=1) <= 3
    assert near.mean() > 0.2
    assert 8 < len(begun) / 20 < 18


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="seed must not be negative"):
        start_idle(-1)
