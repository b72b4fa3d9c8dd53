"""The vocabulary of the face: which coefficients exist and how the lips map onto them.

An expression is a float32 vector of shape ``(EXPRESSION_SIZE,)``. The first 52 entries are Apple's ARKit
blendshapes in ARKit's order, 0 at rest and 1 at full strength; one channel of our own follows, `tongueUp`
(the tip behind the upper teeth, as in /l/ and /n/), which ARKit has no name for.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

EXPRESSION_NAMES: Final[tuple[str, ...]] = (
    "eyeBlinkLeft",
    "eyeLookDownLeft",
    "eyeLookInLeft",
    "eyeLookOutLeft",
    "eyeLookUpLeft",
    "eyeSquintLeft",
    "eyeWideLeft",
    "eyeBlinkRight",
    "eyeLookDownRight",
    "eyeLookInRight",
    "eyeLookOutRight",
    "eyeLookUpRight",
    "eyeSquintRight",
    "eyeWideRight",
    "jawForward",
    "jawLeft",
    "jawRight",
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthLeft",
    "mouthRight",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "noseSneerLeft",
    "noseSneerRight",
    "tongueOut",
    "tongueUp",
)
EXPRESSION_SIZE: Final = len(EXPRESSION_NAMES)
EXPRESSION_INDEX: Final[dict[str, int]] = {name: index for index, name in enumerate(EXPRESSION_NAMES)}

LIP_CHANNELS: Final[dict[str, tuple[str, ...]]] = {
    "jawOpen": ("jawOpen",),
    "mouthClose": ("mouthClose",),
    "mouthPucker": ("mouthPucker",),
    "mouthFunnel": ("mouthFunnel",),
    "mouthStretch": ("mouthStretchLeft", "mouthStretchRight"),
    "mouthRollLower": ("mouthRollLower",),
    "mouthSmile": ("mouthSmileLeft", "mouthSmileRight"),
    "mouthPart": ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight"),
    "tongueUp": ("tongueUp",),
}
"""What speech moves, symmetric left to right, in the order of Audio2Exp's output, each with the coefficients it
sets. `mouthClose` presses the lips (p, b, m) and `mouthPart` frees them from their rest, in which they touch."""

LIP_NAMES: Final[tuple[str, ...]] = tuple(LIP_CHANNELS)
LIP_SIZE: Final = len(LIP_NAMES)

_SPREAD = np.zeros((LIP_SIZE, EXPRESSION_SIZE), np.float32)
for _row, _targets in enumerate(LIP_CHANNELS.values()):
    for _target in _targets:
        _SPREAD[_row, EXPRESSION_INDEX[_target]] = 1.0


def rest_expression() -> FloatArray:
    """All coefficients at zero: a friendly neutral face with the lips touching."""
    return np.zeros(EXPRESSION_SIZE, np.float32)


def expression_from_lips(lips: FloatArray) -> FloatArray:
    """Spread lip channels ``(..., LIP_SIZE)`` over the full expression ``(..., EXPRESSION_SIZE)``."""
    spread: FloatArray = lips @ _SPREAD
    return spread
