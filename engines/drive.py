"""One frame of a tracker that drives the face: a person's head, eyes and upper face, seen by a camera.

The lips stay with the audio: of the ARKit coefficients that a tracker sends, `DRIVEN` are followed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from engines.expression import EXPRESSION_INDEX, EXPRESSION_NAMES, rest_expression
from engines.eyes import gaze_of, lids_of
from engines.handover import Vector
from engines.media import HeadPose

DRIVEN: Final = tuple(
    name
    for name in EXPRESSION_NAMES
    if name.startswith(("eye", "brow", "cheekSquint", "noseSneer", "mouthFrown", "mouthDimple"))
)
"""Lids, gaze, brows, cheeks, nose, and the corners of the mouth as far as speech does not move them."""

_FACE = np.array([name in DRIVEN and not name.startswith(("eyeBlink", "eyeLook")) for name in EXPRESSION_NAMES])


@dataclass(frozen=True, slots=True)
class Drive:
    """What the tracker saw; None for what it does not follow.

    `face` float64 (EXPRESSION_SIZE,): brows, cheeks, nose, corners of the mouth, squinting and wide eyes, 0 elsewhere;
    `lids` float64 (2,), how far left and right are down; `gaze` (pitch, yaw) in radians relative to the head; `emotion`
    the intensities of emotions, as in `Controls`.
    """

    face: Vector | None = None
    lids: Vector | None = None
    gaze: tuple[float, float] | None = None
    pose: HeadPose | None = None
    emotion: Mapping[str, float] | None = None

    @classmethod
    def from_coefficients(
        cls,
        values: Mapping[str, float] | None,
        *,
        pose: HeadPose | None = None,
        gaze: tuple[float, float] | None = None,
        emotion: Mapping[str, float] | None = None,
    ) -> "Drive":
        """From ARKit coefficients by name, 0..1; one that is left out is 0. `gaze` wins over the look coefficients.

        Raises `KeyError` for an unknown name.
        """
        if values is None:
            return cls(gaze=gaze, pose=pose, emotion=emotion)
        expression = rest_expression()
        for name, value in values.items():
            expression[EXPRESSION_INDEX[name]] = value
        face = np.where(_FACE, expression, 0.0).astype(np.float64)
        return cls(face, lids_of(expression), gaze or gaze_of(expression), pose, emotion)

    def toward(self, other: "Drive", share: float) -> "Drive":
        """The frame at `share` (0..1) of the way to `other`. What only one of them has comes from the nearer one."""
        near = self if share < 0.5 else other

        def mix(one: Vector, two: Vector) -> Vector:
            return one + share * (two - one)

        face, lids, gaze, pose, emotion = near.face, near.lids, near.gaze, near.pose, near.emotion
        if self.face is not None and other.face is not None:
            face = mix(self.face, other.face)
        if self.lids is not None and other.lids is not None:
            lids = mix(self.lids, other.lids)
        if self.gaze is not None and other.gaze is not None:
            pitch, yaw = mix(np.array(self.gaze), np.array(other.gaze)).tolist()
            gaze = pitch, yaw
        if self.pose is not None and other.pose is not None:
            pose = HeadPose.from_vector(mix(self.pose.vector(), other.pose.vector()))
        if self.emotion is not None and other.emotion is not None:
            names = {*self.emotion, *other.emotion}
            emotion = {
                name: (1 - share) * self.emotion.get(name, 0.0) + share * other.emotion.get(name, 0.0) for name in names
            }
        return Drive(face, lids, gaze, pose, emotion)


UNDRIVEN: Final = Drive()
"""No tracker."""
