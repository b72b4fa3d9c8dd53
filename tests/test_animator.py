import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from engines.controls import Controls
from engines.cost import CostCurve
from engines.media import AudioChunk, MotionFrame, VideoFrame
from engines.scheduler import MOST_WAITING, Scheduler
from engines.workers import Workers, perform_each
from realtime.animator import Animator, Ended
from realtime.tracks import Sound
from tests.fakes import FakeAvatar, FakeEngine, FakePipeline, level_of

pytestmark = pytest.mark.usefixtures("no_leaks")


def sound(index: int, epoch: int = 0, level: int = 8000) -> Sound:
    return Sound(np.full(960, level, np.int16), index * 960, epoch)


@asynccontextmanager
async def animated(
    cost: float = 0.0, failures: list[Exception] | None = None
) -> AsyncIterator[tuple[Animator, FakePipeline, list[VideoFrame]]]:
    frames: list[VideoFrame] = []
    told = failures if failures is not None else []
    pipeline = FakeEngine(cost).open(FakeAvatar("ada"), lookahead_ms=0)
    scheduler = Scheduler(CostCurve.unknown((1,)))
    workers = Workers(scheduler, perform_each, 1)
    workers.start()
    animator = Animator(
        scheduler,
        pipeline,
        lambda media_time: time.monotonic() + 0.04,
        lambda frame, seconds: frames.append(frame),
        on_failure=told.append,
    )
    try:
        yield animator, pipeline, frames
    finally:
        animator.close()
        workers.close()


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


async def test_every_forty_milliseconds_of_voice_make_a_picture_of_them() -> None:
    async with animated() as (animator, _, frames):
        for index in range(20):
            animator.push(sound(index, level=8000 if index < 10 else 0))
            await asyncio.sleep(0)
            await until(lambda index=index: len(frames) == (index + 1) // 2)
        assert [frame.media_time for frame in frames] == [index * 1920 for index in range(10)]
        levels = [level_of(frame.planes[:512]) for frame in frames]
        assert min(levels[1:5]) > 0.3 and max(levels[6:]) < 0.05


async def test_a_worker_that_lags_hears_everything_and_draws_the_newest() -> None:
    async with animated(cost=0.03) as (animator, pipeline, frames):
        for index in range(60):
            animator.push(sound(index))
            await asyncio.sleep(0.002)
        await until(lambda: frames[-1].media_time == 58 * 960)
        assert pipeline.pushed == [index * 960 for index in range(60)]
        assert animator.undrawn > 10
        assert animator.undrawn + len(frames) == 30


async def test_a_worker_that_is_stuck_does_not_pile_up() -> None:
    async with animated(cost=0.5) as (animator, pipeline, frames):
        for index in range(200):
            animator.push(sound(index))
            if index < 4:
                await asyncio.sleep(0.01)
        await until(lambda: frames and frames[-1].media_time == 198 * 960)
        assert len(pipeline.pushed) <= 2 * (MOST_WAITING + 2) and pipeline.pushed[-1] == 199 * 960


async def test_an_interruption_in_the_middle_of_a_picture_keeps_the_grid() -> None:
    async with animated() as (animator, pipeline, frames):
        for index in range(3):
            animator.push(sound(index))
        await until(lambda: len(frames) == 1)
        animator.interrupt(1)
        for index in range(3, 8):
            animator.push(sound(index, epoch=1))
            await until(lambda index=index: len(frames) == (index + 1) // 2)
        assert pipeline.epoch == 1
        assert [frame.media_time for frame in frames] == [index * 1920 for index in range(4)]
        assert [frame.epoch for frame in frames] == [0, 1, 1, 1]


async def test_changes_are_applied_and_their_errors_come_back() -> None:
    async with animated() as (animator, pipeline, _):
        await animator.change(lambda changed: setattr(changed, "controls", Controls(alpha=0.5)))
        assert pipeline.controls.alpha == 0.5
        with pytest.raises(ValueError, match="alpha"):
            await animator.change(lambda changed: setattr(changed, "controls", Controls(alpha=9.0)))
        animator.push(sound(0))
        animator.push(sound(1))


async def test_a_change_that_comes_too_late_is_told() -> None:
    async with animated(cost=0.1) as (animator, _, frames):
        animator.push(sound(0))
        animator.push(sound(1))
        await asyncio.sleep(0.02)
        done = animator.change(lambda pipeline: None)
        animator.close()
        with pytest.raises(Ended):
            await done
    assert frames == []


async def test_a_pipeline_that_breaks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: FakePipeline, chunk: AudioChunk) -> MotionFrame | None:
        raise RuntimeError("no ear")

    monkeypatch.setattr(FakePipeline, "hear", broken)
    failures: list[Exception] = []
    async with animated(failures=failures) as (animator, _, frames):
        animator.push(sound(0))
        animator.push(sound(1))
        await until(lambda: failures)
    assert str(failures[0]) == "no ear" and frames == []


async def test_a_picture_that_was_ready_when_the_interruption_came_is_dropped() -> None:
    async with animated() as (animator, _, frames):
        animator.push(sound(0))
        animator.push(sound(1))
        time.sleep(0.1)  # the picture is on its way to this loop
        animator.interrupt(1)
        await asyncio.sleep(0.05)
        assert frames == []
        animator.push(sound(2, epoch=1))
        animator.push(sound(3, epoch=1))
        await until(lambda: frames)
        assert [(frame.epoch, frame.media_time) for frame in frames] == [(1, 1920)]
