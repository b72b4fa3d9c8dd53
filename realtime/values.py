"""The values of the controls as they travel in JSON: read and checked, and told again."""

import math
import sys
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any, Final

import numpy as np

from engines.controls import MAX_ALPHA, MAX_STYLE, ROUNDING, Controls
from engines.emotion import EMOTIONS
from engines.expression import EXPRESSION_INDEX, EXPRESSION_NAMES, FloatArray
from engines.media import HeadPose

_POSE_LIMITS: Final = dict.fromkeys(("pitch", "yaw", "roll"), 0.6) | dict.fromkeys("xyz", 1.0)
"""Radians, and decimetres."""
_GAZE_LIMITS: Final = {"pitch": 0.5, "yaw": 0.5}
_LARGEST: Final = sys.float_info.max


class ControlError(ValueError):
    """A message that cannot be followed; `code` and the text go back in an `error` event."""

    def __init__(self, message: str, code: str = "bad_message") -> None:
        super().__init__(message)
        self.code = code


def number(value: Any, name: str, limit: float, low: float | None = None) -> float:
    """`value` as a float from `low` (else -`limit`) to `limit`. Raises `ControlError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        raise ControlError(f'"{name}" must be a finite number')
    low = -limit if low is None else low
    if not low <= value <= limit:
        raise ControlError(f'"{name}" is {value:g}: choose {low:g} to {limit:g}')
    return float(value)


def coefficients(values: Any) -> dict[str, float]:
    """Coefficients by ARKit's names. Raises `ControlError`."""
    if not isinstance(values, dict):
        raise ControlError('"values" must be an object with coefficients by name')
    unknown = sorted(set(values) - set(EXPRESSION_INDEX))
    if unknown:
        raise ControlError(f'"values" takes ARKit\'s names and tongueUp (unknown: {", ".join(unknown)[:80]})')
    return {name: number(value, f"values.{name}", 1.0, 0.0) for name, value in values.items()}


def _brought_within(value: Any, name: str, limit: float) -> float:
    """As `number`, for a tracker: people look farther away than a face of ours, which then goes as far as it can."""
    return min(max(number(value, name, math.inf), -limit), limit)


_Reader = Callable[[Any, str, float], float]


def _axes(value: Any, name: str, limits: dict[str, float], read: _Reader) -> list[float]:
    if not isinstance(value, dict) or not value or set(value) - set(limits):
        raise ControlError(f'"{name}" must be null or an object with {", ".join(limits)}')
    return [read(value.get(axis, 0.0), f"{name}.{axis}", limit) for axis, limit in limits.items()]


def _alpha(value: Any) -> float:
    return 1.0 if value is None else number(value, "alpha", MAX_ALPHA, 0.0)


def _pucker(value: Any) -> float:
    return 1.0 if value is None else number(value, "pucker", MAX_STYLE, 0.0)


def _spread(value: Any) -> float:
    return 1.0 if value is None else number(value, "spread", MAX_STYLE, 0.0)


def _pose(value: Any, read: _Reader = number) -> HeadPose | None:
    if value is None:
        return None
    return HeadPose.from_vector(np.array(_axes(value, "pose", _POSE_LIMITS, read)))


def _gaze(value: Any, read: _Reader = number) -> tuple[float, float] | None:
    if value is None:
        return None
    pitch, yaw = _axes(value, "gaze", _GAZE_LIMITS, read)
    return pitch, yaw


def _emotion(value: Any) -> dict[str, float] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) - set(EMOTIONS):
        raise ControlError(f'"emotion" must be null or an object with intensities of {", ".join(EMOTIONS)}')
    intensities = {name: number(intensity, f"emotion.{name}", 1.0, 0.0) for name, intensity in value.items()}
    if (together := sum(intensities.values())) > 1.0 + ROUNDING:
        raise ControlError(f"The emotions come to {together:g} together: choose at most 1")
    return intensities


def _blink(value: Any) -> float | None:
    return None if value is None else number(value, "blink", 1.0, 0.0)


READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "alpha": _alpha,
    "pucker": _pucker,
    "spread": _spread,
    "pose": _pose,
    "gaze": _gaze,
    "blink": _blink,
    "emotion": _emotion,
}
"""What `set` can set, each with the reader of its value; they raise `ControlError`."""
TRACKER_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "pose": partial(_pose, read=_brought_within),
    "gaze": partial(_gaze, read=_brought_within),
    "emotion": _emotion,
}
"""The same for what a tracker sends beside its coefficients."""


def _range(low: float, high: float) -> dict[str, Any]:
    return {"type": "number", "minimum": low, "maximum": high}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


_SCHEMAS: Final = {
    "alpha": _range(0.0, MAX_ALPHA),
    "pucker": _range(0.0, MAX_STYLE),
    "spread": _range(0.0, MAX_STYLE),
    "pose": _object({axis: _range(-limit, limit) for axis, limit in _POSE_LIMITS.items()}),
    "gaze": _object({axis: _range(-limit, limit) for axis, limit in _GAZE_LIMITS.items()}),
    "blink": _range(0.0, 1.0),
    "emotion": _object({name: _range(0.0, 1.0) for name in EMOTIONS}),
}
CONTROLS_SCHEMA: Final = _object({name: {"anyOf": [schema, {"type": "null"}]} for name, schema in _SCHEMAS.items()})
"""What `READERS` read, as JSON Schema."""


def controls_values(controls: Controls) -> dict[str, Any]:
    """`controls` by the names of `set`, ready for JSON."""
    return {item.name: plain(getattr(controls, item.name)) for item in fields(controls)}


def plain(value: Any) -> Any:
    """A value of the controls as `set` takes it."""
    if isinstance(value, HeadPose):
        return pose_values(value)
    if isinstance(value, tuple):
        return gaze_values(value)
    return value


def expression_values(expression: FloatArray) -> dict[str, float]:
    """The coefficients worth telling, by name."""
    told = zip(EXPRESSION_NAMES, expression.tolist(), strict=True)
    return {name: round(value, 4) for name, value in told if value > 0.001}


def pose_values(pose: HeadPose) -> dict[str, float]:
    return {axis: round(value, 4) for axis, value in zip(_POSE_LIMITS, pose.vector().tolist(), strict=True)}


def gaze_values(gaze: tuple[float, float]) -> dict[str, float]:
    return {"pitch": round(gaze[0], 4), "yaw": round(gaze[1], 4)}
