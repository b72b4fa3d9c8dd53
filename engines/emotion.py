"""Eight emotions as expressions that are added to whatever the face does otherwise.

Each is a set of ARKit coefficients after the action units that EMFACS gives for it (Ekman and Friesen, 1983), for both
sides of the face alike; contempt is left out, because it lives on one side. The mouth takes part with its corners
and a little of its opening only: speech keeps the rest.
"""

from typing import Final

import numpy as np

from engines.expression import EXPRESSION_INDEX, FloatArray, rest_expression

_FACES: Final[dict[str, dict[str, float]]] = {
    # AU 6 + 12: cheeks lift the lower lids, which tells a smile that is meant from one that is worn.
    "happy": {"mouthSmile": 0.7, "cheekSquint": 0.45, "eyeSquint": 0.22, "mouthDimple": 0.15, "browOuterUp": 0.08},
    # A slight 12 under soft lids and raised inner brows.
    "tender": {"mouthSmile": 0.32, "browInnerUp": 0.4, "eyeSquint": 0.1, "eyeBlink": 0.08, "cheekSquint": 0.2},
    # AU 1 + 2 + 5 + 26.
    "surprised": {"browInnerUp": 0.9, "browOuterUp": 0.9, "eyeWide": 0.8, "jawOpen": 0.2, "mouthLowerDown": 0.3},
    # Interest: 1 + 2 and a trace of 12.
    "curious": {"browInnerUp": 0.25, "browOuterUp": 0.6, "eyeWide": 0.3, "mouthSmile": 0.12, "mouthPress": 0.1},
    # AU 1 + 4 + 15, lids heavy.
    "sad": {
        "browInnerUp": 0.85,
        "browDown": 0.15,
        "eyeSquint": 0.2,
        "eyeBlink": 0.1,
        "mouthFrown": 0.85,
        "mouthShrugLower": 0.3,
    },
    # AU 1 + 2 + 4 + 5 + 20.
    "afraid": {
        "browInnerUp": 0.9,
        "browOuterUp": 0.3,
        "browDown": 0.3,
        "eyeWide": 0.85,
        "mouthStretch": 0.4,
        "mouthFrown": 0.2,
        "jawOpen": 0.1,
        "mouthLowerDown": 0.25,
    },
    # AU 4 + 5 + 7 + 23.
    "angry": {
        "browDown": 0.95,
        "eyeWide": 0.2,
        "eyeSquint": 0.45,
        "noseSneer": 0.35,
        "mouthPress": 0.35,
        "mouthFrown": 0.25,
        "jawForward": 0.15,
    },
    # AU 9 + 10 + 17.
    "disgusted": {
        "noseSneer": 0.9,
        "mouthUpperUp": 0.6,
        "browDown": 0.5,
        "eyeSquint": 0.35,
        "cheekSquint": 0.3,
        "mouthFrown": 0.5,
        "mouthShrugLower": 0.4,
    },
}
"""Coefficients at full intensity; a name without a side stands for both."""

EMOTIONS: Final[tuple[str, ...]] = tuple(_FACES)


def _spread(face: dict[str, float]) -> FloatArray:
    expression = rest_expression()
    for name, value in face.items():
        sides = (name,) if name in EXPRESSION_INDEX else (f"{name}Left", f"{name}Right")
        for side in sides:
            expression[EXPRESSION_INDEX[side]] = value
    return expression


EMOTION_BASIS: Final[FloatArray] = np.stack([_spread(face) for face in _FACES.values()])
"""Each of `EMOTIONS` at full intensity, float32 ``(8, EXPRESSION_SIZE)``."""


def emotion_expression(name: str, intensity: float) -> FloatArray:
    """What the emotion adds to an expression: float32 ``(EXPRESSION_SIZE,)``, 0..1, in proportion to `intensity`.

    Raises `ValueError` for a name that is not in `EMOTIONS` or an intensity outside 0..1.
    """
    if name not in EMOTIONS:
        raise ValueError(f"there is no emotion {name!r}: choose one of {', '.join(EMOTIONS)}")
    if not 0.0 <= intensity <= 1.0:
        raise ValueError(f"the intensity of an emotion must lie between 0 and 1, got {intensity}")
    scaled: FloatArray = EMOTION_BASIS[EMOTIONS.index(name)] * np.float32(intensity)
    return scaled
