"""Motion composition: the mouth opening, the separation of the controls, and motion without a cut."""

from typing import Any

import numpy as np
import pytest

from engines.expression import EXPRESSION_INDEX, EXPRESSION_NAMES, LIP_NAMES, LIP_SIZE, FloatArray, rest_expression
from engines.media import FRAME_RATE, HeadPose, Motion
from engines.motion import RELEASE_FRAMES, Controls, MotionComposer, MotionState, scale_lips
from tests.test_idle import babble, silence

SECONDS = FRAME_RATE
LIDS = {name for name in EXPRESSION_NAMES if name.startswith(("eyeBlink", "eyeLook"))}
COMPOSER = MotionComposer()


def play(
    lips: FloatArray, controls: Controls | None = None, seed: int = 0, state: MotionState | None = None
) -> tuple[list[Motion], MotionState]:
    state = state or COMPOSER.start(seed)
    motions = []
    for row in lips:
        motion, state = COMPOSER.step(state, row, controls or Controls())
        motions.append(motion)
    return motions, state


def channel(motions: list[Motion], name: str) -> FloatArray:
    return np.array([motion.expression[EXPRESSION_INDEX[name]] for motion in motions])


def without(motions: list[Motion], names: set[str]) -> FloatArray:
    kept = [index for name, index in EXPRESSION_INDEX.items() if name not in names]
    return np.array([motion.expression[kept] for motion in motions])


def angles(motions: list[Motion]) -> FloatArray:
    return np.array([(motion.pose.pitch, motion.pose.yaw, motion.pose.roll) for motion in motions])


def lips(**values: float) -> FloatArray:
    row = np.zeros(LIP_SIZE, np.float32)
    for name, value in values.items():
        row[LIP_NAMES.index(name)] = value
    return row


def test_equal_seeds_give_equal_motion() -> None:
    speech = babble(30 * SECONDS)
    first, _ = play(speech, seed=1)
    again, _ = play(speech, seed=1)
    other, _ = play(speech, seed=2)
    np.testing.assert_array_equal(without(first, set()), without(again, set()))
    assert [motion.pose for motion in first] == [motion.pose for motion in again]
    assert [motion.pose for motion in first] != [motion.pose for motion in other]


def test_stepping_leaves_the_state_as_it_was() -> None:
    speech = babble(4 * SECONDS)
    _, state = play(speech)
    once, _ = play(speech, state=state)
    twice, _ = play(speech, state=state)
    np.testing.assert_array_equal(without(once, set()), without(twice, set()))


def test_alpha_zero_keeps_the_lips_at_rest_while_blinks_continue() -> None:
    speech = babble(60 * SECONDS)
    speech[:, LIP_NAMES.index("mouthClose")] = 0.7
    spoken, _ = play(speech, Controls(alpha=0.0))
    still, _ = play(silence(60 * SECONDS), Controls(alpha=0.0))
    mouth = [name for name in EXPRESSION_NAMES if name.startswith(("mouth", "jaw", "tongue"))]
    for name in mouth:
        np.testing.assert_array_equal(channel(spoken, name), channel(still, name))
    assert channel(spoken, "jawOpen").max() == 0.0
    assert channel(spoken, "mouthSmileLeft").max() < 0.12
    assert np.sum(channel(spoken, "eyeBlinkLeft") > 0.9) > 5


def test_alpha_scales_the_opening_up_to_its_bound() -> None:
    row = lips(jawOpen=0.5, mouthPart=0.4, mouthStretch=0.3)
    np.testing.assert_allclose(scale_lips(row, 0.5), 0.5 * row)
    np.testing.assert_array_equal(scale_lips(row, 1.0), row)
    np.testing.assert_allclose(scale_lips(row, 1.5), lips(jawOpen=0.75, mouthPart=0.6, mouthStretch=0.3), rtol=1e-6)
    wide, _ = play(np.tile(lips(jawOpen=0.9), (3, 1)), Controls(alpha=1.5))
    assert channel(wide, "jawOpen").max() == 1.0


@pytest.mark.parametrize("alpha", [0.6, 1.0, 1.5])
def test_closures_survive_any_alpha(alpha: float) -> None:
    """A gap between the lips is what the jaw and the parting open beyond what mouthClose takes back."""
    shut = scale_lips(lips(mouthClose=1.0, jawOpen=0.15, mouthPart=0.1), alpha)
    close, jaw, part = (shut[LIP_NAMES.index(name)] for name in ("mouthClose", "jawOpen", "mouthPart"))
    assert (jaw + part) / close <= 0.25 + 1e-6


def test_the_source_expression_is_kept_under_the_bias() -> None:
    source = rest_expression()
    source[EXPRESSION_INDEX["jawOpen"]] = 0.2
    composer = MotionComposer(source)
    motion, _ = composer.step(composer.start(0), lips(jawOpen=-0.2), Controls())
    assert motion.expression[EXPRESSION_INDEX["jawOpen"]] == 0.0
    motion, _ = composer.step(composer.start(0), lips(jawOpen=0.3), Controls(alpha=0.5))
    assert motion.expression[EXPRESSION_INDEX["jawOpen"]] == pytest.approx(0.35)
    assert source[EXPRESSION_INDEX["jawOpen"]] == np.float32(0.2)


def test_expressions_stay_in_range_whatever_the_network_says() -> None:
    random = np.random.default_rng(0)
    motions, _ = play(random.normal(0.0, 2.0, (500, LIP_SIZE)).astype(np.float32), Controls(alpha=1.5))
    values = without(motions, set())
    assert values.min() >= 0.0 and values.max() <= 1.0 and values.dtype == np.float32


