"""A face that is alive by itself: blinks, fixations, breathing, slow head drift, and small gestures with speech.

Everything is drawn from the seed and steps at `FRAME_RATE`: equal seeds and equal lips give equal motion, and nothing
repeats. A state is a value: stepping leaves it as it was. Resting people blink about 17 times a minute (Bentivoglio et
al. 1997), here 12 to 20; lids close in 80 to 100 ms and open in 150 to 200 ms; a saccade takes a frame or two (Bahill
et al. 1975).
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engines.expression import LIP_NAMES, FloatArray
from engines.media import FRAME_RATE

STEP: Final = 1.0 / FRAME_RATE
DEGREE: Final = float(np.pi / 180)

DRIFT_RANGE: Final = np.array([3.0 * DEGREE, 6.0 * DEGREE, 2.5 * DEGREE, 0.03, 0.015, 0.05, 1.0, 1.0, 1.0])
"""Bounds of the drift: pitch, yaw, roll (rad), x, y, z (dm), then smile, its tilt and the breathing rate in -1..1."""
KNOT_FRAMES: Final = (30, 150)
"""Frames between the control points of the quick and of the slow drift: 1.2 and 6 s."""
KNOT_SHARES: Final = (0.4, 0.6)

_JAW = LIP_NAMES.index("jawOpen")
_PART = LIP_NAMES.index("mouthPart")


class Stream(IntEnum):
    """Streams of random numbers that do not disturb each other: a nod more shifts no blink."""

    QUICK_DRIFT = 0
    SLOW_DRIFT = 1
    BLINK = 2
    GAZE = 3
    GESTURE = 4


class Idle(NamedTuple):
    """One frame of life. `pose` is float64 (6,): pitch, yaw, roll (rad), translation (dm); `gaze` (pitch, yaw) in rad
    relative to the head; `blink`, `brows`, `smile_left` and `smile_right` are coefficients in 0..1."""

    pose: NDArray[np.float64]
    gaze: tuple[float, float]
    blink: float
    brows: float
    smile_left: float
    smile_right: float


def _draw(seed: int, stream: Stream, count: int) -> np.random.Generator:
    """The generator of event `count` of `stream`: counter-based, so that no generator has to live in the state."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, count, int(stream)]))


def _smoothstep(x: float) -> float:
    x = min(max(x, 0.0), 1.0)
    return x * x * (3.0 - 2.0 * x)


def _spline_table(frames: int) -> NDArray[np.float64]:
    """Weights ``(frames, 4)`` of the uniform cubic B-spline: twice differentiable, inside the hull of its knots."""
    u = np.arange(frames) / frames
    return np.stack([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3], axis=1) / 6.0


_SPLINES = tuple(_spline_table(frames) for frames in KNOT_FRAMES)


@dataclass(frozen=True, slots=True)
class Drift:
    """Smooth noise: `knots` (4, channels) in -1..1, how many were drawn, and the frame since the last one."""

    knots: NDArray[np.float64]
    drawn: int
    frame: int


def _start_drift(seed: int, stream: Stream) -> Drift:
    knots = np.stack([_draw(seed, stream, n).uniform(-1.0, 1.0, len(DRIFT_RANGE)) for n in range(4)])
    return Drift(knots, drawn=4, frame=0)


def _step_drift(drift: Drift, seed: int, stream: Stream) -> Drift:
    if drift.frame + 1 < KNOT_FRAMES[stream]:
        return Drift(drift.knots, drift.drawn, drift.frame + 1)
    knot = _draw(seed, stream, drift.drawn).uniform(-1.0, 1.0, len(DRIFT_RANGE))
    return Drift(np.concatenate([drift.knots[1:], knot[None]]), drift.drawn + 1, 0)


@dataclass(frozen=True, slots=True)
class Blink:
    """The coming or running blink, in seconds; `wait` counts down and runs on below zero while the lids move."""

    wait: float
    closing: float
    shut: float
    opening: float

    @property
    def closure(self) -> float:
        """How far the lids are down, 0..1."""
        elapsed = -self.wait
        if elapsed <= self.closing:
            return _smoothstep(elapsed / self.closing)
        return 1.0 - _smoothstep((elapsed - self.closing - self.shut) / self.opening)


def _next_blink(seed: int, count: int) -> Blink:
    draw = _draw(seed, Stream.BLINK, count)
    doubled = draw.random() < 0.12
    wait = draw.uniform(0.04, 0.2) if doubled else 1.0 + draw.gamma(2.0, 1.55)
    # Shut for at least one frame, or a fast blink would pass between two pictures half closed.
    return Blink(wait, draw.uniform(0.08, 0.10), draw.uniform(STEP, 1.4 * STEP), draw.uniform(0.15, 0.20))


def _step_blink(state: "IdleState", paused: bool) -> tuple[Blink, int]:
    # People save blinks for the ends of phrases: the wait runs slower while they speak, and a pause ends it.
    pace = 1.0 - 0.25 * state.speaking if state.blink.wait > STEP else 1.0
    blink = replace(state.blink, wait=state.blink.wait - pace * STEP)
    if -blink.wait >= blink.closing + blink.shut + blink.opening:
        return _next_blink(state.seed, state.blinks + 1), state.blinks + 1
    if paused and 0.2 < blink.wait < 2.0:
        blink = replace(blink, wait=0.2)
    return blink, state.blinks


@dataclass(frozen=True, slots=True)
class Fixation:
    """Where the eyes rest, (pitch, yaw) in radians off the viewer, and for how many seconds more."""

    target: tuple[float, float]
    left: float


