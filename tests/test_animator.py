import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
import pytest

from engines.controls import Controls
from engines.media import VideoFrame
from realtime.animator import Animator
from realtime.tracks import Sound
from tests.fakes import FakeEngine, FakePipeline, level_of

pytestmark = pytest.mark.usefixtures("no_leaks")


def sound(index: int, epoch: int = 0, level: int = 8000) -> Sound:
    return Sound(np.full(960, level, np.int16), index * 960, epoch)


@asynccontextmanager
async def animated(cost: float = 0.0) -> AsyncIterator[tuple[Animator, FakePipeline, list[VideoFrame]]]:
    frames: list[VideoFrame] = []
    pipeline = FakeEngine(cost).open(None, lookahead_ms=0)
    with ThreadPoolExecutor(1) as executor:
        animator = Animator(pipeline, executor, lambda frame, seconds: frames.append(frame))
        task = asyncio.create_task(animator.run())
        yield animator, pipeline, frames
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


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
    async with animated(cost=0.5) as (animator, _, frames):
        for index in range(200):
            animator.push(sound(index))
            if index < 4:
                await asyncio.sleep(0.01)
        assert len(animator._waiting) == 25
        await until(lambda: frames and frames[-1].media_time == 198 * 960)


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
