"""Eyes and their lids: gaze angles, ARKit's look coefficients, and a blink that closes whatever else the face does."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.expression import EXPRESSION_INDEX, FloatArray

DEGREE: Final = float(np.pi / 180)
LOOK_DOWN_RANGE: Final = 30 * DEGREE
LOOK_UP_RANGE: Final = 15 * DEGREE
LOOK_SIDE_RANGE: Final = 30 * DEGREE
"""Gaze at which the look coefficients are 1: the lids of the head mesh follow the eyes at these ranges."""


def _both(stem: str) -> list[int]:
    return [EXPRESSION_INDEX[f"{stem}Left"], EXPRESSION_INDEX[f"{stem}Right"]]


_BLINK, _DOWN, _UP = _both("eyeBlink"), _both("eyeLookDown"), _both("eyeLookUp")
_TO_LEFT = [EXPRESSION_INDEX["eyeLookOutLeft"], EXPRESSION_INDEX["eyeLookInRight"]]
_TO_RIGHT = [EXPRESSION_INDEX["eyeLookInLeft"], EXPRESSION_INDEX["eyeLookOutRight"]]
_YIELDING = np.array([_DOWN, _UP, _both("eyeWide"), _both("eyeSquint")])
"""What moves the lids beside a blink, ``(4, 2)``, left and right."""


def set_eyes(expression: FloatArray, gaze: tuple[float, float], lids: NDArray[np.float64]) -> None:
    """Add gaze (pitch, yaw, radians) and `lids` (2,), how far left and right are down, to `expression`, in place.

    The lids follow the gaze, but one that is down stays where it is: wide or squinting eyes and a gaze let go of it, so
    that every blink closes fully.
    """
    pitch, yaw = gaze
    for index in _DOWN if pitch > 0.0 else _UP:
        expression[index] += abs(pitch) / (LOOK_DOWN_RANGE if pitch > 0.0 else LOOK_UP_RANGE)
    for index in _TO_LEFT if yaw > 0.0 else _TO_RIGHT:
        expression[index] += abs(yaw) / LOOK_SIDE_RANGE
    if lids.any():
        expression[_YIELDING] *= 1.0 - np.clip(lids, 0.0, 1.0)
        expression[_BLINK] += lids


def gaze_of(expression: FloatArray) -> tuple[float, float]:
    """Gaze (pitch, yaw) in radians, the mean of both eyes, that the look coefficients of `expression` stand for."""
    pitch = LOOK_DOWN_RANGE * expression[_DOWN].mean() - LOOK_UP_RANGE * expression[_UP].mean()
    yaw = LOOK_SIDE_RANGE * (expression[_TO_LEFT].mean() - expression[_TO_RIGHT].mean())
    return float(pitch), float(yaw)


def lids_of(expression: FloatArray) -> NDArray[np.float64]:
    """How far the left and the right lid of `expression` are down, float64 (2,)."""
    return expression[_BLINK].astype(np.float64)
