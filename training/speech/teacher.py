# ruff: noqa: RUF001 (letters of the phonetic alphabet are what this is about)
"""The articulation teacher: from timed sounds to the lips, by rule.

Every sound has targets for eight articulators and commands each of them with its own strength; neighbours blend by
the dominance functions of Cohen and Massaro, "Modeling coarticulation in synthetic visual speech" (1993): a flat core
and exponential skirts. Then the closures of p, b and m are enforced, and the articulators become the lip channels of
`engines.expression.LIP_NAMES`, all zero at rest.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.expression import LIP_NAMES, FloatArray
from training.speech.phonemes import SILENCE, SYMBOL_INDEX, VOWELS, Phone, closure

ARTICULATORS: Final = ("jaw", "closed", "pucker", "funnel", "spread", "teeth", "corner", "tongue")
"""Jaw opening; lips pressed (1), touching (0.3) or parted (0); lip protrusion; open rounding; spreading; lower lip to
the upper teeth; corners raised; tip of the tongue raised."""
RATE: Final = 100
"""Articulation is computed at this many instants per second and then averaged over video frames."""
LABEL_RATE: Final = 50
_PER_FRAME: Final = 4

REST: Final = (0.03, 0.30, 0.00, 0.00, 0.05, 0.00, 0.00, 0.00)
TARGETS: Final[dict[str, tuple[float, ...]]] = {
    #     jaw  closed pucker funnel spread teeth corner tongue
    "a": (0.85, 0.00, 0.00, 0.05, 0.15, 0.00, 0.05, 0.05),
    "ɑ": (0.85, 0.00, 0.00, 0.15, 0.05, 0.00, 0.00, 0.00),
    "ɒ": (0.75, 0.00, 0.15, 0.45, 0.00, 0.00, 0.00, 0.00),
    "æ": (0.80, 0.00, 0.00, 0.00, 0.35, 0.00, 0.15, 0.10),
    "ɐ": (0.60, 0.00, 0.00, 0.05, 0.15, 0.00, 0.05, 0.05),
    "ʌ": (0.60, 0.00, 0.00, 0.10, 0.10, 0.00, 0.00, 0.00),
    "ə": (0.35, 0.00, 0.05, 0.05, 0.10, 0.00, 0.00, 0.05),
    "ɜ": (0.42, 0.00, 0.20, 0.25, 0.05, 0.00, 0.00, 0.10),
    "ɚ": (0.35, 0.00, 0.25, 0.25, 0.05, 0.00, 0.00, 0.10),
    "ɝ": (0.40, 0.00, 0.25, 0.25, 0.05, 0.00, 0.00, 0.10),
    "ɛ": (0.58, 0.00, 0.00, 0.00, 0.40, 0.00, 0.20, 0.10),
    "e": (0.42, 0.00, 0.00, 0.00, 0.55, 0.00, 0.30, 0.15),
    "ɪ": (0.30, 0.00, 0.00, 0.00, 0.50, 0.00, 0.25, 0.15),
    "i": (0.20, 0.00, 0.00, 0.00, 0.75, 0.00, 0.45, 0.20),
    "ɨ": (0.22, 0.00, 0.00, 0.00, 0.45, 0.00, 0.20, 0.15),
    "o": (0.45, 0.00, 0.60, 0.55, 0.00, 0.00, 0.00, 0.00),
    "ɔ": (0.62, 0.00, 0.30, 0.60, 0.00, 0.00, 0.00, 0.00),
    "ʊ": (0.30, 0.00, 0.60, 0.40, 0.00, 0.00, 0.00, 0.00),
    "u": (0.20, 0.00, 0.90, 0.35, 0.00, 0.00, 0.00, 0.00),
    "ʉ": (0.20, 0.00, 0.75, 0.30, 0.00, 0.00, 0.00, 0.05),
    "ɯ": (0.22, 0.00, 0.10, 0.00, 0.30, 0.00, 0.10, 0.00),
    "y": (0.20, 0.00, 0.80, 0.40, 0.00, 0.00, 0.00, 0.15),
    "ø": (0.38, 0.00, 0.65, 0.50, 0.00, 0.00, 0.00, 0.10),
    "œ": (0.52, 0.00, 0.45, 0.55, 0.00, 0.00, 0.00, 0.10),
    "ʏ": (0.28, 0.00, 0.60, 0.40, 0.00, 0.00, 0.00, 0.10),
    "ɤ": (0.40, 0.00, 0.10, 0.10, 0.20, 0.00, 0.00, 0.00),
    "ɵ": (0.35, 0.00, 0.50, 0.40, 0.00, 0.00, 0.00, 0.05),
    "p": (0.06, 1.00, 0.00, 0.00, 0.05, 0.00, 0.00, 0.00),
    "b": (0.06, 1.00, 0.00, 0.00, 0.05, 0.00, 0.00, 0.00),
    "m": (0.06, 1.00, 0.00, 0.00, 0.05, 0.00, 0.00, 0.00),
    "f": (0.12, 0.25, 0.00, 0.05, 0.10, 1.00, 0.00, 0.00),
    "v": (0.13, 0.22, 0.00, 0.05, 0.10, 0.95, 0.00, 0.00),
    "ʋ": (0.18, 0.10, 0.10, 0.10, 0.10, 0.70, 0.00, 0.00),
    "β": (0.15, 0.60, 0.10, 0.10, 0.05, 0.10, 0.00, 0.00),
    "w": (0.18, 0.00, 0.85, 0.45, 0.00, 0.00, 0.00, 0.00),
    "ɹ": (0.25, 0.00, 0.45, 0.35, 0.00, 0.00, 0.00, 0.35),
    "ɥ": (0.20, 0.00, 0.80, 0.40, 0.00, 0.00, 0.00, 0.10),
    "ʃ": (0.15, 0.00, 0.45, 0.70, 0.00, 0.00, 0.00, 0.30),
    "ʒ": (0.16, 0.00, 0.45, 0.70, 0.00, 0.00, 0.00, 0.30),
    "ɕ": (0.13, 0.00, 0.25, 0.45, 0.20, 0.00, 0.00, 0.30),
    "ʑ": (0.13, 0.00, 0.25, 0.45, 0.20, 0.00, 0.00, 0.30),
    "ʂ": (0.14, 0.00, 0.35, 0.55, 0.10, 0.00, 0.00, 0.30),
    "ʐ": (0.14, 0.00, 0.35, 0.55, 0.10, 0.00, 0.00, 0.30),
    "s": (0.08, 0.00, 0.00, 0.05, 0.35, 0.00, 0.10, 0.45),
    "z": (0.09, 0.00, 0.00, 0.05, 0.35, 0.00, 0.10, 0.45),
    "t": (0.14, 0.00, 0.00, 0.00, 0.20, 0.00, 0.05, 0.75),
    "d": (0.15, 0.00, 0.00, 0.00, 0.20, 0.00, 0.05, 0.75),
    "n": (0.18, 0.00, 0.00, 0.00, 0.20, 0.00, 0.05, 0.80),
    "l": (0.26, 0.00, 0.00, 0.00, 0.15, 0.00, 0.05, 1.00),
    "θ": (0.18, 0.00, 0.00, 0.00, 0.20, 0.15, 0.00, 0.90),
    "ð": (0.18, 0.00, 0.00, 0.00, 0.20, 0.15, 0.00, 0.90),
    "r": (0.24, 0.00, 0.05, 0.05, 0.15, 0.00, 0.00, 0.70),
    "ɾ": (0.20, 0.00, 0.00, 0.00, 0.20, 0.00, 0.00, 0.80),
    "j": (0.20, 0.00, 0.00, 0.00, 0.60, 0.00, 0.35, 0.20),
    "ʎ": (0.22, 0.00, 0.00, 0.00, 0.40, 0.00, 0.20, 0.80),
    "ɲ": (0.18, 0.00, 0.00, 0.00, 0.40, 0.00, 0.20, 0.60),
    "k": (0.25, 0.00, 0.00, 0.00, 0.10, 0.00, 0.00, 0.10),
    "ɡ": (0.25, 0.00, 0.00, 0.00, 0.10, 0.00, 0.00, 0.10),
    "ŋ": (0.25, 0.00, 0.00, 0.00, 0.10, 0.00, 0.00, 0.10),
    "x": (0.30, 0.00, 0.00, 0.05, 0.10, 0.00, 0.00, 0.10),
    "ɣ": (0.30, 0.00, 0.00, 0.05, 0.10, 0.00, 0.00, 0.10),
    "ʁ": (0.32, 0.00, 0.00, 0.05, 0.10, 0.00, 0.00, 0.05),
    "ç": (0.20, 0.00, 0.00, 0.00, 0.50, 0.00, 0.25, 0.20),
    "h": (0.35, 0.00, 0.00, 0.00, 0.10, 0.00, 0.00, 0.00),
    "ʔ": (0.30, 0.00, 0.00, 0.00, 0.10, 0.00, 0.00, 0.00),
    SILENCE: REST,
}
_VOWEL_STRENGTH: Final = (2.2, 3.0, 2.2, 2.2, 2.2, 2.0, 2.2, 1.2)
_STRENGTHS: Final[dict[str, tuple[float, ...]]] = {
    "pbm": (5.0, 4.0, 0.6, 0.6, 0.4, 3.0, 0.3, 0.3),
    "fvʋ": (3.0, 4.0, 0.8, 0.8, 0.6, 8.0, 0.4, 0.4),
    "wɥ": (2.0, 3.0, 5.0, 4.0, 3.0, 2.0, 2.0, 0.5),
    "ʃʒɕʑʂʐ": (3.0, 3.0, 3.0, 4.0, 2.0, 2.0, 1.5, 2.0),
    "szçj": (3.0, 3.0, 0.8, 0.8, 1.2, 2.0, 0.8, 2.0),
    "ɹ": (1.5, 3.0, 2.2, 2.0, 1.0, 2.0, 0.6, 1.5),
    "tdnlθðrɾʎɲ": (1.8, 3.0, 0.3, 0.3, 0.4, 2.0, 0.3, 4.0),
    "βkɡŋxɣʁhʔ": (0.8, 3.0, 0.2, 0.2, 0.25, 2.0, 0.2, 0.7),
}
STRENGTH: Final = dict.fromkeys(VOWELS, _VOWEL_STRENGTH) | {
    sound: strength for sounds, strength in _STRENGTHS.items() for sound in sounds
}
"""How firmly each sound commands each articulator: its dominance."""


def _dominance(phone: Phone, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """The dominance of one sound at these instants, per articulator: ``(n, 8)``."""
    start, end = phone.start, phone.end
    if phone.symbol == SILENCE:  # a short pause hardly lets the mouth go to rest
        strength = np.full(len(ARTICULATORS), 0.25 if end - start < 0.08 else 1.6)
        margin, attack, decay = min(0.06, 0.3 * (end - start)), 18.0, 18.0
    elif phone.symbol in "pbmfv":
        strength, margin, attack, decay = np.array(STRENGTH[phone.symbol]), 0.0, 45.0, 45.0
    else:
        strength, margin = np.array(STRENGTH[phone.symbol]), 0.25 * (end - start)
        attack, decay = (14.0, 16.0) if phone.symbol in VOWELS else (22.0, 24.0)
    early = np.maximum(start + margin - time, 0.0) * attack
    late = np.maximum(time - (end - margin), 0.0) * decay
    result: NDArray[np.float64] = np.exp(-early - late)[:, None] * strength
    return result


def articulation(phones: Sequence[Phone], seconds: float) -> FloatArray:
    """The articulators at `RATE`: float32 ``(round(seconds * RATE), 8)`` in the order of `ARTICULATORS`, 0 to 1."""
    count = round(seconds * RATE)
    time = (np.arange(count) + 0.5) / RATE
    weights = np.full((count, len(ARTICULATORS)), 1e-4)
    total = weights * np.array(REST)
    closures = []
    for phone in phones:
        closed = closure(phone)
        if closed is not None:
            closures.append(closed)
            phone = Phone(phone.symbol, *closed)
        near = slice(max(0, int((phone.start - 0.35) * RATE)), max(0, int((phone.end + 0.35) * RATE) + 1))
        dominance = _dominance(phone, time[near])
        total[near] += dominance * np.array(TARGETS[phone.symbol])
        weights[near] += dominance
    pose = total / weights
    for start, end in closures:
        outside = np.abs(time - (start + end) / 2) - max((end - start) / 2, 0.022)
        grip = np.clip(1.0 - np.maximum(outside, 0.0) / 0.03, 0.0, 1.0)
        pose[:, 1] = np.maximum(pose[:, 1], grip)
        pose[:, 0] *= 1.0 - 0.85 * grip
    return pose.astype(np.float32)


def lips(pose: FloatArray) -> FloatArray:
    """From articulators ``(n, 8)`` to lip channels, float32 ``(n // 4, 9)``: one row of `LIP_NAMES` per video frame.

    Each channel is measured from rest, so that silence is exactly zero. A frame shows the mean of its 40 ms, except
    that a closure shorter than the frame still shows.
    """
    samples = pose[: len(pose) // _PER_FRAME * _PER_FRAME].reshape(-1, _PER_FRAME, len(ARTICULATORS))
    mean = samples.mean(axis=1)
    closed = np.maximum(mean[:, 1], (samples[:, 1:3, 1].mean(axis=1) + samples[:, :, 1].max(axis=1)) / 2)
    away = np.clip((mean - REST) / (1.0 - np.array(REST)), 0.0, 1.0)
    channels = {
        "jawOpen": away[:, 0],
        "mouthClose": np.clip((closed - REST[1]) / (1.0 - REST[1]), 0.0, 1.0),
        "mouthPucker": away[:, 2],
        "mouthFunnel": away[:, 3],
        "mouthStretch": away[:, 4],
        "mouthRollLower": away[:, 5],
        "mouthSmile": away[:, 6],
        "mouthPart": np.clip(1.0 - closed / REST[1], 0.0, 1.0),
        "tongueUp": away[:, 7],
    }
    return np.stack([channels[name] for name in LIP_NAMES], axis=1).astype(np.float32)


def labels(phones: Sequence[Phone], seconds: float) -> NDArray[np.uint8]:
    """The class of the sound in each 20 ms, uint8 ``(round(seconds * LABEL_RATE),)``: indices into `SYMBOLS`."""
    result = np.zeros(round(seconds * LABEL_RATE), np.uint8)
    for phone in phones:
        first, last = (max(0, round(seconds * LABEL_RATE)) for seconds in (phone.start, phone.end))
        result[first:last] = SYMBOL_INDEX[phone.symbol]
    return result
