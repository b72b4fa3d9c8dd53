"""A value whose source may change at any frame, without a jump."""

from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray

from engines.media import STEP

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Handover:
    """The step that a change of source would make is kept as an offset to the new source, and decays critically damped.

    In between, the value follows its source exactly: nothing lags. A control that is set anew counts as a new source,
    so a slider that is dragged is followed softly too. `source` names the current one (None: not begun); `value`,
    `offset` and its `velocity` (per second) are vectors of one length.
    """

    value: Vector
    source: object
    offset: Vector
    velocity: Vector

    @classmethod
    def begin(cls, value: Vector, source: object = None) -> "Handover":
        """At `value`; without a `source`, the first one is taken at once instead of being eased into."""
        rest = np.zeros_like(value)
        return cls(value, source, rest, rest)

    def step(self, source: object, target: Vector, time_constant: float) -> "Handover":
        """The next frame: `target` is what `source` says; an offset falls to 26 % in two `time_constant` (seconds)."""
        offset, velocity = self.offset, self.velocity
        if self.source is not None and source != self.source:
            offset = self.value - target
        rate = 1.0 / time_constant
        pull = velocity + rate * offset
        decay = exp(-rate * STEP)
        offset = (offset + pull * STEP) * decay
        velocity = (velocity - pull * (rate * STEP)) * decay
        return Handover(target + offset, source, offset, velocity)
