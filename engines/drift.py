"""Smooth noise that never repeats: a uniform cubic B-spline through random knots, one frame at a time."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

CHANNELS: Final = 8


class Stream(IntEnum):
    """Streams of random numbers that do not disturb each other: a nod more shifts no blink."""

    QUICK_DRIFT = 0
    SLOW_DRIFT = 1
    BLINK = 2
    GAZE = 3
    GESTURE = 4
    SWAY = 5
    BREATH = 6


def draw(seed: int, stream: Stream, count: int) -> np.random.Generator:
    """The generator of event `count` of `stream`: counter-based, so that no generator has to live in a state."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, count, int(stream)]))


def smoothstep(x: float) -> float:
    """From 0 to 1 with x, level at both ends."""
    x = min(max(x, 0.0), 1.0)
    return x * x * (3.0 - 2.0 * x)


@cache
def _weights(frames: int) -> NDArray[np.float64]:
    """Weights ``(frames, 4)`` of the uniform cubic B-spline: twice differentiable, inside the hull of its knots."""
    u = np.arange(frames) / frames
    return np.stack([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3], axis=1) / 6.0


@dataclass(frozen=True, slots=True)
class Drift:
    """`knots` (4, CHANNELS) in -1..1, `spacing` frames apart; how many were drawn; the frame since the second one."""

    seed: int
    stream: Stream
    spacing: int
    knots: NDArray[np.float64]
    drawn: int = 4
    frame: int = 0

    @classmethod
    def start(cls, seed: int, stream: Stream, spacing: int) -> "Drift":
        return cls(seed, stream, spacing, np.stack([_knot(seed, stream, count) for count in range(4)]))

    def step(self) -> "Drift":
        """The next frame."""
        if self.frame + 1 < self.spacing:
            return Drift(self.seed, self.stream, self.spacing, self.knots, self.drawn, self.frame + 1)
        knots = np.concatenate([self.knots[1:], _knot(self.seed, self.stream, self.drawn)[None]])
        return Drift(self.seed, self.stream, self.spacing, knots, self.drawn + 1)

    @property
    def value(self) -> NDArray[np.float64]:
        """The noise of this frame, ``(CHANNELS,)`` in -1..1."""
        noise: NDArray[np.float64] = _weights(self.spacing)[self.frame] @ self.knots
        return noise


def _knot(seed: int, stream: Stream, count: int) -> NDArray[np.float64]:
    return draw(seed, stream, count).uniform(-1.0, 1.0, CHANNELS)
