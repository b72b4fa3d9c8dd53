"""The voice and the face of one call, on one clock.

The caller's packets -> `JitterBuffer` -> every 20 ms a `Sound` -> `VoiceTrack` (waits for its time) and `Animator` (the
scheduler's workers) -> `FaceTrack` (waits for the same time).
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from engines.drive import Drive
from engines.media import FRAME_TICKS, MEDIA_RATE, MotionFrame, VideoFrame
from engines.scheduler import Scheduler
from realtime.animator import Animator
from realtime.clock import PACKET_TICKS, MediaClock
from realtime.drive_buffer import DriveBuffer
from realtime.engine import Pipeline
from realtime.jitter_buffer import JitterBuffer
from realtime.opus import OpusDecoder
from realtime.page import Page
from realtime.settings import Settings
from realtime.statistics import Statistics
from realtime.tracks import FaceTrack, Sound, VoiceTrack
from realtime.values import expression_values, gaze_values, pose_values

_LOUD: Final = 250.0
"""Root mean square of a packet above which it is voice: 42 dB below full scale."""
_QUIET_PACKETS: Final = 15
"""Packets without voice after which the speaker has stopped: 300 ms."""


class Stream:
    """What a caller says, and what is heard and seen of it. Make it, `start` it once there is a pipeline, let `listen`
    run until the end, `close` it.

    `page` is told who speaks, and how the face moves if it has `subscribed`; `rtp_timestamp` says which picture is
    which. `animator` and `clock` are there from `start` on; `heard` is set by the caller's first packet.
    """

    def __init__(
        self, settings: Settings, statistics: Statistics, page: Page, rtp_timestamp: Callable[[int], int]
    ) -> None:
        self.epoch = 0
        self.subscribed = False
        self.heard = asyncio.Event()
        self.jitter = JitterBuffer(OpusDecoder(), settings.jitter_min_ms / 1000, settings.jitter_max_ms / 1000)
        self.voice = VoiceTrack(self._voice_released)
        self.face = FaceTrack(self._face_released)
        self.drive = DriveBuffer(lambda driving: page.send("drive", driving=driving))
        self.animator: Animator | None = None
        self.clock: MediaClock | None = None
        self._delay = settings.delay_ticks
        self._statistics = statistics
        self._page = page
        self._rtp_timestamp = rtp_timestamp
        self._pictures = False
        self._quiet = _QUIET_PACKETS

    @property
    def undrawn(self) -> int:
        """Frames that were heard and not drawn."""
        return self.animator.undrawn if self.animator is not None else 0

    def released(self) -> int | None:
        """The media time that leaves at this moment."""
        return self.clock.released() if self.clock is not None else None

    def take_packet(self, sequence: int, timestamp: int, payload: bytes, arrival: float) -> None:
        """Take an Opus packet of the caller that came at `arrival` (monotonic seconds)."""
        self.jitter.insert(sequence, timestamp, payload, arrival)
        self.heard.set()

    def start(
        self, scheduler: Scheduler, pipeline: Pipeline, pictures: bool, on_failure: Callable[[Exception], None]
    ) -> None:
        """Begin the clock. Without `pictures` the face moves and is not drawn."""
        self._pictures = pictures
        self.clock = clock = MediaClock.begin(self.jitter.align(time.monotonic()), self._delay)
        on_frame = self._take_frame if pictures else None
        self.animator = Animator(scheduler, pipeline, clock.release_time, on_frame, self._take_motion, on_failure)
        if self.epoch:
            self.animator.interrupt(self.epoch)
        pipeline.drive = _drive(self.drive, clock, self.jitter)
        self.voice.start(clock)
        self.face.start(clock)

    async def listen(self) -> None:
        """Hear the caller until cancelled."""
        assert self.clock is not None and self.animator is not None
        media_time = 0
        while True:
            due = self.clock.start + media_time / MEDIA_RATE
            await self.clock.wait(due)
            voice = self.jitter.read(due)
            if not voice.silent:
                self._statistics.heard(voice.delay)
            sound = Sound(voice.pcm, media_time, self.epoch)
            self.voice.push(sound)
            self.animator.push(sound)
            media_time += PACKET_TICKS

    def interrupt(self) -> float:
        """Silence from the next packet on, the face eases to rest. Returns the seconds played of what was said."""
        self.epoch += 1
        played = self.voice.interrupt(self.epoch) / MEDIA_RATE
        self.face.interrupt(self.epoch)
        if self.animator is not None:
            self.animator.interrupt(self.epoch)
        return played

    def close(self) -> None:
        """Nothing is made or told any more."""
        self.drive.close()
        if self.animator is not None:
            self.animator.close()

    def _take_frame(self, frame: VideoFrame, seconds: float) -> None:
        assert self.clock is not None
        self._statistics.drawn(seconds, self.clock.release_time(frame.media_time) - self.clock.now())
        self.face.push(frame)

    def _take_motion(self, moved: MotionFrame) -> None:
        if self.subscribed and not self._pictures and moved.media_time >= 0:
            self._tell_expression(moved, 0, None)

    def _tell_expression(self, frame: MotionFrame | VideoFrame, late: int, rtp: int | None) -> None:
        motion = frame.motion
        self._page.send(
            "expression",
            media_time=frame.media_time,
            late_ms=late * 1000 // MEDIA_RATE,
            rtp=rtp,
            values=expression_values(motion.expression),
            pose=pose_values(motion.pose),
            gaze=gaze_values(motion.gaze),
        )

    def _voice_released(self, sound: Sound) -> None:
        loud = float(np.square(sound.pcm, dtype=np.float32).mean()) > _LOUD**2
        before, self._quiet = self._quiet, 0 if loud else self._quiet + 1
        if loud and before >= _QUIET_PACKETS:
            self._page.send("speaking", speaking=True)
        elif self._quiet == _QUIET_PACKETS:
            self._page.send("speaking", speaking=False)

    def _face_released(self, frame: VideoFrame, media_time: int) -> None:
        late = media_time - frame.media_time
        self._statistics.released(late > 0)
        if self.subscribed:
            self._tell_expression(frame, late, self._rtp_timestamp(media_time))


def _drive(buffer: DriveBuffer, clock: MediaClock, jitter: JitterBuffer) -> Callable[[int], Drive]:
    """What the tracker saw while the voice in the middle of the frame at a media time was said."""

    def saw(media_time: int) -> Drive:
        return buffer.read(clock.start + (media_time + FRAME_TICKS / 2) / MEDIA_RATE - jitter.target)

    return saw
