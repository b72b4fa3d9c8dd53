import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
import pytest

from engines.controls import Controls
from engines.cost import CostCurve
from engines.drive import Drive
from engines.media import FRAME_TICKS, HeadPose
from engines.scheduler import Scheduler
from engines.workers import Workers, perform_each
from realtime.metrics import Metrics
from realtime.opus import OpusEncoder
from realtime.page import Page
from realtime.settings import Settings
from realtime.statistics import Statistics
from realtime.stream import Stream
from tests.fakes import FakeAvatar, FakeEngine, FakePipeline

pytestmark = pytest.mark.usefixtures("no_leaks")


class Told(Page):
    """A page that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def send(self, kind: str, **values: Any) -> None:
        self.events.append((kind, values))


@asynccontextmanager
async def streaming(
    pictures: bool = True, interrupted: bool = False
) -> AsyncIterator[tuple[Stream, FakePipeline, Told]]:
    page, failures = Told(), list[Exception]()
    stream = Stream(Settings(), Statistics(Metrics()), page, lambda media_time: media_time)
    scheduler = Scheduler(CostCurve.unknown((1,)))
    workers = Workers(scheduler, perform_each, 1)
    workers.start()
    pipeline = FakeEngine().open(FakeAvatar("ada"))
    pipeline.controls = Controls()
    assert stream.released() is None and stream.undrawn == 0
    if interrupted:
        stream.interrupt()
    stream.start(scheduler, pipeline, pictures, failures.append)
    listening = asyncio.create_task(stream.listen())
    try:
        async with asyncio.timeout(20):
            yield stream, pipeline, page
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        stream.close()
        stream.voice.stop()
        stream.face.stop()
        workers.close()
        assert failures == []


async def talk(stream: Stream) -> None:
    """A caller that hums, 20 ms at a time, until cancelled."""
    encoder = OpusEncoder()
    for index in itertools.count():
        tone = 12000 * np.sin(2 * np.pi * 440 * (np.arange(960) + index * 960) / 48000)
        stream.take_packet(index, index * 960, encoder.encode(tone.astype(np.int16)), time.monotonic())
        await asyncio.sleep(0.02)


async def test_silence_is_heard_and_seen_in_step() -> None:
    async with streaming() as (stream, pipeline, page):
        pictures = [await stream.face.recv() for _ in range(3)]
        sounds = [await stream.voice.recv() for _ in range(6)]
        assert [picture.pts for picture in pictures] == [index * 3600 for index in range(3)]
        assert [sound.pts for sound in sounds] == [index * 960 for index in range(6)]
        assert pipeline.epoch == 0 and page.events == []


async def test_who_speaks_is_told_and_an_interruption_says_how_far_it_was_heard() -> None:
    async with streaming() as (stream, _, page):
        talking = asyncio.create_task(talk(stream))
        async with asyncio.timeout(5):
            while ("speaking", {"speaking": True}) not in page.events:
                await stream.voice.recv()
        talking.cancel()
        assert 0 < stream.interrupt() < 1 and stream.epoch == 1
        assert not (await stream.voice.recv()).to_ndarray().any()


async def test_an_interruption_before_the_start_reaches_the_pipeline() -> None:
    async with streaming(interrupted=True) as (stream, pipeline, _):
        await stream.face.recv()
        assert pipeline.epoch == stream.epoch == 1


async def test_without_pictures_the_face_moves_and_is_told_to_who_subscribed() -> None:
    async with streaming(pictures=False) as (stream, pipeline, page):
        stream.subscribed = True
        async with asyncio.timeout(5):
            while len(page.events) < 3:
                await asyncio.sleep(0.01)
        kinds, values = zip(*page.events, strict=True)
        assert set(kinds) == {"expression"} and pipeline.drawn == 0
        assert [each["media_time"] for each in values] == [index * FRAME_TICKS for index in range(len(values))]


async def test_a_tracker_is_followed_at_the_media_time_of_its_frames() -> None:
    async with streaming() as (stream, pipeline, page):
        for _ in range(30):
            stream.drive.insert(Drive(pose=HeadPose(yaw=0.3)), time.monotonic())
            await asyncio.sleep(0.01)
        assert stream.clock is not None
        now = round((time.monotonic() - stream.clock.start + stream.jitter.target - 0.05) * 48_000)
        assert pipeline.drive(now).pose == HeadPose(yaw=0.3)
        assert ("drive", {"driving": True}) in page.events
