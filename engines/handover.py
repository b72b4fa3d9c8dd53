"""A value whose source may change at any frame, without a jump."""

from dataclasses import dataclass
from math import exp
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.media import STEP

Vector = NDArray[np.float64]


NEGLIGIBLE: Final = 1e-9
"""An offset, and its change in a second, below which there is none: radians, decimetres or shares."""


@dataclass(frozen=True, slots=True)
class Handover:
    """The step that a change of source would make is kept as an offset to the new source, and decays critically damped.

    In between, the value follows its source exactly: nothing lags. A control that is set anew counts as a new source,
    so a slider that is dragged is followed softly too. `source` names the current one (None: not begun); `value`,
    `offset` and its `velocity` (per second) are vectors of one length; the last two are None while the source is
    followed.
    """

    value: Vector
    source: object
    offset: Vector | None = None
    velocity: Vector | None = None

    @classmethod
    def begin(cls, value: Vector, source: object = None) -> "Handover":
        """At `value`; without a `source`, the first one is taken at once instead of being eased into."""
        return cls(value, source)

    def step(self, source: object, target: Vector, time_constant: float) -> "Handover":
        """The next frame: `target` is what `source` says; an offset falls to 26 % in two `time_constant` (seconds)."""
        offset, velocity = self.offset, self.velocity
        if self.source is not None and source != self.source:
            offset = self.value - target
        if offset is None:
            return Handover(target, source)
        if velocity is None:
            velocity = np.zeros_like(offset)
        rate = 1.0 / time_constant
        pull = velocity + rate * offset
        decay = exp(-rate * STEP)
        offset = (offset + pull * STEP) * decay
        velocity = (velocity - pull * (rate * STEP)) * decay
        if max(np.abs(offset).max(), np.abs(velocity).max()) < NEGLIGIBLE:
            return Handover(target, source)
        return Handover(target + offset, source, offset, velocity)
