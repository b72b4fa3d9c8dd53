"""A face that is alive by itself: blinks, fixations, breathing, slow head drift, and gestures with speech.

Everything is drawn from the seed and steps at `FRAME_RATE`: equal seeds and equal lips give equal motion, and nothing
repeats. A state is a value: stepping leaves it as it was. Resting people blink about 17 times a minute (Bentivoglio et
al. 1997), here 12 to 20; lids close in 80 to 100 ms and open in 150 to 200 ms; a saccade takes a frame or two (Bahill
et al. 1975), the large ones bring the head along and often a blink (Evinger et al. 1994); who speaks breathes in at the
pauses and moves the head with the voice (Hadar et al. 1983).
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engines.blink import Blink
from engines.drift import Drift, Stream, draw, smoothstep
from engines.expression import LIP_NAMES, FloatArray
from engines.eyes import DEGREE
from engines.media import STEP

DRIFT_RANGE: Final = np.array([3.0 * DEGREE, 6.0 * DEGREE, 2.5 * DEGREE, 0.03, 0.015, 0.05, 1.0, 1.0])
"""Bounds of the drift: pitch, yaw, roll (rad), x, y, z (dm), then smile and its tilt in -1..1."""
SWAY_RANGE: Final = np.array([1.6 * DEGREE, 2.2 * DEGREE, 1.4 * DEGREE])
"""Bounds of what the voice adds in pitch, yaw and roll (rad)."""
QUICK_FRAMES, SLOW_FRAMES, SWAY_FRAMES = 30, 150, 16
"""Frames between the knots of the quick and the slow drift and of the sway: 1.2, 6 and 0.64 s."""
HEAD_SHARE: Final = 0.15
"""Part of a glance aside that the head turns along."""
STEADINESS: Final = 0.8
"""Part of the head's motion that the eyes take back to stay with the viewer (the vestibulo-ocular reflex)."""

_JAW = LIP_NAMES.index("jawOpen")
_PART = LIP_NAMES.index("mouthPart")
_GLANCE = 5 * DEGREE
"""Change of gaze from which on a blink may come along."""


class Idle(NamedTuple):
    """One frame of life. `pose` is float64 (6,): pitch, yaw, roll (rad), translation (dm); `gaze` (pitch, yaw) in rad
    relative to the head; `blink`, `brows`, `smile_left` and `smile_right` are coefficients in 0..1."""

    pose: NDArray[np.float64]
    gaze: tuple[float, float]
    blink: float
    brows: float
    smile_left: float
    smile_right: float


@dataclass(frozen=True, slots=True)
class Voice:
    """What the lips tell of the voice. `opening` is the mouth's opening now and `mean` its running mean; `speaking`
    0..1 how much was heard of late, `pace` the same without corners (twice filtered); `paused` in the frame in which
    a phrase ends."""

    opening: float = 0.0
    mean: float = 0.0
    speaking: float = 0.0
    rising: float = 0.0
    pace: float = 0.0
    paused: bool = False

    def step(self, lips: FloatArray) -> "Voice":
        """Hear the next frame's lips ``(LIP_SIZE,)``, whose opening stands for the energy of speech."""
        opening = max(0.0, float(lips[_JAW]) + 0.5 * float(lips[_PART]))
        heard = 1.0 if opening > 0.06 else 0.0
        speaking = self.speaking + (0.3 if heard > self.speaking else 0.08) * (heard - self.speaking)
        rising = self.rising + 0.12 * (speaking - self.rising)
        pace = self.pace + 0.12 * (rising - self.pace)
        mean = self.mean + 0.06 * (self.opening - self.mean)
        return Voice(opening, mean, speaking, rising, pace, self.speaking >= 0.6 > speaking)


@dataclass(frozen=True, slots=True)
class Fixation:
    """Where the eyes rest, (pitch, yaw) in radians off the viewer, and for how many seconds more; `blinks` if a large
    saccade to it goes with a blink."""

    target: tuple[float, float]
    left: float
    blinks: bool = False


def _next_fixation(seed: int, count: int, speaking: float) -> Fixation:
    random = draw(seed, Stream.GAZE, count)
    away, blinks = random.random() < 0.08 + 0.12 * speaking, random.random() < 0.3
    if away:
        side = -1.0 if random.random() < 0.5 else 1.0
        target = (random.uniform(-5.0, 7.0) * DEGREE, side * random.uniform(4.0, 11.0) * DEGREE)
        return Fixation(target, random.uniform(0.4, 1.2), blinks)
    # Small saccades between the viewer's eyes and mouth.
    target = (random.uniform(-0.5, 1.2) * DEGREE, random.uniform(-1.3, 1.3) * DEGREE)
    return Fixation(target, 0.3 + random.gamma(2.0, 0.6), blinks)


def _step_fixation(state: "IdleState", voice: Voice) -> tuple[Fixation, int]:
    left = state.fixation.left - STEP
    if voice.paused:  # who ends a phrase looks up again
        left = min(left, 0.12)
    if left > 0.0:
        return replace(state.fixation, left=left), state.fixations
    return _next_fixation(state.seed, state.fixations + 1, voice.speaking), state.fixations + 1


@dataclass(frozen=True, slots=True)
class Breath:
    """One breath, in seconds: in, out, and a `rest` before the next; `depth` about 1."""

    inhale: float
    exhale: float
    rest: float
    depth: float
    elapsed: float = 0.0

    @property
    def lift(self) -> float:
        """How far the chest is up, 0 to `depth`."""
        if self.elapsed < self.inhale:
            return self.depth * smoothstep(self.elapsed / self.inhale)
        return self.depth * (1.0 - smoothstep((self.elapsed - self.inhale) / self.exhale))


