"""The media clock of one session: when each sample and each picture of it leaves.

Media time 0 is the first sample read from the caller's voice. It is read at `start` and leaves, with the picture that
belongs to it, a fixed `delay` later: both tracks release media time *m* at ``start + (m + delay) / MEDIA_RATE``.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from engines.media import MEDIA_RATE

MEDIA_TIME_BASE: Final = Fraction(1, MEDIA_RATE)
PACKET_TICKS: Final = MEDIA_RATE // 50
"""Media time of one audio packet: 960 ticks, 20 ms."""
_NTP_EPOCH: Final = 2_208_988_800
"""Seconds from 1900, where NTP begins, to 1970 (RFC 868)."""


@dataclass(frozen=True, slots=True)
class MediaClock:
    """Maps media time to the machine's clocks. `start` is in seconds of `now`, `wall_start` the same moment in Unix
    time, `delay` in ticks. `now` and `sleep` are replaced in tests."""

    start: float
    wall_start: float
    delay: int
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    @classmethod
    def begin(cls, start: float, delay: int) -> "MediaClock":
        """A clock whose media time 0 is read at `start`, in seconds of `time.monotonic`."""
        return cls(start, time.time() + start - time.monotonic(), delay)

    def release_time(self, media_time: int) -> float:
        """When `media_time` leaves, in seconds of `now`."""
        return self.start + (media_time + self.delay) / MEDIA_RATE

    def released(self) -> int:
        """The media time that leaves at this moment (negative before the first)."""
        return round((self.now() - self.start) * MEDIA_RATE) - self.delay

    def ntp(self, media_time: int) -> int:
        """The 64-bit NTP timestamp (RFC 3550 section 4) of the moment at which `media_time` leaves."""
        ticks = media_time + self.delay
        return int((self.wall_start + _NTP_EPOCH) * 2**32) + (ticks << 32) // MEDIA_RATE

    async def wait_release(self, media_time: int) -> None:
        """Sleep until `media_time` leaves; return at once when it already should have."""
        await self.wait(self.release_time(media_time))

    async def wait(self, deadline: float) -> None:
        """Sleep until `deadline`, in seconds of `now`."""
        while (remaining := deadline - self.now()) > 0:
            await self.sleep(remaining)