def test_a_pose_control_moves_the_head_alone() -> None:
    speech = babble(10 * SECONDS)
    idle, _ = play(speech)
    turned, _ = play(speech, Controls(pose=HeadPose(pitch=0.1, yaw=-0.3, roll=0.05, translation=(0.1, 0.0, 0.2))))
    np.testing.assert_array_equal(without(idle, set()), without(turned, set()))
    assert [motion.gaze for motion in idle] == [motion.gaze for motion in turned]
    np.testing.assert_allclose(angles(turned)[SECONDS:], np.tile((0.1, -0.3, 0.05), (9 * SECONDS, 1)), atol=2e-3)
    np.testing.assert_allclose(turned[-1].pose.translation, (0.1, 0.0, 0.2), atol=1e-3)


def test_a_gaze_control_moves_eyes_and_lids_alone() -> None:
    speech = babble(10 * SECONDS)
    idle, _ = play(speech)
    looking, _ = play(speech, Controls(gaze=(0.2, -0.2)))
    look = {name for name in LIDS if name.startswith("eyeLook")}
    np.testing.assert_array_equal(without(idle, look), without(looking, look))
    assert [motion.pose for motion in idle] == [motion.pose for motion in looking]
    assert looking[-1].gaze == pytest.approx((0.2, -0.2))
    open_eyes = channel(looking, "eyeBlinkLeft") == 0.0
    np.testing.assert_allclose(channel(looking, "eyeLookDownLeft")[open_eyes][3:], 0.573, atol=1e-3)
    assert channel(looking, "eyeLookInLeft")[-1] == pytest.approx(0.382, abs=1e-3)
    assert channel(looking, "eyeLookOutRight")[-1] == pytest.approx(0.382, abs=1e-3)


def test_a_blink_control_moves_the_lids_alone() -> None:
    speech = babble(10 * SECONDS)
    idle, _ = play(speech)
    shut, _ = play(speech, Controls(blink=1.0))
    np.testing.assert_array_equal(without(idle, LIDS), without(shut, LIDS))
    assert [motion.pose for motion in idle] == [motion.pose for motion in shut]
    assert [motion.gaze for motion in idle] == [motion.gaze for motion in shut]
    assert np.all(channel(shut, "eyeBlinkRight")[3:] == 1.0)
    awake, _ = play(speech, Controls(blink=0.0))
    assert channel(awake, "eyeBlinkRight").max() == 0.0


def test_alpha_moves_the_lips_alone() -> None:
    speech = babble(10 * SECONDS)
    plain, _ = play(speech)
    wide, _ = play(speech, Controls(alpha=1.4))
    np.testing.assert_array_equal(without(plain, {"jawOpen"}), without(wide, {"jawOpen"}))
    assert [(motion.pose, motion.gaze) for motion in plain] == [(motion.pose, motion.gaze) for motion in wide]
    assert channel(wide, "jawOpen").max() > 1.3 * channel(plain, "jawOpen").max()


def test_the_head_never_jumps() -> None:
    """Angular acceleration stays below 15 rad/s^2 while speech, pauses and pose controls come and go."""
    speech = np.concatenate([silence(5 * SECONDS), babble(20 * SECONDS), silence(5 * SECONDS)])
    state = COMPOSER.start(3)
    motions = []
    for index, row in enumerate(speech):
        held = 200 <= index < 300
        motion, state = COMPOSER.step(state, row, Controls(pose=HeadPose(yaw=0.06) if held else None))
        motions.append(motion)
    acceleration = np.diff(angles(motions), n=2, axis=0) * FRAME_RATE**2
    assert np.abs(acceleration).max() < 15.0


def test_the_first_frame_is_the_source_picture() -> None:
    motions, _ = play(silence(1), seed=5)
    assert np.abs(angles(motions)).max() < 0.02
    assert np.abs(motions[0].expression).max() < 0.15


def test_released_lips_ease_to_rest_over_four_frames() -> None:
    held = lips(jawOpen=0.8, mouthPart=0.6)
    _, state = play(np.tile(held, (10, 1)))
    eased, after = play(silence(RELEASE_FRAMES + 3), state=COMPOSER.release(state))
    jaw = channel(eased, "jawOpen")
    assert np.all(np.diff(jaw[:RELEASE_FRAMES]) < 0.0)
    assert np.abs(np.diff(np.concatenate([[0.8], jaw]))).max() < 0.35
    assert np.all(jaw[RELEASE_FRAMES - 1 :] == 0.0)
    assert after.easing == 0


def test_release_gives_way_to_new_speech() -> None:
    _, state = play(np.tile(lips(jawOpen=0.8), (5, 1)))
    spoken, _ = play(np.tile(lips(jawOpen=0.3), (RELEASE_FRAMES, 1)), state=COMPOSER.release(state))
    assert channel(spoken, "jawOpen")[-1] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"alpha": 1.6}, "alpha must lie between 0.0 and 1.5, got 1.6"),
        ({"alpha": float("nan")}, "alpha must lie"),
        ({"blink": -0.1}, "blink must lie"),
        ({"gaze": (0.0, 0.7)}, "gaze"),
        ({"pose": HeadPose(yaw=1.0)}, "pose angles"),
        ({"pose": HeadPose(translation=(0.0, 2.0, 0.0))}, "pose translation"),
    ],
)
def test_controls_out_of_range_are_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Controls(**values)
