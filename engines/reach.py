"""How far a head goes in its picture, whatever is asked of it: a source knows the sides of a head only so far, a neck
is only so long, and below the picture's edge a body ends."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.eyes import DEGREE
from engines.media import HeadPose, Motion

MOST_IN_ALL: Final = 1.1
"""Root of the sum of squares of the turns about all three axes, in shares of the most about each."""


@dataclass(frozen=True)
class Reach:
    """Float64 (6,): pitch, yaw, roll (rad), x, y, z (dm), to either side. Up to `free` a head goes as it is asked to,
    beyond it less and less, and never as far as `most`; turned about several axes at once, as far as `MOST_IN_ALL`."""

    free: NDArray[np.float64]
    most: NDArray[np.float64]

    def bring_within(self, motion: Motion) -> Motion:
        """`motion` with a pose that can be shown."""
        asked = motion.pose.vector()
        beyond = np.abs(asked) - self.free
        left = self.most - self.free
        size = np.where(beyond > 0, self.free + left * np.tanh(np.maximum(beyond, 0) / left), np.abs(asked))
        size[:3] /= max(1.0, float(np.linalg.norm(size[:3] / self.most[:3])) / MOST_IN_ALL)
        return replace(motion, pose=HeadPose.from_vector(np.copysign(size, asked)))


RENDERED: Final = Reach(
    np.array([21 * DEGREE, 21 * DEGREE, 21 * DEGREE, 0.1, 0.08, 0.8]),
    np.array([26 * DEGREE, 32 * DEGREE, 34 * DEGREE, 0.3, 0.12, 1.2]),
)
"""Of an avatar whose head, hair and garment are known."""
PHOTO: Final = Reach(
    np.array([0.0, 0.0, 21 * DEGREE, 0.06, 0.06, 0.8]),
    np.array([10 * DEGREE, 12 * DEGREE, 34 * DEGREE, 0.12, 0.12, 1.2]),
)
"""Of a photo: what it does not show of a head's sides has to be smeared over them."""
