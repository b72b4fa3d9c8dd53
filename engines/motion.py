"""Motion composition: lips from the voice, everything else from a control, a tracker or the idle model, in this order.

The lips follow ControlTalk (arXiv 2406.02880, section 3.3): E' = E + alpha * dE, a bias on the source expression scaled
by the mouth opening alpha. The separation of the rest follows PD-FGC (arXiv 2211.14506): head pose, gaze, blink and
emotion each have a source of their own and change hands one at a time, softly (`Handover`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from engines.controls import Controls
from engines.drive import UNDRIVEN, Drive
from engines.emotion import EMOTION_BASIS, EMOTIONS
from engines.expression import (
    EXPRESSION_INDEX,
    EXPRESSION_NAMES,
    EXPRESSION_SIZE,
    LIP_NAMES,
    LIP_SIZE,
    FloatArray,
    expression_from_lips,
    rest_expression,
)
from engines.eyes import set_eyes
from engines.handover import Handover, Vector
from engines.idle import IdleState, start_idle, step_idle
from engines.media import HeadPose, Motion

RELEASE_FRAMES: Final = 4
"""Frames over which released lips let go of the pose that they held."""
SEALED: Final = 0.6
"""`mouthClose` from which on nothing may part the lips: a p, b or m."""

MOUTH_SECONDS: Final = 0.06
HEAD_SECONDS: Final = 0.1
EYE_SECONDS: Final = 0.025
FACE_SECONDS: Final = 0.12
"""Time constants with which a new control, or a new source, takes over mouth, head, gaze and lids, and the rest of the
face with the emotions: critically damped, three quarters of the way after 2.7 of them."""

_CLOSE = LIP_NAMES.index("mouthClose")
_OPENING = np.array([name in ("jawOpen", "mouthPart", "mouthFunnel") for name in LIP_NAMES])
_ROUNDING = np.array([name in ("mouthPucker", "mouthFunnel") for name in LIP_NAMES])
_SPREADING = np.array([name in ("mouthStretch", "mouthSmile") for name in LIP_NAMES])
_PARTING = np.array(
    [
        name.startswith(("jawOpen", "mouthFunnel", "mouthStretch", "mouthLower", "mouthUpper", "mouthShrug"))
        for name in EXPRESSION_NAMES
    ]
)
"""Coefficients of an emotion that would part lips which the voice presses together."""
_BROWS = [EXPRESSION_INDEX[name] for name in ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")]
_SMILE = [EXPRESSION_INDEX["mouthSmileLeft"], EXPRESSION_INDEX["mouthSmileRight"]]
_IDLE, _DRIVEN = "idle", "drive"


@dataclass(frozen=True, slots=True)
class MotionState:
    """What the next frame depends on: the idle model, who has which part of the face (`style` is alpha, pucker and
    spread; `head` a pose; `gaze` pitch and yaw; `lids` left and right; `face` an expression; `emotion` intensities) and
    the lips last shown; `held` are the lips of the release that has `easing` frames to go. A state is a value: stepping
    leaves it as it was."""

    idle: IdleState
    style: Handover
    head: Handover
    gaze: Handover
    lids: Handover
    face: Handover
    emotion: Handover
    lips: FloatArray
    held: FloatArray
    easing: int


def scale_lips(bias: FloatArray, alpha: float, pucker: float = 1.0, spread: float = 1.0) -> FloatArray:
    """alpha * dE for lips ``(LIP_SIZE,)`` in a style, keeping closures.

    Up to alpha = 1 this is ControlTalk's plain product; beyond it only the openings grow. `pucker` scales rounding and
    `spread` spreading lips. What would part the lips further does so less as they shut: a p, b or m that touches with
    all at 1 touches whatever they are.
    """
    if alpha == pucker == spread == 1.0:
        return bias
    free = 1.0 - min(max(float(bias[_CLOSE]), 0.0) / SEALED, 1.0)
    gain = np.full(LIP_SIZE, min(alpha, 1.0))
    gain[_OPENING] += max(0.0, alpha - 1.0) * free
    gain[_ROUNDING] *= _held_back(pucker, free)
    gain[_SPREADING] *= _held_back(spread, free)
    scaled: FloatArray = bias * gain.astype(np.float32)
    return scaled


def _held_back(gain: float, free: float) -> float:
    return gain if gain <= 1.0 else 1.0 + (gain - 1.0) * free


class MotionComposer:
    """Composes one `Motion` a frame. `source` float32 (EXPRESSION_SIZE,) is the expression of the source picture, E."""

    def __init__(self, source: FloatArray | None = None) -> None:
        self._source = rest_expression() if source is None else source

    def start(self, seed: int) -> MotionState:
        """The state before the first frame: the source picture, at rest. Equal seeds live equal lives."""
        rest = np.zeros(LIP_SIZE, np.float32)
        return MotionState(
            start_idle(seed),
            style=Handover.begin(np.ones(3)),
            head=Handover.begin(np.zeros(6), "source picture"),
            gaze=Handover.begin(np.zeros(2), "source picture"),
            lids=Handover.begin(np.zeros(2)),
            face=Handover.begin(np.zeros(EXPRESSION_SIZE)),
            emotion=Handover.begin(np.zeros(len(EMOTIONS))),
            lips=rest,
            held=rest,
            easing=0,
        )

    def release(self, state: MotionState) -> MotionState:
        """Let the lips go after an interruption: they ease into the coming ones over `RELEASE_FRAMES` frames."""
        return replace(state, held=state.lips, easing=RELEASE_FRAMES)

    def step(
        self, state: MotionState, lips_bias: FloatArray, controls: Controls, drive: Drive = UNDRIVEN
    ) -> tuple[Motion, MotionState]:
        """The frame for `lips_bias` float32 ``(LIP_SIZE,)``, Audio2Exp's bias dE on the source expression."""
        idle, idle_state = step_idle(state.idle, lips_bias)
        style_of = (controls.alpha, controls.pucker, controls.spread)
        style = state.style.step(style_of, np.array(style_of), MOUTH_SECONDS)
        lips = scale_lips(lips_bias, *style.value.tolist())
        easing = max(0, state.easing - 1)
        if easing:
            x = easing / RELEASE_FRAMES
            lips = lips + np.float32(x * x * (3.0 - 2.0 * x)) * (state.held - lips)

        brows = np.zeros(EXPRESSION_SIZE)
        brows[_BROWS] = idle.brows
        head = _pick(state.head, _vector(controls.pose), _vector(drive.pose), idle.pose, HEAD_SECONDS)
        gaze = _pick(state.gaze, _array(controls.gaze), _array(drive.gaze), np.array(idle.gaze), EYE_SECONDS)
        lids = _pick(state.lids, _pair(controls.blink), drive.lids, np.full(2, idle.blink), EYE_SECONDS)
        face = _pick(state.face, None, drive.face, brows, FACE_SECONDS)
        emotion = _pick(
            state.emotion,
            _intensities(controls.emotion),
            _intensities(drive.emotion),
            np.zeros(len(EMOTIONS)),
            FACE_SECONDS,
        )

        expression = self._source + expression_from_lips(lips)
        expression[_SMILE] += (idle.smile_left, idle.smile_right)
        expression += face.value
        if emotion.value.any():
            expression += _emote(emotion.value, lips_bias)
        pitch, yaw = gaze.value.tolist()
        set_eyes(expression, (pitch, yaw), lids.value)
        np.clip(expression, 0.0, 1.0, out=expression)
        motion = Motion(expression, HeadPose.from_vector(head.value), (pitch, yaw))
        return motion, MotionState(idle_state, style, head, gaze, lids, face, emotion, lips, state.held, easing)


