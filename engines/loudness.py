"""Speech at the level that HuBERT was trained to hear, as it comes in.

Trained on utterances of mean 0 and variance 1, the network hears a stream whose end nobody knows: mean and variance are
those of the last seconds in which somebody spoke. Silence teaches nothing, and is not amplified: without that floor the
noise of a pause would be made as loud as speech, and the lips would twitch.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

HOP: Final = 320
"""Samples that are judged at once: 20 ms at 16 kHz."""
FLOOR: Final = 0.01
"""Root mean square (full scale 1, so -40 dB) below which a hop counts as silence, and to which none is raised."""
_MEMORY_HOPS: Final = 500
"""How long the past counts: 10 s."""
_BEGINNING: Final = 0.05
"""Level expected of a voice that was not heard yet."""
_BEGINNING_HOPS: Final = 10


@dataclass(frozen=True, slots=True)
class Level:
    """What was learnt of a voice so far."""

    mean: float = 0.0
    power: float = _BEGINNING**2
    """Mean square."""
    hops: int = _BEGINNING_HOPS

    @property
    def deviation(self) -> float:
        return float(np.sqrt(max(self.power - self.mean**2, FLOOR**2)))

    def after(self, hop: NDArray[np.float32]) -> "Level":
        """Having heard `hop` float32 (320,)."""
        power = float(np.square(hop, dtype=np.float64).mean())
        if power < FLOOR**2:
            return self
        hops = min(self.hops + 1, _MEMORY_HOPS)
        mean = self.mean + (float(hop.mean(dtype=np.float64)) - self.mean) / hops
        return replace(self, mean=mean, power=self.power + (power - self.power) / hops, hops=hops)


def normalised(level: Level, pcm: NDArray[np.float32]) -> tuple[NDArray[np.float32], Level]:
    """Speech float32 (a multiple of 320,) at about mean 0 and variance 1, each hop by what was known after it.

    Raises ValueError for another number of samples.
    """
    if len(pcm) % HOP:
        raise ValueError(f"expected a multiple of {HOP} samples (20 ms at 16 kHz), got {len(pcm)}")
    hops = []
    for hop in pcm.reshape(-1, HOP):
        level = level.after(hop)
        hops.append((hop - np.float32(level.mean)) / np.float32(level.deviation))
    return np.concatenate(hops) if hops else pcm, level
