"""One session's line to the scheduler: the voice goes in on the event loop, and pictures come back to it.

What the scheduler guarantees holds here: all of the voice is heard, in order; the newest picture is drawn; nothing of
before an interruption comes back after it.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from engines.media import AudioChunk, MotionFrame, VideoFrame
from engines.scheduler import Outcome, Scheduler, Step, hush
from realtime.engine import Pipeline
from realtime.resampler import ResamplerState, resample
from realtime.tracks import Sound


class Ended(Exception):
    """The session ended before a change was applied."""


class Animator:
    """Feeds one `Pipeline` whose pictures are wanted at `release_time(media_time)`, in seconds of `time.monotonic`.

    On the event loop, `on_frame` gets every picture with the seconds of work in it, `on_motion` how the face moves in
    every frame, drawn or not, and `on_failure` what went wrong. Without `on_frame` nothing is drawn.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        pipeline: Pipeline,
        release_time: Callable[[int], float],
        on_frame: Callable[[VideoFrame, float], None] | None,
        on_motion: Callable[[MotionFrame], None] = lambda moved: None,
        on_failure: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._seat = scheduler.join(pipeline, self._deliver, draws=on_frame is not None)
        self._lookahead = pipeline.lookahead_ticks
        self._release_time = release_time
        self._on_frame = on_frame
        self._on_motion = on_motion
        self._on_failure = on_failure
        self._resampler = ResamplerState()
        self._half: AudioChunk | None = None
        self._epoch = 0
        self._changes: deque[asyncio.Future[None]] = deque()
        self._closed = False

    @property
    def undrawn(self) -> int:
        """Frames that were heard and not drawn."""
        return self._seat.undrawn

    def push(self, sound: Sound) -> None:
        """Let the face hear 20 ms."""
        pcm, self._resampler = resample(sound.pcm, self._resampler)
        chunk = AudioChunk(pcm, sound.media_time, sound.epoch)
        if self._half is None:
            self._half = chunk
            return
        deadline = self._release_time(self._half.media_time - self._lookahead)
        self._seat.push(Step((self._half, chunk), deadline))
        self._half = None

    def change(self, change: Callable[[Pipeline], None]) -> "asyncio.Future[None]":
        """Apply `change` to the pipeline between two pictures, in a worker's thread. The future tells when; it raises
        what `change` raises, or `Ended`."""
        done = self._loop.create_future()
        self._changes.append(done)
        self._seat.change(change)
        return done

    def interrupt(self, epoch: int) -> None:
        """Forget the voice so far; what waits becomes silence of the new epoch."""
        self._epoch = epoch
        self._resampler = ResamplerState()
        if self._half is not None:
            self._half = hush(self._half, epoch)
        self._changes.append(self._loop.create_future())
        self._seat.interrupt(epoch)

    def close(self) -> None:
        """Nothing comes any more."""
        self._closed = True
        self._seat.leave()
        while self._changes:
            _settle(self._changes.popleft(), Ended())

    def _deliver(self, outcome: Outcome) -> None:
        self._loop.call_soon_threadsafe(self._take, outcome)

    def _take(self, outcome: Outcome) -> None:
        if self._closed:
            return
        for error in outcome.errors:
            _settle(self._changes.popleft(), error)
        if outcome.failure is not None:
            self._on_failure(outcome.failure)
        for moved in outcome.motions:
            if moved.epoch == self._epoch:
                self._on_motion(moved)
        frame = outcome.frame
        if frame is not None and frame.epoch == self._epoch and self._on_frame is not None:
            self._on_frame(frame, outcome.seconds)


def _settle(done: "asyncio.Future[None]", error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
        done.exception()  # looked at: whoever does not wait for it is not told
