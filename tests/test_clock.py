import asyncio
import time

import pytest

from engines.media import MEDIA_RATE
from realtime.clock import MediaClock


class VirtualTime:
    """Time that passes only in `sleep`, which oversleeps by `lateness` seconds."""

    def __init__(self, now: float = 0.0, lateness: float = 0.0) -> None:
        self.value = now
        self.lateness = lateness

    def now(self) -> float:
        return self.value

    async def sleep(self, seconds: float) -> None:
        self.value += seconds + self.lateness
        await asyncio.sleep(0)


def virtual_clock(clock: VirtualTime, delay: int = 0, start: float = 0.0) -> MediaClock:
    return MediaClock(start, 1_000_000.0, delay, clock.now, clock.sleep)


def test_media_time_leaves_a_fixed_delay_after_it_was_read() -> None:
    clock = virtual_clock(VirtualTime(), delay=4800, start=10.0)
    assert clock.release_time(0) == pytest.approx(10.1)
    assert clock.release_time(48_000) == pytest.approx(11.1)


def test_released_counts_the_media_time_that_leaves_now() -> None:
    virtual = VirtualTime(12.0)
    assert virtual_clock(virtual, delay=4800, start=10.0).released() == 2 * MEDIA_RATE - 4800


def test_ntp_moves_with_media_time_and_not_with_now() -> None:
    virtual = VirtualTime()
    clock = virtual_clock(virtual)
    before = clock.ntp(480)
    virtual.value = 99.0
    assert clock.ntp(480) == before
    assert (clock.ntp(MEDIA_RATE * 3600) - clock.ntp(0)) / 2**32 == pytest.approx(3600, abs=1e-9)
    assert clock.ntp(0) >> 32 == 1_000_000 + 2_208_988_800


async def test_waiting_sleeps_until_the_release() -> None:
    virtual = VirtualTime()
    await virtual_clock(virtual, delay=480, start=1.0).wait_release(960)
    assert virtual.value == pytest.approx(1.03)


def test_begin_ties_both_clocks_of_the_machine_to_one_moment() -> None:
    clock = MediaClock.begin(time.monotonic() + 0.5, 0)
    assert clock.wall_start - time.time() == pytest.approx(0.5, abs=0.05)