def _next_fixation(seed: int, count: int, speaking: float) -> Fixation:
    draw = _draw(seed, Stream.GAZE, count)
    away = draw.random() < 0.08 + 0.12 * speaking
    if away:
        side = -1.0 if draw.random() < 0.5 else 1.0
        target = (draw.uniform(-5.0, 7.0) * DEGREE, side * draw.uniform(4.0, 11.0) * DEGREE)
        return Fixation(target, draw.uniform(0.4, 1.2))
    # Small saccades between the viewer's eyes and mouth.
    target = (draw.uniform(-0.5, 1.2) * DEGREE, draw.uniform(-1.3, 1.3) * DEGREE)
    return Fixation(target, 0.3 + draw.gamma(2.0, 0.6))


def _step_fixation(state: "IdleState", speaking: float) -> tuple[Fixation, int]:
    left = state.fixation.left - STEP
    if left > 0.0:
        return Fixation(state.fixation.target, left), state.fixations
    return _next_fixation(state.seed, state.fixations + 1, speaking), state.fixations + 1


@dataclass(frozen=True, slots=True)
class Gesture:
    """A nod (rad) and a brow raise (coefficient) on a stressed syllable, `elapsed` of `duration` seconds; then the face
    waits `rest` seconds."""

    nod: float = 0.0
    brows: float = 0.0
    elapsed: float = 0.0
    duration: float = 1.0
    rest: float = 1.0

    @property
    def strength(self) -> float:
        """Rises from 0 to 1 and back, twice differentiable."""
        x = self.elapsed / self.duration
        return (4.0 * x * (1.0 - x)) ** 3 if 0.0 < x < 1.0 else 0.0


def _step_gesture(state: "IdleState", opening: float) -> tuple[Gesture, int]:
    gesture = replace(state.gesture, elapsed=state.gesture.elapsed + STEP)
    stressed = opening > 1.3 * state.opening + 0.08
    if not stressed or gesture.elapsed < gesture.duration + gesture.rest:
        return gesture, state.gestures
    draw = _draw(state.seed, Stream.GESTURE, state.gestures + 1)
    nod = draw.uniform(0.8, 2.0) * DEGREE if draw.random() < 0.6 else 0.0
    brows = draw.uniform(0.12, 0.35) if draw.random() < 0.25 else 0.0
    return Gesture(nod, brows, 0.0, draw.uniform(0.5, 0.8), draw.uniform(0.1, 0.9)), state.gestures + 1


@dataclass(frozen=True, slots=True)
class IdleState:
    """Everything that the next frame depends on. `opening` is the running mean of the mouth's opening, `speaking`
    0..1 how much the voice has been heard of late, `breath` the phase of breathing in radians."""

    seed: int
    quick: Drift
    slow: Drift
    blink: Blink
    fixation: Fixation
    gesture: Gesture = Gesture()
    blinks: int = 0
    fixations: int = 0
    gestures: int = 0
    opening: float = 0.0
    speaking: float = 0.0
    breath: float = 0.0


def start_idle(seed: int) -> IdleState:
    """The first state. Raises `ValueError` for a negative seed."""
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    return IdleState(
        seed,
        quick=_start_drift(seed, Stream.QUICK_DRIFT),
        slow=_start_drift(seed, Stream.SLOW_DRIFT),
        blink=_next_blink(seed, 0),
        fixation=Fixation((0.0, 0.0), 1.2),
    )


def step_idle(state: IdleState, lips: FloatArray) -> tuple[Idle, IdleState]:
    """One frame of life beside the lips ``(LIP_SIZE,)`` of this frame, whose opening stands for speech energy."""
    opening = max(0.0, float(lips[_JAW]) + 0.5 * float(lips[_PART]))
    heard = 1.0 if opening > 0.06 else 0.0
    speaking = state.speaking + (0.3 if heard > state.speaking else 0.08) * (heard - state.speaking)
    paused = state.speaking >= 0.6 > speaking
    quick = _step_drift(state.quick, state.seed, Stream.QUICK_DRIFT)
    slow = _step_drift(state.slow, state.seed, Stream.SLOW_DRIFT)
    blink, blinks = _step_blink(state, paused)
    fixation, fixations = _step_fixation(state, speaking)
    gesture, gestures = _step_gesture(state, opening)

    drift = KNOT_SHARES[0] * (_SPLINES[0][quick.frame] @ quick.knots)
    drift += KNOT_SHARES[1] * (_SPLINES[1][slow.frame] @ slow.knots)
    drift *= DRIFT_RANGE
    breath = (state.breath + 2.0 * np.pi * (0.25 + 0.05 * float(drift[8])) * STEP) % (2.0 * np.pi)
    swell = float(np.sin(breath))
    strength = gesture.strength
    pose = drift[:6]
    pose[0] += gesture.nod * strength - 0.25 * DEGREE * swell
    pose[4] += 0.012 * swell
    smile, tilt = 0.05 + 0.04 * float(drift[6]), 0.015 * float(drift[7])
    idle = Idle(
        pose=pose,
        # The eyes stay with the viewer while the head drifts (the vestibulo-ocular reflex).
        gaze=(fixation.target[0] - 0.8 * float(pose[0]), fixation.target[1] - 0.8 * float(pose[1])),
        blink=blink.closure,
        brows=gesture.brows * strength,
        smile_left=max(0.0, smile + tilt),
        smile_right=max(0.0, smile - tilt),
    )
    return idle, IdleState(
        state.seed,
        quick,
        slow,
        blink,
        fixation,
        gesture,
        blinks,
        fixations,
        gestures,
        opening=state.opening + 0.06 * (opening - state.opening),
        speaking=speaking,
        breath=breath,
    )
