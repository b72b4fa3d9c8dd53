"""Blinks: when they come, and how fast the lids close and open."""

from dataclasses import dataclass, replace
from typing import Final

from engines.drift import Stream, draw, smoothstep
from engines.media import STEP

LONGEST_WAIT: Final = 6.0
"""Seconds beyond the first that eyes stay open at most while nobody speaks: longer looks like a stare."""


@dataclass(frozen=True, slots=True)
class Blink:
    """The coming or running blink, number `count`, in seconds; `wait` counts down and runs on below zero while the lids
    move. `double` if it follows at once on another; `waited` how long the eyes have been open."""

    seed: int
    count: int
    wait: float
    closing: float
    shut: float
    opening: float
    double: bool
    waited: float = 0.0

    @classmethod
    def start(cls, seed: int) -> "Blink":
        """The first one."""
        return _draw_blink(seed, 0, alone=True)

    @property
    def closure(self) -> float:
        """How far the lids are down, 0..1."""
        elapsed = -self.wait
        if elapsed <= self.closing:
            return smoothstep(elapsed / self.closing)
        return 1.0 - smoothstep((elapsed - self.closing - self.shut) / self.opening)

    def step(self, speaking: float, paused: bool, glance: bool) -> "Blink":
        """The next frame. People save blinks for the ends of phrases: the wait runs slower while they are `speaking`
        (0..1), and is over where they have `paused`; a large `glance` brings one along."""
        pace = 1.0 - 0.25 * speaking if self.wait > STEP else 1.0
        wait, waited = self.wait - pace * STEP, self.waited + STEP
        if -wait >= self.closing + self.shut + self.opening:
            return _draw_blink(self.seed, self.count + 1, alone=self.double)
        if waited > 0.8:
            if glance and wait > STEP:
                wait = STEP
            elif paused and 0.2 < wait < 2.0:
                wait = 0.2
        return replace(self, wait=wait, waited=waited)


def _draw_blink(seed: int, count: int, alone: bool) -> Blink:
    random = draw(seed, Stream.BLINK, count)
    double = random.random() < 0.12 and not alone
    wait = random.uniform(0.04, 0.2) if double else 1.0 + min(float(random.gamma(3.0, 0.95)), LONGEST_WAIT)
    if count == 0:  # whoever comes in soon sees that the face is alive
        wait = random.uniform(1.0, 2.5)
    # Shut for at least one frame, or a fast blink would pass between two pictures half closed.
    shut = random.uniform(STEP, 1.4 * STEP)
    return Blink(seed, count, wait, random.uniform(0.08, 0.10), shut, random.uniform(0.15, 0.20), double)
