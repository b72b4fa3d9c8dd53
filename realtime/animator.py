"""The face's own strand of one session: the voice goes in on the event loop, pictures are made in a worker thread.

Work goes a picture (40 ms of voice) at a time, never two at once. A worker that lags hears all that waits and draws the
newest only: hearing costs little, so that it catches up at once, and a picture is never later than the making of two.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final

import numpy as np

from engines.media import AudioChunk, MotionFrame, VideoFrame
from realtime.engine import Pipeline
from realtime.resampler import ResamplerState, resample
from realtime.tracks import Sound

_MOST_WAITING: Final = 25
"""Pictures that may wait for the worker, a second: a worker so far behind is stuck, and the oldest voice goes."""

_Pair = tuple[Sound, Sound]
_Change = tuple[Callable[[Pipeline], None], asyncio.Future[None]]


class Animator:
    """Feeds one `Pipeline`. On the event loop, `on_frame` gets every picture with the seconds of work in it, and
    `on_motion` how the face moves in every frame, drawn or not. Without `on_frame` nothing is drawn."""

    def __init__(
        self,
        pipeline: Pipeline,
        executor: Executor,
        on_frame: Callable[[VideoFrame, float], None] | None,
        on_motion: Callable[[MotionFrame], None] = lambda moved: None,
    ) -> None:
        self.undrawn = 0
        self._pipeline = pipeline
        self._executor = executor
        self._on_frame = on_frame
        self._on_motion = on_motion
        self._resampler = ResamplerState()
        self._half: Sound | None = None
        self._waiting: deque[_Pair] = deque()
        self._changes: deque[_Change] = deque()
        self._wake = asyncio.Event()

    def push(self, sound: Sound) -> None:
        """Let the face hear 20 ms."""
        if self._half is None:
            self._half = sound
            return
        self._waiting.append((self._half, sound))
        self._half = None
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.popleft()
            self.undrawn += 1
        self._wake.set()

    def change(self, change: Callable[[Pipeline], None]) -> "asyncio.Future[None]":
        """Apply `change` to the pipeline between two pictures, in the worker thread. The future tells when."""
        done = asyncio.get_running_loop().create_future()
        self._changes.append((change, done))
        self._wake.set()
        return done

    def interrupt(self, epoch: int) -> None:
        """Forget the voice so far; what waits becomes silence of the new epoch."""
        self._waiting = deque((_hush(first, epoch), _hush(second, epoch)) for first, second in self._waiting)
        self._half = _hush(self._half, epoch) if self._half is not None else None
        self.change(lambda pipeline: pipeline.interrupt(epoch))

    async def run(self) -> None:
        """Work until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting or self._changes:
                changes = [self._changes.popleft() for _ in range(len(self._changes))]
                pairs, self._waiting = self._waiting, deque()
                self.undrawn += max(0, len(pairs) - 1)
                errors, motions, frame, seconds = await loop.run_in_executor(self._executor, self._step, changes, pairs)
                for (_, done), error in zip(changes, errors, strict=True):
                    _settle(done, error)
                for moved in motions:
                    self._on_motion(moved)
                if frame is not None and self._on_frame is not None:
                    self._on_frame(frame, seconds)

    def _step(
        self, changes: list[_Change], pairs: deque[_Pair]
    ) -> tuple[list[Exception | None], list[MotionFrame], VideoFrame | None, float]:
        begun = time.perf_counter()
        errors = [_try(change, self._pipeline) for change, _ in changes]
        motions = []
        for sound in (sound for pair in pairs for sound in pair):
            pcm, self._resampler = resample(sound.pcm, self._resampler)
            moved = self._pipeline.hear(AudioChunk(pcm, sound.media_time, sound.epoch))
            if moved is not None:
                motions.append(moved)
        frame = self._pipeline.draw(motions[-1]) if motions and self._on_frame is not None else None
        return errors, motions, frame, time.perf_counter() - begun


def _hush(sound: Sound, epoch: int) -> Sound:
    return Sound(np.zeros_like(sound.pcm), sound.media_time, epoch)


def _try(change: Callable[[Pipeline], None], pipeline: Pipeline) -> Exception | None:
    try:
        change(pipeline)
    except Exception as error:
        return error
    return None


def _settle(done: "asyncio.Future[None]", error: Exception | None) -> None:
    if done.cancelled():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