def _next_breath(seed: int, count: int) -> Breath:
    random = draw(seed, Stream.BREATH, count)
    inhale, exhale, rest = random.uniform(1.1, 1.7), random.uniform(1.6, 2.4), random.uniform(0.1, 1.0)
    return Breath(inhale, exhale, rest, random.uniform(0.7, 1.3))


def _step_breath(state: "IdleState", voice: Voice) -> tuple[Breath, int]:
    # Speech is a long breath out, and a pause the time for a quick one in.
    breath = state.breath
    out = breath.elapsed >= breath.inhale
    breath = replace(breath, elapsed=breath.elapsed + STEP * (1.0 - 0.5 * voice.speaking * out))
    ended = breath.elapsed >= breath.inhale + breath.exhale
    if breath.elapsed < breath.inhale + breath.exhale + breath.rest and not (ended and voice.paused):
        return breath, state.breaths
    coming = _next_breath(state.seed, state.breaths + 1)
    return replace(coming, inhale=coming.inhale * (1.0 - 0.5 * voice.pace)), state.breaths + 1


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


def _step_gesture(state: "IdleState", voice: Voice) -> tuple[Gesture, int]:
    gesture = replace(state.gesture, elapsed=state.gesture.elapsed + STEP)
    stressed = voice.opening > 1.3 * voice.mean + 0.08
    if not stressed or gesture.elapsed < gesture.duration + gesture.rest:
        return gesture, state.gestures
    random = draw(state.seed, Stream.GESTURE, state.gestures + 1)
    energy = min(1.0, voice.opening)
    nod = random.uniform(1.0, 2.0) * (0.5 + energy) * DEGREE if random.random() < 0.6 else 0.0
    brows = random.uniform(0.15, 0.35) * (0.5 + energy) if random.random() < 0.22 else 0.0
    return Gesture(nod, brows, 0.0, random.uniform(0.5, 0.8), random.uniform(0.1, 0.9)), state.gestures + 1


@dataclass(frozen=True, slots=True)
class IdleState:
    """Everything that the next frame depends on. `lean` is the part of the head that follows glances, (pitch, yaw) in
    rad, and `leaning` where it goes, smoothed once."""

    seed: int
    quick: Drift
    slow: Drift
    sway: Drift
    blink: Blink
    breath: Breath
    fixation: Fixation = Fixation((0.0, 0.0), 1.2)
    gesture: Gesture = Gesture()
    voice: Voice = Voice()
    breaths: int = 0
    fixations: int = 0
    gestures: int = 0
    leaning: tuple[float, float] = (0.0, 0.0)
    lean: tuple[float, float] = (0.0, 0.0)


def start_idle(seed: int) -> IdleState:
    """The first state. Raises `ValueError` for a negative seed."""
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    return IdleState(
        seed,
        quick=Drift.start(seed, Stream.QUICK_DRIFT, QUICK_FRAMES),
        slow=Drift.start(seed, Stream.SLOW_DRIFT, SLOW_FRAMES),
        sway=Drift.start(seed, Stream.SWAY, SWAY_FRAMES),
        blink=Blink.start(seed),
        breath=_next_breath(seed, 0),
    )


def step_idle(state: IdleState, lips: FloatArray) -> tuple[Idle, IdleState]:
    """One frame of life beside the lips ``(LIP_SIZE,)`` of this frame, whose opening stands for speech energy."""
    voice = state.voice.step(lips)
    fixation, fixations = _step_fixation(state, voice)
    (pitch, yaw), (pitch_before, yaw_before) = fixation.target, state.fixation.target
    glance = fixation.blinks and abs(pitch - pitch_before) + abs(yaw - yaw_before) > _GLANCE
    blink = state.blink.step(voice.speaking, voice.paused, glance)
    breath, breaths = _step_breath(state, voice)
    gesture, gestures = _step_gesture(state, voice)
    leaning = _approach(state.leaning, (HEAD_SHARE * pitch, HEAD_SHARE * yaw))
    following = IdleState(
        state.seed,
        state.quick.step(),
        state.slow.step(),
        state.sway.step(),
        blink,
        breath,
        fixation,
        gesture,
        voice,
        breaths,
        fixations,
        gestures,
        leaning,
        _approach(state.lean, leaning),
    )
    return _show(following), following


def _approach(value: tuple[float, float], target: tuple[float, float]) -> tuple[float, float]:
    return value[0] + 0.2 * (target[0] - value[0]), value[1] + 0.2 * (target[1] - value[1])


def _show(state: IdleState) -> Idle:
    drift = (0.4 * state.quick.value + 0.6 * state.slow.value) * DRIFT_RANGE
    pose = drift[:6]
    pose[:3] += state.voice.pace * SWAY_RANGE * state.sway.value[:3]
    pose[:2] += state.lean
    swell = 2.0 * state.breath.lift - 1.0
    pose[0] += state.gesture.nod * state.gesture.strength - 0.25 * DEGREE * swell
    pose[4] += 0.012 * swell
    smile, tilt = 0.05 + 0.04 * float(drift[6]), 0.015 * float(drift[7])
    target = state.fixation.target
    return Idle(
        pose=pose,
        gaze=(target[0] - STEADINESS * float(pose[0]), target[1] - STEADINESS * float(pose[1])),
        blink=state.blink.closure,
        brows=state.gesture.brows * state.gesture.strength,
        smile_left=max(0.0, smile + tilt),
        smile_right=max(0.0, smile - tilt),
    )
