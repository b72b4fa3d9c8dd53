"""How much leaves: the bits of the last second."""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

_WINDOW: Final = 1.0


class Throughput:
    """Remembers a second and no more, whether anybody asks or not. `now` is replaced in tests."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._sent: deque[tuple[float, int]] = deque()
        self._octets = 0

    def add(self, octets: int) -> None:
        """So much leaves at this moment."""
        self._sent.append((self._now(), octets))
        self._octets += octets
        self._forget()

    @property
    def bits(self) -> int:
        """What left in the last second."""
        self._forget()
        return 8 * self._octets

    def _forget(self) -> None:
        horizon = self._now() - _WINDOW
        while self._sent and self._sent[0][0] < horizon:
            self._octets -= self._sent.popleft()[1]