def _pick(
    before: Handover, control: Vector | None, driven: Vector | None, idle: Vector, time_constant: float
) -> Handover:
    """The next frame of a part of the face: a control wins over a tracker, and a tracker over the idle model."""
    if control is not None:
        return before.step(tuple(control), control, time_constant)
    if driven is not None:
        return before.step(_DRIVEN, driven, time_constant)
    return before.step(_IDLE, idle, time_constant)


def _emote(intensities: Vector, lips_bias: FloatArray) -> Vector:
    """What emotions add to the expression, float64 (EXPRESSION_SIZE,): lips that the voice presses stay together."""
    offset = np.clip(intensities, 0.0, 1.0) @ EMOTION_BASIS
    offset[_PARTING] *= 1.0 - min(max(float(lips_bias[_CLOSE]), 0.0) / SEALED, 1.0)
    return offset


def _vector(pose: HeadPose | None) -> Vector | None:
    return None if pose is None else pose.vector()


def _array(pair: tuple[float, float] | None) -> Vector | None:
    return None if pair is None else np.array(pair)


def _pair(value: float | None) -> Vector | None:
    return None if value is None else np.full(2, value)


def _intensities(emotion: Mapping[str, float] | None) -> Vector | None:
    return None if emotion is None else np.array([emotion.get(name, 0.0) for name in EMOTIONS])
