"""Frames of a tracker, spaced as they were sent, and gone when they stop."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from engines.drive import UNDRIVEN, Drive
from engines.media import HeadPose
from realtime import drive_buffer
from realtime.drive_buffer import TIMEOUT, DriveBuffer


def turned(yaw: float) -> Drive:
    return Drive(pose=HeadPose(yaw=yaw))


def yaw_of(drive: Drive) -> float:
    assert drive.pose is not None
    return drive.pose.yaw


@pytest.fixture
async def buffer() -> DriveBuffer:
    return DriveBuffer()


@pytest.fixture(autouse=True)
async def closed(buffer: DriveBuffer) -> AsyncIterator[None]:
    yield
    buffer.close()


async def test_reads_lie_between_frames(buffer: DriveBuffer) -> None:
    assert buffer.read(10.0) is UNDRIVEN
    buffer.insert(turned(0.0), 10.0)
    buffer.insert(turned(0.3), 10.03)
    assert buffer.read(9.99) is UNDRIVEN
    assert yaw_of(buffer.read(10.01)) == pytest.approx(0.1)
    assert yaw_of(buffer.read(10.05)) == 0.3, "the newest stands until another comes"


async def test_a_stream_that_stops_lets_go(buffer: DriveBuffer) -> None:
    buffer.insert(turned(0.2), 10.0)
    assert yaw_of(buffer.read(10.0 + 0.9 * TIMEOUT)) == 0.2
    assert buffer.read(10.0 + TIMEOUT) is UNDRIVEN
    buffer.insert(turned(0.4), 20.0)
    assert buffer.read(15.0) is UNDRIVEN
    assert yaw_of(buffer.read(20.0)) == 0.4


async def test_bursts_are_spaced_as_they_were_sent(buffer: DriveBuffer) -> None:
    random = np.random.default_rng(0)
    for frame in range(200):
        sent = frame / 30
        arrival = 100.0 + sent + 0.02 + (0.0 if frame % 10 == 0 else random.exponential(0.015))
        buffer.insert(turned(0.05 * np.sin(sent)), arrival, 7.0 + sent)
    for at in np.arange(105.0, 106.0, 0.04):
        assert yaw_of(buffer.read(at)) == pytest.approx(0.05 * np.sin(at - 100.02), abs=2e-4)


async def test_frames_that_were_overtaken_are_dropped(buffer: DriveBuffer) -> None:
    for sent, arrival, yaw in ((0.0, 10.0, 0.0), (0.2, 10.2, 0.2), (0.1, 10.21, 0.5), (0.3, 10.3, 0.3)):
        buffer.insert(turned(yaw), arrival, sent)
    assert yaw_of(buffer.read(10.1)) == pytest.approx(0.1)


async def test_a_sender_that_begins_anew_is_followed_after_a_pause(buffer: DriveBuffer) -> None:
    buffer.insert(turned(0.1), 10.0, 5000.0)
    buffer.insert(turned(0.2), 11.0, 3.0)
    assert yaw_of(buffer.read(11.0)) == 0.2


async def test_beginning_and_end_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive_buffer, "TIMEOUT", 0.05)
    told: list[bool] = []
    buffer = DriveBuffer(told.append)
    for _ in range(5):
        buffer.insert(turned(0.1), asyncio.get_running_loop().time())
        await asyncio.sleep(0.02)
    assert told == [True]
    await asyncio.sleep(0.1)
    assert told == [True, False]
