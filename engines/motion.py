"""Motion composition: lips from the voice, everything else from the idle model or from a control of its own.

The lips follow ControlTalk (arXiv 2406.02880, section 3.3): E' = E + alpha * dE, a bias on the source expression scaled
by the mouth opening alpha. The separation of the rest follows PD-FGC (arXiv 2211.14506): head pose, gaze and blink each
have a source of their own and can be set one at a time without moving the others.
"""

from dataclasses import dataclass, replace
from math import exp, isfinite
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.expression import (
    EXPRESSION_INDEX,
    LIP_NAMES,
    LIP_SIZE,
    FloatArray,
    expression_from_lips,
    rest_expression,
)
from engines.idle import DEGREE, STEP, IdleState, start_idle, step_idle
from engines.media import HeadPose, Motion

MAX_ALPHA: Final = 1.5
ANGLE_LIMIT: Final = 0.8
"""Largest pitch, yaw or roll of a head pose control, in radians (46 degrees)."""
SHIFT_LIMIT: Final = 1.0
"""Largest translation of a head pose control along an axis, in decimetres."""
GAZE_LIMIT: Final = 0.6
"""Largest pitch or yaw of the eyes against the head, in radians (34 degrees)."""
RELEASE_FRAMES: Final = 4
"""Frames over which released lips let go of the pose that they held."""

_HEAD_STIFFNESS = 14.0  # rad/s: the head follows a step in about 0.35 s
_SACCADE = 0.2  # rad in a frame, 290 degrees a second
_LID_CLOSING, _LID_OPENING = 0.75, 0.45  # of the lid's way in a frame
_LOOK_RANGE_DOWN, _LOOK_RANGE_UP, _LOOK_RANGE_SIDE = 20 * DEGREE, 15 * DEGREE, 30 * DEGREE
"""Gaze at which the look coefficients are 1: the lids of the head mesh follow the eyes at these ranges."""

