"""A tracker drives pose, eyes and upper face; the lips stay with the audio."""

from typing import Any

import numpy as np
import pytest

from engines.controls import Controls
from engines.drive import DRIVEN, UNDRIVEN, Drive
from engines.emotion import EMOTION_BASIS, EMOTIONS
from engines.expression import EXPRESSION_NAMES, LIP_CHANNELS
from engines.media import FRAME_RATE, HeadPose, Motion
from engines.motion import MotionComposer
from tests.test_motion import angles, channel, play, without, wordy

COMPOSER = MotionComposer()
LIPS = {name for targets in LIP_CHANNELS.values() for name in targets}


def driven(drives: list[Drive], controls: Controls | None = None) -> list[Motion]:
    state, motions = COMPOSER.start(0), []
    for row, drive in zip(wordy(len(drives)), drives, strict=True):
        motion, state = COMPOSER.step(state, row, controls or Controls(), drive)
        motions.append(motion)
    return motions


def everything(value: float = 1.0, **others: Any) -> Drive:
    return Drive.from_coefficients(dict.fromkeys(EXPRESSION_NAMES, value), **others)


def test_no_lip_is_driven() -> None:
    assert not LIPS & set(DRIVEN)
    frames = 10 * FRAME_RATE
    alone, _ = play(wordy(frames))
    tracked = driven([everything()] * frames)
    np.testing.assert_array_equal(without(alone, set(DRIVEN)), without(tracked, set(DRIVEN)))


def test_the_rest_of_the_face_is_the_tracker_s() -> None:
    values = {
        "browInnerUp": 0.6,
        "eyeBlinkLeft": 0.9,
        "eyeBlinkRight": 0.1,
        "cheekSquintLeft": 0.3,
        "mouthFrownLeft": 0.4,
    }
    pose = HeadPose(0.1, -0.2, 0.05, (0.1, 0.0, -0.1))
    motions = driven([Drive.from_coefficients(values, pose=pose, gaze=(0.1, -0.1))] * 50)
    for name, value in values.items():
        assert channel(motions, name)[-1] == pytest.approx(value, abs=1e-3)
    np.testing.assert_allclose(motions[-1].pose.vector(), pose.vector(), atol=1e-3)
    assert motions[-1].gaze == pytest.approx((0.1, -0.1), abs=1e-3)


def test_looks_become_gaze() -> None:
    gaze = Drive.from_coefficients({"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0}).gaze
    assert gaze == pytest.approx((0.0, np.radians(30)))


def test_what_the_tracker_does_not_follow_lives_on() -> None:
    alone, _ = play(wordy(200))
    tracked = driven([Drive(pose=HeadPose(yaw=0.2))] * 200)
    np.testing.assert_array_equal(without(alone, set()), without(tracked, set()))
    assert [motion.gaze for motion in alone] == [motion.gaze for motion in tracked]


def test_a_tracker_comes_and_goes_without_a_jump() -> None:
    far = everything(0.8, pose=HeadPose(yaw=0.4, roll=-0.2))
    motions = driven([UNDRIVEN] * 100 + [far] * 100 + [UNDRIVEN] * 100)
    alone, _ = play(wordy(300))
    assert np.abs(np.diff(angles(motions), axis=0)).max() < 0.08
    assert np.abs(np.diff(channel(motions, "browInnerUp"))).max() < 0.15
    np.testing.assert_allclose(angles(motions)[150:200, 1], 0.4, atol=1e-2)
    np.testing.assert_allclose(angles(motions)[-1], angles(alone)[-1], atol=1e-6)
    np.testing.assert_allclose(motions[-1].expression, alone[-1].expression, atol=1e-6)


def test_a_control_wins_over_the_tracker() -> None:
    tracked = everything(0.0, pose=HeadPose(yaw=0.4), emotion={"sad": 1.0})
    motions = driven([tracked] * 50, Controls(pose=HeadPose(yaw=-0.3), blink=1.0))
    assert motions[-1].pose.yaw == pytest.approx(-0.3, abs=1e-3)
    assert channel(motions, "eyeBlinkLeft")[-1] == pytest.approx(1.0, abs=1e-3)
    frown = EMOTION_BASIS[EMOTIONS.index("sad"), EXPRESSION_NAMES.index("mouthFrownLeft")]
    assert channel(motions, "mouthFrownLeft")[-1] == pytest.approx(frown, abs=1e-3)


def test_between_two_frames_lies_their_mean() -> None:
    one = everything(0.0, pose=HeadPose(yaw=0.2), emotion={"happy": 0.5})
    other = everything(0.5, pose=HeadPose(yaw=0.4, translation=(0.0, 0.2, 0.0)), emotion={"sad": 1.0})
    middle = one.toward(other, 0.5)
    assert middle.face is not None and middle.face.max() == pytest.approx(0.25)
    assert middle.lids is not None and middle.lids.tolist() == pytest.approx([0.25, 0.25])
    assert middle.pose is not None and middle.pose.vector() == pytest.approx([0.0, 0.3, 0.0, 0.0, 0.1, 0.0])
    assert middle.emotion == pytest.approx({"happy": 0.25, "sad": 0.5})
    assert one.toward(UNDRIVEN, 0.4).pose == one.pose and one.toward(UNDRIVEN, 0.6).pose is None


def test_unknown_names_are_refused() -> None:
    with pytest.raises(KeyError):
        Drive.from_coefficients({"_neutral": 0.5})
