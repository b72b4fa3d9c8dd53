"""What the trainings share: how the learning rate goes, and how a checkpoint is written."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch


def learning_rate(step: int, steps: int, peak: float, floor: float) -> float:
    """Warm up over 100 steps, hold for a third, fall as a cosine to the share `floor` of `peak`."""
    progress = max(0.0, (step / steps - 0.35) / 0.65)
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return peak * min(1.0, (step + 1) / 100) * (floor + (1 - floor) * fall)


def save_checkpoint(state: Mapping[str, object], path: Path) -> None:
    """Write `path` whole or not at all: whoever is stopped meanwhile keeps the former one."""
    unfinished = path.with_suffix(".partial")
    torch.save(state, unfinished)
    unfinished.replace(path)
