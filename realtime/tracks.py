"""The two tracks that leave: both release media time *m* at ``start + m + delay`` of the session's clock.

Sound and pictures wait here, stamped, until their time. Sound never waits for pictures: what has not come by its time
is silence. A picture that is late is dropped and the last one repeated. Whatever carries an older epoch than the
track's is dropped.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from numpy.typing import NDArray

from engines.media import FRAME_TICKS, MEDIA_RATE, VideoFrame
from realtime.clock import MEDIA_TIME_BASE, PACKET_TICKS, MediaClock

VIDEO_RATE: Final = 90_000
VIDEO_TIME_BASE: Final = Fraction(1, VIDEO_RATE)
_SILENCE: Final = np.zeros(PACKET_TICKS, np.int16)
_LATEST_STALL: Final = 10 * PACKET_TICKS
"""A track that wakes up later than this skips ahead instead of sending a burst."""

_MOST_SOUNDS: Final = 100
_MOST_PICTURES: Final = 25
"""What may wait for a sender; a caller that asked for no sound or no pictures never takes them."""


@dataclass(frozen=True, slots=True)
class Sound:
    """20 ms of the voice at 48 kHz: `pcm` int16 ``(960,)``."""

    pcm: NDArray[np.int16]
    media_time: int
    epoch: int


class PacedTrack(MediaStreamTrack):
    """A track that starts with the session's clock. `epoch` is the only one that is let through."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0
        self._start: asyncio.Future[MediaClock] = asyncio.get_running_loop().create_future()

    def start(self, clock: MediaClock) -> None:
        """Begin to release. Both tracks of a session get the same clock at the same time."""
        if not self._start.done():
            self._start.set_result(clock)

    def stop(self) -> None:
        self._start.cancel()
        super().stop()

    async def clock(self) -> MediaClock:
        """The clock, once the track has started. Raises `MediaStreamError` when it ends before."""
        if self.readyState != "live":
            raise MediaStreamError
        try:
            return await asyncio.shield(self._start)
        except asyncio.CancelledError:
            if self._start.cancelled():
                raise MediaStreamError from None
            raise


class VoiceTrack(PacedTrack):
    """48 kHz mono s16, one frame per 20 ms without a gap; pts in media time. `played` counts the ticks of sound of the
    current epoch that left. `on_release` is told of every packet as it leaves."""

    kind = "audio"

    def __init__(self, on_release: Callable[[Sound], None] = lambda sound: None) -> None:
        super().__init__()
        self.played = 0
        self._waiting: deque[Sound] = deque(maxlen=_MOST_SOUNDS)
        self._next = 0
        self._on_release = on_release

    def push(self, sound: Sound) -> None:
        """Add sound, in the order of its media time."""
        self._waiting.append(sound)

    def interrupt(self, epoch: int) -> int:
        """Drop all that waits: the next packet is silence. Returns the ticks of the old epoch that were played."""
        played, self.played = self.played, 0
        self.epoch = epoch
        self._waiting.clear()
        return played

    async def recv(self) -> av.AudioFrame:
        clock = await self.clock()
        await clock.wait_release(self._next)
        if (late := clock.released() - self._next) > _LATEST_STALL:
            self._next += late // PACKET_TICKS * PACKET_TICKS
        sound = self._take(self._next)
        frame = av.AudioFrame.from_ndarray(sound.pcm[None], format="s16", layout="mono")
        frame.sample_rate = MEDIA_RATE
        frame.pts, frame.time_base = self._next, MEDIA_TIME_BASE
        self._next += PACKET_TICKS
        self._on_release(sound)
        return frame

    def _take(self, media_time: int) -> Sound:
        while self._waiting and self._waiting[0].media_time < media_time:
            self._waiting.popleft()
        if self._waiting and self._waiting[0].media_time == media_time:
            sound = self._waiting.popleft()
            if sound.epoch == self.epoch:
                self.played += PACKET_TICKS
                return sound
        return Sound(_SILENCE, media_time, self.epoch)


class FaceTrack(PacedTrack):
    """25 pictures a second, yuv420p, straight from the I420 planes; pts in 90 kHz. `on_release` is told of every
    picture as it leaves, and of the media time in whose place: a later one than its own if it is late, or stands in."""

    kind = "video"

    def __init__(self, on_release: Callable[[VideoFrame, int], None] = lambda frame, media_time: None) -> None:
        super().__init__()
        self._waiting: deque[VideoFrame] = deque(maxlen=_MOST_PICTURES)
        self._last: VideoFrame | None = None
        self._next = 0
        self._on_release = on_release

    def push(self, frame: VideoFrame) -> None:
        """Add a picture, in the order of their media time."""
        if frame.epoch >= self.epoch and frame.media_time >= 0:
            self._waiting.append(frame)

    def interrupt(self, epoch: int) -> None:
        """Drop the pictures of older epochs; the last one stands until one of the new epoch comes."""
        self.epoch = epoch
        kept = [frame for frame in self._waiting if frame.epoch >= epoch]
        self._waiting.clear()
        self._waiting.extend(kept)

    async def recv(self) -> av.VideoFrame:
        clock = await self.clock()
        while True:
            await clock.wait_release(self._next)
            if (late := clock.released() - self._next) > FRAME_TICKS:
                self._next += late // FRAME_TICKS * FRAME_TICKS
            slot, self._next = self._next, self._next + FRAME_TICKS
            while self._waiting and self._waiting[0].media_time <= slot:
                self._last = self._waiting.popleft()
            if self._last is not None:
                return self._release(self._last, slot)

    def _release(self, picture: VideoFrame, slot: int) -> av.VideoFrame:
        self._on_release(picture, slot)
        frame = av.VideoFrame.from_ndarray(picture.planes, format="yuv420p")
        frame.pts, frame.time_base = slot * VIDEO_RATE // MEDIA_RATE, VIDEO_TIME_BASE
        return frame
