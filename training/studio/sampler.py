"""Which motions the studio shows: visemes, fixed states, a talking sequence and random mixes."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engines.emotion import EMOTIONS, emotion_expression
from engines.expression import EXPRESSION_INDEX, EXPRESSION_NAMES, LIP_NAMES, LIP_SIZE, FloatArray, expression_from_lips
from engines.eyes import LOOK_DOWN_RANGE, LOOK_UP_RANGE
from engines.media import HeadPose, Motion

VISEMES: dict[str, dict[str, float]] = {
    "neutral": {},
    "P": {"mouthClose": 1.0},
    "A": {"jawOpen": 0.85, "mouthPart": 1.0},
    "E": {"jawOpen": 0.4, "mouthStretch": 0.5, "mouthPart": 1.0, "mouthSmile": 0.2},
    "I": {"jawOpen": 0.2, "mouthStretch": 0.75, "mouthPart": 1.0, "mouthSmile": 0.4},
    "O": {"jawOpen": 0.45, "mouthPucker": 0.6, "mouthFunnel": 0.55, "mouthPart": 1.0},
    "U": {"jawOpen": 0.2, "mouthPucker": 0.9, "mouthFunnel": 0.35, "mouthPart": 1.0},
    "F": {"jawOpen": 0.1, "mouthRollLower": 1.0},
    "L": {"jawOpen": 0.3, "tongueUp": 1.0, "mouthPart": 1.0},
    "smile": {"mouthSmile": 1.0},
}
"""Mouth shapes as strengths of the lip channels (`engines.expression.LIP_CHANNELS`)."""

FARTHEST_TURN = np.array([12.0, 22.0, 8.0])
"""Degrees of pitch, yaw and roll to either side that random motions reach."""

STRONGEST = np.float32(1.6)
"""What a coefficient reaches at most where lips, emotion and whim add up."""

_PARTING = np.array(
    [name.startswith(("jawOpen", "mouthLower", "mouthUpper", "mouthStretch")) for name in EXPRESSION_NAMES]
)


def lips_of(viseme: str) -> FloatArray:
    """Lip channels (LIP_SIZE,) of a viseme."""
    lips = np.zeros(LIP_SIZE, np.float32)
    for name, strength in VISEMES[viseme].items():
        lips[LIP_NAMES.index(name)] = strength
    return lips


def motion(
    lips: FloatArray,
    others: dict[str, float] | None = None,
    blink: tuple[float, float] = (0.0, 0.0),
    gaze: tuple[float, float] = (0.0, 0.0),
    pose: HeadPose | None = None,
    emotion: dict[str, float] | None = None,
) -> Motion:
    """Lip channels, other coefficients by name, blink (left, right), gaze (pitch, yaw) with lids that follow it, and
    intensities of emotions, which do not part lips that are pressed."""
    expression = expression_from_lips(lips)
    pressed = min(float(lips[LIP_NAMES.index("mouthClose")]), 1.0)
    for name, intensity in (emotion or {}).items():
        expression += emotion_expression(name, intensity) * np.where(_PARTING, 1 - pressed, 1).astype(np.float32)
    for name, strength in (others or {}).items():
        expression[EXPRESSION_INDEX[name]] += strength
    for side, shut in zip(("Left", "Right"), blink, strict=True):
        lid = EXPRESSION_INDEX[f"eyeBlink{side}"]
        expression[lid] = max(expression[lid], shut)
        expression[EXPRESSION_INDEX[f"eyeLookDown{side}"]] = max(0.0, gaze[0]) / LOOK_DOWN_RANGE * (1 - shut)
        expression[EXPRESSION_INDEX[f"eyeLookUp{side}"]] = max(0.0, -gaze[0]) / LOOK_UP_RANGE * (1 - shut)
    return Motion(expression, pose or HeadPose(), gaze)


def states() -> dict[str, Motion]:
    """Seventeen fixed motions: the visemes, a blink, a turned head, emotions, and the head far to either side."""
    shown = {name: motion(lips_of(name)) for name in VISEMES}
    shown["blink"] = motion(lips_of("neutral"), blink=(1.0, 1.0))
    turned = HeadPose(np.radians(4.0), np.radians(14.0), np.radians(-3.0))
    shown["turned"] = motion(lips_of("E"), gaze=(0.0, np.radians(-6.0)), pose=turned)
    for emotion, viseme in (("happy", "E"), ("surprised", "neutral"), ("sad", "P")):
        shown[emotion] = motion(lips_of(viseme), emotion={emotion: 0.9})
    for name, yaw in (("far_left", 20.0), ("far_right", -20.0)):
        shown[name] = motion(lips_of("A") * 0.6, pose=HeadPose(np.radians(-3.0), np.radians(yaw), 0.0))
    return shown


def sequence(count: int = 24) -> list[Motion]:
    """About a second of talk with a blink and a slowly moving head."""
    stops = [lips_of(name) for name in ("neutral", "A", "P", "I", "O", "F", "E", "neutral")]
    frames = []
    for index in range(count):
        at = index / (count - 1) * (len(stops) - 1)
        before = min(int(at), len(stops) - 2)
        share = at - before
        share = share * share * (3 - 2 * share)
        shut = max(0.0, 1 - abs(index - count // 2) / 3)
        pitch, yaw, roll = np.radians([2 * np.sin(index * 0.17), 6 * np.sin(index * 0.2), 1.5 * np.sin(index * 0.13)])
        lips = (1 - share) * stops[before] + share * stops[before + 1]
        pose = HeadPose(float(pitch), float(yaw), float(roll))
        frames.append(motion(lips.astype(np.float32), blink=(shut, shut), pose=pose))
    return frames


def _random_lips(rng: np.random.Generator) -> FloatArray:
    """A convex mix of up to three visemes, each channel off by 15 %, sometimes with an unusual jaw."""
    names = list(VISEMES)
    kind = rng.random()
    lips: NDArray[np.floating]
    if kind < 0.2:
        lips = lips_of(names[rng.integers(len(names))])
    elif kind < 0.85:
        first, second = rng.choice(len(names), 2, replace=False)
        share, strength = rng.random(), rng.uniform(0.6, 1.1)
        lips = strength * (share * lips_of(names[first]) + (1 - share) * lips_of(names[second]))
    else:
        chosen = rng.choice(len(names), 3, replace=False)
        shares = rng.dirichlet(np.ones(3))
        lips = shares @ np.stack([lips_of(names[n]) for n in chosen])
    lips = lips * (1 + rng.uniform(-0.15, 0.15, LIP_SIZE))
    jaw, close, part = (LIP_NAMES.index(name) for name in ("jawOpen", "mouthClose", "mouthPart"))
    extreme = rng.random()
    if extreme < 0.10:
        lips[jaw] = rng.uniform(0.3, 1.0)
        lips[part] = max(lips[part], rng.uniform(0.3, 1.0))
        lips[close] *= 0.2
    elif extreme < 0.17:
        lips *= 0.2
        lips[close], lips[jaw] = rng.uniform(0.5, 1.0), rng.uniform(0.0, 0.15)
    elif extreme < 0.25:
        lips += rng.uniform(0, 0.25, LIP_SIZE) * (rng.random(LIP_SIZE) < 0.3)
    elif extreme < 0.35:
        lips *= rng.uniform(0, 0.5)
    elif extreme < 0.45:
        # Speech in a smile: corners, stretched lips and bared teeth at once, which no single mouth shape shows.
        for name in ("mouthSmile", "mouthStretch", "mouthPart"):
            lips[LIP_NAMES.index(name)] = rng.uniform(0.3, 1.0)
        lips[jaw], lips[close] = rng.uniform(0.0, 0.4), 0.0
    return lips.astype(np.float32)


def _random_others(rng: np.random.Generator) -> dict[str, float]:
    """Now and then brows, a squint, wide eyes, a one-sided mouth, or any one coefficient by itself."""
    others: dict[str, float] = {}

    def both(stem: str, strength: float, skew: float = 0.2) -> None:
        for side in ("Left", "Right"):
            others[f"{stem}{side}"] = float(np.clip(strength * (1 + rng.uniform(-skew, skew)), 0, 1))

    if rng.random() < 0.4:
        lift = rng.uniform(-0.7, 1.0)
        if lift > 0:
            others["browInnerUp"] = lift * rng.uniform(0.3, 1)
            both("browOuterUp", lift * rng.uniform(0.3, 1))
        else:
            both("browDown", -lift)
    if rng.random() < 0.2:
        both("eyeSquint" if rng.random() < 0.6 else "eyeWide", rng.uniform(0, 0.8))
    if rng.random() < 0.2:
        both("mouthSmile", rng.uniform(0.1, 0.8), skew=0.4)
    if rng.random() < 0.25:
        rare = ("mouthFrown", "mouthDimple", "mouthPress", "cheekSquint", "noseSneer", "jaw", "mouth")
        stem = rare[rng.integers(len(rare))]
        if stem in ("jaw", "mouth"):
            others[f"{stem}{('Left', 'Right')[rng.integers(2)]}"] = rng.uniform(0, 0.6)
        else:
            both(stem, rng.uniform(0, 0.7), skew=0.5)
    if rng.random() < 0.12:
        middle = ("mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "cheekPuff", "jawForward")
        others[middle[rng.integers(len(middle))]] = rng.uniform(0, 0.8)
    return others


def random_motion(rng: np.random.Generator) -> Motion:
    """A motion as training sees it: every second face talks plainly, a third shows emotions, a quarter stays near
    frontal."""
    lips = _random_lips(rng)
    others = _random_others(rng) if rng.random() < 0.6 else {}
    kind = rng.random()
    shut = rng.random() if kind < 0.15 else 1.0 if kind < 0.23 else rng.uniform(0, 0.1)
    other = shut if rng.random() < 0.85 else float(np.clip(shut + rng.uniform(-0.3, 0.3), 0, 1))
    gaze = (0.0, 0.0)
    if rng.random() < 0.65:
        gaze = (float(np.radians(rng.uniform(-10, 10))), float(np.radians(rng.uniform(-15, 15))))
    reach = 0.15 if rng.random() < 0.25 else 1.0
    pitch, yaw, roll = np.radians(reach * rng.uniform(-1, 1, 3) * FARTHEST_TURN)
    x, y, z = rng.normal(0, (0.03, 0.02, 0.04))
    pose = HeadPose(float(pitch), float(yaw), float(roll), (float(x), float(y), float(z)))
    emotion = _random_emotion(rng) if rng.random() < 0.35 else {}
    drawn = motion(lips, others, (float(shut), float(other)), gaze, pose, emotion)
    return replace(drawn, expression=np.minimum(drawn.expression, STRONGEST))


def _random_emotion(rng: np.random.Generator) -> dict[str, float]:
    """One emotion, or two that share out the intensity; half of all are happy, as people who talk mostly are."""
    names = rng.choice(len(EMOTIONS), 2, replace=False)
    if rng.random() < 0.5:
        names[0] = EMOTIONS.index("happy")
    intensity = float(rng.uniform(0.2, 1.0))
    share = 1.0 if rng.random() < 0.7 or names[0] == names[1] else float(rng.random())
    return {EMOTIONS[names[1]]: intensity * (1 - share), EMOTIONS[names[0]]: intensity * share}