_OPENING = np.array([name in ("jawOpen", "mouthPart", "mouthFunnel") for name in LIP_NAMES])
_CLOSE = LIP_NAMES.index("mouthClose")
_BLINK = [EXPRESSION_INDEX["eyeBlinkLeft"], EXPRESSION_INDEX["eyeBlinkRight"]]
_LOOK_DOWN = [EXPRESSION_INDEX["eyeLookDownLeft"], EXPRESSION_INDEX["eyeLookDownRight"]]
_LOOK_UP = [EXPRESSION_INDEX["eyeLookUpLeft"], EXPRESSION_INDEX["eyeLookUpRight"]]
_LOOK_LEFT = [EXPRESSION_INDEX["eyeLookOutLeft"], EXPRESSION_INDEX["eyeLookInRight"]]
_LOOK_RIGHT = [EXPRESSION_INDEX["eyeLookInLeft"], EXPRESSION_INDEX["eyeLookOutRight"]]
_BROWS = [EXPRESSION_INDEX[name] for name in ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")]
_SMILE = [EXPRESSION_INDEX["mouthSmileLeft"], EXPRESSION_INDEX["mouthSmileRight"]]


def _require(name: str, values: tuple[float, ...], low: float, high: float) -> None:
    for value in values:
        if not (isfinite(value) and low <= value <= high):
            raise ValueError(f"{name} must lie between {low} and {high}, got {value}")


@dataclass(frozen=True, slots=True)
class Controls:
    """What a person or a program sets from outside; None leaves it to the idle model.

    `alpha` is the mouth opening, 0 (lips at rest) to 1.5; `pose` the head pose; `gaze` (pitch, yaw) of the eyes in
    radians relative to the head; `blink` how far the lids are down, 0 to 1. Raises `ValueError` out of range.
    """

    alpha: float = 1.0
    pose: HeadPose | None = None
    gaze: tuple[float, float] | None = None
    blink: float | None = None

    def __post_init__(self) -> None:
        _require("alpha", (self.alpha,), 0.0, MAX_ALPHA)
        if self.pose is not None:
            angles = (self.pose.pitch, self.pose.yaw, self.pose.roll)
            _require("pose angles (radians)", angles, -ANGLE_LIMIT, ANGLE_LIMIT)
            _require("pose translation (decimetres)", self.pose.translation, -SHIFT_LIMIT, SHIFT_LIMIT)
        if self.gaze is not None:
            _require("gaze (radians)", self.gaze, -GAZE_LIMIT, GAZE_LIMIT)
        if self.blink is not None:
            _require("blink", (self.blink,), 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class MotionState:
    """What the next frame depends on: the idle model, the head as a damped spring (`pose` and `velocity`, float64
    (6,) in rad and dm), `gaze` (rad), `blink` and the lips last shown; `held` are the lips of the release that has
    `easing` frames to go. A state is a value: stepping leaves it as it was."""

    idle: IdleState
    pose: NDArray[np.float64]
    velocity: NDArray[np.float64]
    gaze: tuple[float, float]
    blink: float
    lips: FloatArray
    held: FloatArray
    easing: int


def scale_lips(bias: FloatArray, alpha: float) -> FloatArray:
    """alpha * dE for lips ``(LIP_SIZE,)``, keeping closures: past 1 only the openings grow, and less as the lips shut.

    Up to alpha = 1 this is ControlTalk's plain product. Beyond it, a p, b or m that touches at 1 touches at 1.5 too.
    """
    if alpha <= 1.0:
        scaled: FloatArray = bias * np.float32(alpha)
        return scaled
    shut = min(max(float(bias[_CLOSE]), 0.0), 1.0)
    return np.where(_OPENING, bias * np.float32(1.0 + (alpha - 1.0) * (1.0 - shut)), bias)


def _toward(value: float, target: float, down: float, up: float) -> float:
    return value + min(max(target - value, -down), up)


class MotionComposer:
    """Composes one `Motion` a frame. `source` float32 (EXPRESSION_SIZE,) is the expression of the source picture, E."""

    def __init__(self, source: FloatArray | None = None) -> None:
        self._source = rest_expression() if source is None else source
        self._decay = exp(-_HEAD_STIFFNESS * STEP)

    def start(self, seed: int) -> MotionState:
        """The state before the first frame: the source picture, at rest. Equal seeds live equal lives."""
        rest = np.zeros(LIP_SIZE, np.float32)
        return MotionState(start_idle(seed), np.zeros(6), np.zeros(6), (0.0, 0.0), 0.0, rest, rest, 0)

    def release(self, state: MotionState) -> MotionState:
        """Let the lips go after an interruption: they ease into the coming ones over `RELEASE_FRAMES` frames."""
        return replace(state, held=state.lips, easing=RELEASE_FRAMES)

    def step(self, state: MotionState, lips_bias: FloatArray, controls: Controls) -> tuple[Motion, MotionState]:
        """The frame for `lips_bias` float32 ``(LIP_SIZE,)``, Audio2Exp's bias dE on the source expression."""
        idle, idle_state = step_idle(state.idle, lips_bias)
        lips = scale_lips(lips_bias, controls.alpha)
        easing = max(0, state.easing - 1)
        if easing:
            x = easing / RELEASE_FRAMES
            lips = lips + np.float32(x * x * (3.0 - 2.0 * x)) * (state.held - lips)

        pose, velocity = self._follow(state, idle.pose if controls.pose is None else _as_vector(controls.pose))
        target = idle.gaze if controls.gaze is None else controls.gaze
        gaze = (
            _toward(state.gaze[0], target[0], _SACCADE, _SACCADE),
            _toward(state.gaze[1], target[1], _SACCADE, _SACCADE),
        )
        closure = idle.blink if controls.blink is None else controls.blink
        blink = _toward(state.blink, closure, _LID_OPENING, _LID_CLOSING)

        expression = self._source + expression_from_lips(lips)
        expression[_SMILE] += (idle.smile_left, idle.smile_right)
        expression[_BROWS] += idle.brows
        self._set_eyes(expression, gaze, blink)
        np.clip(expression, 0.0, 1.0, out=expression)
        pitch, yaw, roll, x, y, z = pose.tolist()
        motion = Motion(expression, HeadPose(pitch, yaw, roll, (x, y, z)), gaze)
        return motion, MotionState(idle_state, pose, velocity, gaze, blink, lips, state.held, easing)

    def _follow(
        self, state: MotionState, target: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A critically damped spring, solved exactly over one frame: no control or gesture can make the head jump."""
        offset = state.pose - target
        drive = state.velocity + _HEAD_STIFFNESS * offset
        pose = target + (offset + drive * STEP) * self._decay
        velocity = (state.velocity - drive * (_HEAD_STIFFNESS * STEP)) * self._decay
        return pose, velocity

    def _set_eyes(self, expression: FloatArray, gaze: tuple[float, float], blink: float) -> None:
        """Lids and look coefficients; the upper lid follows the eye, but a lid that is down stays where it is."""
        pitch, yaw = gaze
        expression[_BLINK] += blink
        expression[_LOOK_DOWN] += max(0.0, pitch) / _LOOK_RANGE_DOWN * (1.0 - blink)
        expression[_LOOK_UP] += max(0.0, -pitch) / _LOOK_RANGE_UP * (1.0 - blink)
        expression[_LOOK_LEFT] += max(0.0, yaw) / _LOOK_RANGE_SIDE
        expression[_LOOK_RIGHT] += max(0.0, -yaw) / _LOOK_RANGE_SIDE


def _as_vector(pose: HeadPose) -> NDArray[np.float64]:
    return np.array([pose.pitch, pose.yaw, pose.roll, *pose.translation])
