"""What our expressions, poses and glances are in the numbers of a public network: measured, not learned.

The motion extractor of such a network (LivePortrait's M, face-vid2vid's estimator) tells what it sees in a picture. The
avatars that ship can be drawn with any motion; so each motion is drawn, shown to the extractor and compared with the
face at rest, and least squares make one linear map of the differences. That is the family's own way of driving one
face by the picture of another (relative motion), with our avatars as the actors, once instead of in every frame.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.expression import EXPRESSION_INDEX, EXPRESSION_NAMES, FloatArray
from engines.keypoint_face import KeypointFace
from engines.media import HeadPose, Motion

TURN: Final = 0.2
"""Radians by which heads and eyes are turned to be measured."""
SHIFT: Final = 0.15
"""Decimetres by which heads are moved."""
_RIDGE: Final = 1e-3

Draw = Callable[[Motion], NDArray[np.uint8]]
"""Draws one actor with a motion: RGB (512, 512, 3)."""
Look = Callable[[NDArray[np.uint8]], KeypointFace]
"""Tells what a picture shows."""


def motion_vector(motion: Motion) -> FloatArray:
    """Expression, gaze and pose, float32 (E + 8,)."""
    return np.concatenate([motion.expression, motion.gaze, motion.pose.vector()]).astype(np.float32)


def poses_to_show() -> Iterator[Motion]:
    """Every coefficient alone and, about the mouth, with the jaw open as well; every turn and shift, both ways."""
    rest = Motion()
    jaw = EXPRESSION_INDEX["jawOpen"]
    for index, name in enumerate(EXPRESSION_NAMES):
        for opened in (0.0, 0.4) if name.startswith("mouth") or name == "tongueOut" else (0.0,):
            expression = rest.expression.copy()
            expression[jaw] = opened
            # Lips that are drawn together over a jaw that is shut would go through each other.
            expression[index] = 0.4 if name == "mouthClose" else 1.0
            if name != "mouthClose" or opened:
                yield replace(rest, expression=expression)
    for axis in range(2):
        for turn in (-TURN, TURN):
            yield replace(rest, gaze=(turn, 0.0) if axis == 0 else (0.0, turn))
    for axis in range(6):
        for step in (-1, 1):
            vector = np.zeros(6)
            vector[axis] = step * (TURN if axis < 3 else SHIFT)
            yield replace(rest, pose=HeadPose.from_vector(vector))


@dataclass(frozen=True)
class ExpressionTransfer:
    """`matrix` float32 (E + 8, 7 + 3 K): from the change of a motion vector to the change of a `KeypointFace`."""

    matrix: FloatArray

    def __call__(self, motion: Motion) -> FloatArray:
        """What to add to the vector of a face at rest, float32 (7 + 3 K,)."""
        return np.asarray((motion_vector(motion) - motion_vector(Motion())) @ self.matrix, np.float32)

    @classmethod
    def measure(
        cls, actors: Sequence[Draw], look: Look, done: Callable[[], None] = lambda: None
    ) -> "ExpressionTransfer":
        """Show every motion on every actor; `done` is called after each."""
        rest = motion_vector(Motion())
        changes, answers = [], []
        for draw in actors:
            calm = look(draw(Motion())).vector()
            for motion in poses_to_show():
                changes.append(motion_vector(motion) - rest)
                answers.append(look(draw(motion)).vector() - calm)
                done()
        shown = np.array(changes, np.float64)
        squares = shown.T @ shown + _RIDGE * np.eye(len(rest))
        return cls(np.linalg.solve(squares, shown.T @ np.array(answers)).astype(np.float32))

    @classmethod
    def load(cls, path: Path) -> "ExpressionTransfer":
        """Read what `save` wrote. Raises `ValueError` when it was measured with another vocabulary."""
        matrix = np.load(path)
        if matrix.shape[0] != len(motion_vector(Motion())):
            raise ValueError(f"{path} was measured by another version: delete it, and it is measured anew")
        return cls(matrix)

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        part = path.with_suffix(".part.npy")
        np.save(part, self.matrix)
        part.replace(path)
