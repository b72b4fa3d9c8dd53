"""Measures how late the event loop wakes up: whoever computes on it makes every call's sound stutter."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

_INTERVAL: Final = 0.02
_WINDOW: Final = 50


class LoopMonitor:
    """`worst` is the greatest lag of the last second, in seconds."""

    def __init__(self, on_lag: Callable[[float], object] = lambda lag: None) -> None:
        self._on_lag = on_lag
        self._lags: deque[float] = deque(maxlen=_WINDOW)

    @property
    def worst(self) -> float:
        return max(self._lags, default=0.0)

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = time.monotonic() + _INTERVAL
            await asyncio.sleep(_INTERVAL)
            lag = max(0.0, time.monotonic() - due)
            self._lags.append(lag)
            self._on_lag(lag)
