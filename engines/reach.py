"""How far a head goes in its picture, whatever is asked of it: a source knows the sides of a head only so far, a neck
is only so long, and below the picture's edge a body ends."""

import math
from dataclasses import dataclass, replace
from typing import Final

from engines.eyes import DEGREE
from engines.media import HeadPose, Motion

MOST_IN_ALL: Final = 1.1
"""Root of the sum of squares of the turns about all three axes, in shares of the most about each."""


@dataclass(frozen=True)
class Reach:
    """Six numbers: pitch, yaw, roll (rad), x, y, z (dm), to either side. Up to `free` a head goes as it is asked to,
    beyond it less and less, and never as far as `most`; turned about several axes at once, as far as `MOST_IN_ALL`."""

    free: tuple[float, ...]
    most: tuple[float, ...]

    def bring_within(self, motion: Motion) -> Motion:
        """`motion` with a pose that can be shown."""
        pose = motion.pose
        asked = (pose.pitch, pose.yaw, pose.roll, *pose.translation)
        shown = [_bring(value, free, most) for value, free, most in zip(asked, self.free, self.most, strict=True)]
        turned = math.hypot(*(value / most for value, most in zip(shown[:3], self.most[:3], strict=True)))
        share = MOST_IN_ALL / max(turned, MOST_IN_ALL)
        pitch, yaw, roll = (value * share for value in shown[:3])
        return replace(motion, pose=HeadPose(pitch, yaw, roll, (shown[3], shown[4], shown[5])))


def _bring(asked: float, free: float, most: float) -> float:
    beyond, left = abs(asked) - free, most - free
    return asked if beyond <= 0 else math.copysign(free + left * math.tanh(beyond / left), asked)


RENDERED: Final = Reach(
    (21 * DEGREE, 21 * DEGREE, 21 * DEGREE, 0.1, 0.08, 0.8),
    (26 * DEGREE, 32 * DEGREE, 34 * DEGREE, 0.3, 0.12, 1.2),
)
"""Of an avatar whose head, hair and garment are known."""
PHOTO: Final = Reach(
    (0.0, 0.0, 21 * DEGREE, 0.06, 0.06, 0.8),
    (10 * DEGREE, 12 * DEGREE, 34 * DEGREE, 0.12, 0.12, 1.2),
)
"""Of a photo: what it does not show of a head's sides has to be smeared over them."""
