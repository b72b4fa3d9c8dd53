"""What a person or a program sets from outside: every part of the motion by itself.

The separation follows PD-FGC (arXiv 2211.14506): lips, head pose, gaze, blink and emotion each have a source of their
own and can be set one at a time without moving the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Final

from engines.emotion import EMOTIONS
from engines.media import HeadPose

MAX_ALPHA: Final = 1.5
MAX_STYLE: Final = 2.0
"""Largest share of the voice's rounding (`pucker`) and spreading (`spread`) that the lips show."""
ANGLE_LIMIT: Final = 0.8
"""Largest pitch, yaw or roll of a head pose control, in radians (46 degrees)."""
SHIFT_LIMIT: Final = 1.0
"""Largest translation of a head pose control along an axis, in decimetres."""
GAZE_LIMIT: Final = 0.6
"""Largest pitch or yaw of the eyes against the head, in radians (34 degrees)."""
ROUNDING: Final = 1e-6
"""By which intensities that should come to 1 may miss it."""


def _require(name: str, values: tuple[float, ...], low: float, high: float) -> None:
    for value in values:
        if not (isfinite(value) and low <= value <= high):
            raise ValueError(f"{name} must lie between {low} and {high}, got {value}")


@dataclass(frozen=True, slots=True)
class Controls:
    """Settings of the face; None leaves a part to its own source (a tracker, or else the idle model).

    `alpha` is the mouth opening, 0 (lips at rest) to 1.5; `pucker` and `spread` are the lips' style: how much of the
    rounding and of the spreading in the voice they show, 0 to 2; `pose` is the head pose; `gaze` (pitch, yaw) of the
    eyes in radians relative to the head; `blink` how far the lids are down, 0 to 1; `emotion` the intensity, 0 to 1, of
    one or more of `EMOTIONS`, at most 1 together. Raises `ValueError` out of range.
    """

    alpha: float = 1.0
    pucker: float = 1.0
    spread: float = 1.0
    pose: HeadPose | None = None
    gaze: tuple[float, float] | None = None
    blink: float | None = None
    emotion: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        _require("alpha", (self.alpha,), 0.0, MAX_ALPHA)
        _require("pucker and spread", (self.pucker, self.spread), 0.0, MAX_STYLE)
        if self.pose is not None:
            check_pose(self.pose)
        if self.gaze is not None:
            _require("gaze (radians)", self.gaze, -GAZE_LIMIT, GAZE_LIMIT)
        if self.blink is not None:
            _require("blink", (self.blink,), 0.0, 1.0)
        if self.emotion is not None:
            check_emotion(self.emotion)


def check_pose(pose: HeadPose) -> None:
    """Raises `ValueError` for a head pose out of range."""
    _require("pose angles (radians)", (pose.pitch, pose.yaw, pose.roll), -ANGLE_LIMIT, ANGLE_LIMIT)
    _require("pose translation (decimetres)", pose.translation, -SHIFT_LIMIT, SHIFT_LIMIT)


def check_emotion(emotion: Mapping[str, float]) -> None:
    """Raises `ValueError` for a name that is not in `EMOTIONS` and for intensities out of range."""
    for name in emotion:
        if name not in EMOTIONS:
            raise ValueError(f"there is no emotion {name!r}: choose one of {', '.join(EMOTIONS)}")
    _require("intensities of emotions", tuple(emotion.values()), 0.0, 1.0)
    if (together := sum(emotion.values())) > 1.0 + ROUNDING:
        raise ValueError(f"the intensities of emotions come to {together:g} together: choose at most 1")
