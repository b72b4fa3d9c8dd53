"""Motion composition: the mouth opening, the separation of the controls, and motion without a cut."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from engines.controls import Controls
from engines.emotion import EMOTION_BASIS, EMOTIONS
from engines.expression import EXPRESSION_INDEX, EXPRESSION_NAMES, LIP_NAMES, LIP_SIZE, FloatArray, rest_expression
from engines.media import FRAME_RATE, HeadPose, Motion
from engines.motion import RELEASE_FRAMES, MotionComposer, MotionState, scale_lips
from tests.test_idle import babble, silence

SECONDS = FRAME_RATE
PARTING = [
    name
    for name in EXPRESSION_NAMES
    if name.startswith(("jawOpen", "mouthFunnel", "mouthStretch", "mouthLower", "mouthUpper", "mouthShrug"))
]
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


def wordy(frames: int) -> FloatArray:
    """`babble` with all lip channels in it, closures between the syllables among them."""
    speech = babble(frames)
    jaw = speech[:, LIP_NAMES.index("jawOpen")].copy()
    spoken = jaw > 0.0
    for name, share in (("mouthPart", 0.8), ("mouthPucker", 0.6), ("mouthFunnel", 0.4), ("mouthStretch", 0.7)):
        speech[:, LIP_NAMES.index(name)] = share * jaw
    speech[:, LIP_NAMES.index("mouthClose")] = np.where(spoken, np.clip(0.9 - 9.0 * jaw, 0.0, 1.0), 0.0)
    return speech


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


def test_style_scales_rounding_and_spreading() -> None:
    row = lips(jawOpen=0.5, mouthPucker=0.4, mouthFunnel=0.2, mouthStretch=0.3, mouthSmile=0.1)
    np.testing.assert_array_equal(scale_lips(row, 1.0, 1.0, 1.0), row)
    pursed = lips(jawOpen=0.5, mouthPucker=0.8, mouthFunnel=0.4, mouthStretch=0.3, mouthSmile=0.1)
    np.testing.assert_allclose(scale_lips(row, 1.0, 2.0, 1.0), pursed, rtol=1e-6)
    narrow = lips(jawOpen=0.5, mouthPucker=0.4, mouthFunnel=0.2)
    np.testing.assert_allclose(scale_lips(row, 1.0, 1.0, 0.0), narrow, rtol=1e-6)


CLOSURE = lips(mouthClose=0.9, jawOpen=0.12, mouthPart=0.08, mouthStretch=0.15, mouthSmile=0.05, tongueUp=0.1)
"""What a p, b or m looks like in the middle of a word."""


@pytest.mark.parametrize("emotion", [None, *EMOTIONS])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
@pytest.mark.parametrize("style", [0.0, 2.0])
def test_closures_survive_every_emotion_alpha_and_style(emotion: str | None, alpha: float, style: float) -> None:
    """Whatever parts the lips is no stronger than under plain controls, or than at rest: measured by coefficients."""
    feeling = {emotion: 1.0} if emotion else None
    spoken = np.tile(CLOSURE, (50, 1))
    plain, _ = play(spoken)
    felt, _ = play(spoken, Controls(alpha=alpha, pucker=style, spread=style, emotion=feeling))
    for name in PARTING:
        assert channel(felt, name)[25:].max() <= channel(plain, name)[25:].max() + 1e-6, name
    if alpha >= 1.0:
        np.testing.assert_allclose(channel(felt, "mouthClose"), channel(plain, "mouthClose"))


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


@dataclass(frozen=True)
class Case:
    """A control, and the coefficients that it may move; `pose` and `gaze` if those are what it sets."""

    controls: Controls
    moves: set[str] = field(default_factory=set)
    pose: bool = False
    gaze: bool = False


def _named(*starts: str) -> set[str]:
    return {name for name in EXPRESSION_NAMES if name.startswith(starts)}


CASES = {
    "alpha": Case(Controls(alpha=1.4), _named("jawOpen", "mouthLower", "mouthUpper", "mouthFunnel")),
    "pucker": Case(Controls(pucker=0.3), {"mouthPucker", "mouthFunnel"}),
    "spread": Case(Controls(spread=1.8), _named("mouthStretch", "mouthSmile")),
    "pose": Case(Controls(pose=HeadPose(0.1, -0.3, 0.05, (0.1, 0.0, 0.2))), pose=True),
    "gaze": Case(Controls(gaze=(0.2, -0.2)), _named("eyeLook"), gaze=True),
    "blink": Case(Controls(blink=0.7), LIDS),
    **{
        emotion: Case(
            Controls(emotion={emotion: 0.8}), {n for n, v in zip(EXPRESSION_NAMES, face, strict=True) if v > 0.0}
        )
        for emotion, face in zip(EMOTIONS, EMOTION_BASIS, strict=True)
    },
}


@pytest.mark.parametrize("name", CASES)
def test_a_control_moves_its_own_part_and_the_others_stay(name: str) -> None:
    case, speech = CASES[name], wordy(10 * SECONDS)
    before, _ = play(speech)
    after, _ = play(speech, case.controls)
    np.testing.assert_array_equal(without(before, case.moves), without(after, case.moves))
    for part in case.moves if name in EMOTIONS else ():
        assert np.abs(channel(before, part) - channel(after, part)).max() > 0.02, part
    assert ([motion.pose for motion in before] == [motion.pose for motion in after]) is not case.pose
    assert ([motion.gaze for motion in before] == [motion.gaze for motion in after]) is not case.gaze


def test_the_head_goes_where_it_is_told() -> None:
    turned, _ = play(babble(10 * SECONDS), Controls(pose=HeadPose(0.1, -0.3, 0.05, (0.1, 0.0, 0.2))))
    np.testing.assert_allclose(angles(turned)[SECONDS:], np.tile((0.1, -0.3, 0.05), (9 * SECONDS, 1)), atol=2e-3)
    np.testing.assert_allclose(turned[-1].pose.translation, (0.1, 0.0, 0.2), atol=1e-3)


def test_the_lids_follow_the_gaze() -> None:
    looking, _ = play(silence(10 * SECONDS), Controls(gaze=(0.2, -0.2)))
    assert looking[-1].gaze == pytest.approx((0.2, -0.2))
    open_eyes = (channel(looking, "eyeBlinkLeft") == 0.0) & (np.arange(len(looking)) > SECONDS)
    np.testing.assert_allclose(channel(looking, "eyeLookDownLeft")[open_eyes], 0.382, atol=1e-3)
    assert channel(looking, "eyeLookInLeft")[-1] == pytest.approx(0.382, abs=1e-3)
    assert channel(looking, "eyeLookOutRight")[-1] == pytest.approx(0.382, abs=1e-3)


def test_lids_stay_where_they_are_held() -> None:
    shut, _ = play(babble(10 * SECONDS), Controls(blink=1.0))
    assert np.all(channel(shut, "eyeBlinkRight") == 1.0)
    awake, _ = play(babble(10 * SECONDS), Controls(blink=0.0))
    assert channel(awake, "eyeBlinkRight").max() == 0.0


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_blinks_close_fully_under_every_emotion(emotion: str) -> None:
    motions, _ = play(silence(30 * SECONDS), Controls(emotion={emotion: 1.0}), seed=4)
    shut = channel(motions, "eyeBlinkLeft") > 0.999
    assert shut.sum() >= 5
    for name in ("eyeWideLeft", "eyeSquintLeft", "eyeLookUpLeft", "eyeLookDownLeft"):
        assert channel(motions, name)[shut].max() < 0.05, f"{name} would move a closed lid"
    assert channel(motions, "eyeBlinkLeft")[~shut].max() <= 1.0


def test_emotions_mix_and_add_to_speech() -> None:
    speech = wordy(10 * SECONDS)
    plain, _ = play(speech)
    mixed, _ = play(speech, Controls(emotion={"tender": 0.5, "surprised": 0.5}))
    inner = EMOTION_BASIS[[EMOTIONS.index("tender"), EMOTIONS.index("surprised")]].mean(axis=0)
    brow = EXPRESSION_INDEX["browInnerUp"]
    np.testing.assert_allclose(channel(mixed, "browInnerUp") - channel(plain, "browInnerUp"), inner[brow], atol=1e-5)
    assert np.corrcoef(channel(mixed, "jawOpen"), channel(plain, "jawOpen"))[0, 1] > 0.95


STEPS = [
    Controls(),
    Controls(alpha=0.2, pucker=2.0, spread=0.0),
    Controls(pose=HeadPose(yaw=0.5), gaze=(0.3, -0.4), blink=0.8, emotion={"angry": 1.0}),
    Controls(pose=HeadPose(yaw=-0.5), gaze=(-0.3, 0.4), blink=0.0, emotion={"happy": 1.0}),
    Controls(alpha=1.5),
]


def test_no_control_makes_a_jump() -> None:
    """Controls at their extremes every second: what they move takes several frames for the way."""
    vowel = np.tile(lips(jawOpen=0.5, mouthPart=0.4, mouthPucker=0.3, mouthStretch=0.2), (SECONDS, 1))
    state, motions = COMPOSER.start(6), []
    for controls in STEPS:
        part, state = play(vowel, controls, state=state)
        motions += part
    changes = np.abs(np.diff([motion.expression for motion in motions], axis=0))
    eyes = [index for name, index in EXPRESSION_INDEX.items() if name.startswith("eye")]
    others = [index for name, index in EXPRESSION_INDEX.items() if not name.startswith("eye")]
    assert changes[SECONDS // 5 :, others].max() < 0.25
    assert changes[SECONDS // 5 :, eyes].max() < 0.8, "eyes and lids are as quick as a blink, but no quicker"
    assert np.abs(np.diff(angles(motions), axis=0)).max() < 0.2
    assert np.abs(np.diff(angles(motions), n=2, axis=0)).max() * FRAME_RATE**2 < 120.0


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
        ({"pucker": 2.1}, "pucker and spread must lie between 0.0 and 2.0"),
        ({"spread": -0.1}, "pucker and spread must lie"),
        ({"emotion": {"bored": 0.5}}, "there is no emotion 'bored'"),
        ({"emotion": {"happy": 0.7, "sad": 0.7}}, "come to 1.4 together"),
        ({"emotion": {"happy": float("nan")}}, "intensities of emotions must lie"),
        ({"blink": -0.1}, "blink must lie"),
        ({"gaze": (0.0, 0.7)}, "gaze"),
        ({"pose": HeadPose(yaw=1.0)}, "pose angles"),
        ({"pose": HeadPose(translation=(0.0, 2.0, 0.0))}, "pose translation"),
    ],
)
def test_controls_out_of_range_are_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Controls(**values)
