"""One call: a voice comes in, a face and the voice go out on one clock, the page is told what happens.

    connecting --(connected, pipeline open, first sound or a moment without any)--> live --> closed

The voice's way: `VoiceReceiver` -> `JitterBuffer` -> every 20 ms `Sound` -> `VoiceTrack` (waits for its time) and
`Animator` (the scheduler's workers) -> `FaceTrack` (waits for the same time).
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from engines.controls import Controls
from engines.drive import Drive
from engines.media import FRAME_TICKS, MEDIA_RATE, MotionFrame, VideoFrame
from engines.scheduler import Scheduler
from realtime.animator import Animator, Ended
from realtime.clock import PACKET_TICKS, MediaClock
from realtime.controls import (
    ChangeAvatar,
    DriveFrame,
    Interrupt,
    Message,
    Ping,
    Set,
    Subscribe,
)
from realtime.drive_buffer import DriveBuffer
from realtime.engine import Avatar, Engine, Pipeline
from realtime.jitter_buffer import JitterBuffer
from realtime.loop_monitor import LoopMonitor
from realtime.metrics import Metrics
from realtime.offer import MAX_CANDIDATES, Fragment, Offer, OfferError
from realtime.opus import OpusDecoder
from realtime.page import Page
from realtime.peer import Peer
from realtime.settings import Settings
from realtime.statistics import Statistics
from realtime.tracks import FaceTrack, Sound, VoiceTrack
from realtime.values import ControlError, expression_values, gaze_values, plain, pose_values

logger = logging.getLogger(__name__)

_FIRST_SOUND: Final = 0.2
"""Seconds that a connected call waits for the microphone before the face appears in silence."""
_LOUD: Final = 250.0
"""Root mean square of a packet above which it is voice: 42 dB below full scale."""
_QUIET_PACKETS: Final = 15
"""Packets without voice after which the speaker has stopped: 300 ms."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What all sessions of a process share. `scheduler` has the pictures made in time, `encoders` encode them, and what
    takes a moment and has no time of its own happens in `background`."""

    settings: Settings
    engine: Engine
    avatars: dict[str, Avatar]
    metrics: Metrics
    monitor: LoopMonitor
    scheduler: Scheduler
    background: Executor
    encoders: Executor


class Session:
    """A call. `secret` is its unguessable name in URLs, `id` the one for logs and pages. Make it, `answer` once;
    everything ends by itself or by `close`."""

    def __init__(
        self, resources: Resources, avatar: Avatar, offer: Offer, on_closed: Callable[["Session"], None]
    ) -> None:
        self.id = secrets.token_hex(4)
        self.secret = secrets.token_urlsafe(24)
        self.etag = f'"{secrets.token_hex(8)}"'
        self.state = "connecting"
        self.epoch = 0
        self._resources = resources
        self._avatar = avatar
        self._offer = offer
        self._on_closed = on_closed
        self._candidates = offer.candidates
        self._born = self._heard_at = time.monotonic()
        self._reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._connected = asyncio.Event()
        self._first_sound = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._page = Page(self._tell_state, self._follow, self._hear)
        self._statistics = Statistics(resources.metrics)
        self._subscribed = False
        self.controls = Controls()
        self._drive = DriveBuffer(lambda driving: self._page.send("drive", driving=driving))
        self._animator: Animator | None = None
        self._clock: MediaClock | None = None
        self._quiet = _QUIET_PACKETS
        settings = resources.settings
        self._jitter = JitterBuffer(OpusDecoder(), settings.jitter_min_ms / 1000, settings.jitter_max_ms / 1000)
        self._voice = VoiceTrack(self._voice_released)
        self._face = FaceTrack(self._face_released)
        self._peer = Peer(settings, offer, self._voice, self._face, self._take_packet, self._hear, resources.encoders)
        connection = self._peer.connection
        connection.on("connectionstatechange", self._connection_changed)
        connection.on("datachannel", self._page.open)
        self._life: asyncio.Task[None] | None = None

    @property
    def quiet_seconds(self) -> float:
        """For how long nothing has come from the caller."""
        return time.monotonic() - self._heard_at

    async def answer(self) -> str:
        """The SDP answer. Raises `OfferError` when WebRTC refuses the offer after all."""
        try:
            sdp = await self._peer.answer()
        except BaseException as error:
            await self._peer.close()
            if isinstance(error, Exception):
                raise OfferError(400, "bad_offer", f"The offer cannot be answered: {error}") from error
            raise
        self._life = asyncio.create_task(self._run(), name=f"session-{self.id}")
        return sdp

    async def trickle(self, fragment: Fragment) -> None:
        """More candidates of the caller. Raises `OfferError` when they are too many or for another ICE session."""
        if fragment.ufrag is not None and fragment.ufrag != self._offer.ufrag:
            raise OfferError(422, "no_restart", "ICE restarts are not supported: DELETE this session and start anew")
        self._candidates += fragment.received
        if self._candidates > MAX_CANDIDATES * len(self._offer.mids):
            raise OfferError(400, "bad_offer", f"Too many candidates: at most {MAX_CANDIDATES} per media section")
        await self._peer.trickle(fragment)

    def end(self, reason: str) -> None:
        """Let the session close itself."""
        if not self._reason.done():
            self._reason.set_result(reason)

    async def close(self, reason: str) -> None:
        """End and wait until nothing is left of it."""
        self.end(reason)
        if self._life is not None:
            await asyncio.wait([self._life])

    async def set_controls(self, change: Set) -> Controls:
        """Change the controls, tell the page, and return how they stand. Raises `ControlError`."""
        if self._animator is None:
            raise ControlError("The call is not live yet: wait for the state event", "not_live")

        def apply(pipeline: Pipeline) -> None:
            pipeline.controls = self.controls = change.apply(pipeline.controls)

        try:
            await self._animator.change(apply)
        except Ended:
            raise ControlError("The call has ended", "not_live") from None
        except ValueError as error:
            raise ControlError(f"The engine refuses this: {error}") from error
        self._page.send("set", **{name: plain(value) for name, value in change.values.items()})
        return self.controls

    def drive(self, frame: DriveFrame) -> None:
        """Follow one frame of a tracker, which comes now."""
        self._drive.insert(frame.drive, time.monotonic(), frame.sent)

    def interrupt(self) -> float:
        """Silence from the next packet on, the face eases to rest. Returns the seconds played of what was said."""
        self.epoch += 1
        played = self._voice.interrupt(self.epoch) / MEDIA_RATE
        self._face.interrupt(self.epoch)
        if self._animator is not None:
            self._animator.interrupt(self.epoch)
        self._resources.metrics.interrupts.inc()
        self._page.send("interrupted", epoch=self.epoch, position=round(played, 3))
        return played

    # The life of a session

    async def _run(self) -> None:
        reason = "internal error"
        try:
            start = self._spawn(self._start())
            await asyncio.wait([self._reason, start], return_when=asyncio.FIRST_COMPLETED)
            reason = await self._reason
        except asyncio.CancelledError:
            reason = "server stopped"
        finally:
            await self._finish(reason)

    async def _start(self) -> None:
        settings, loop = self._resources.settings, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(settings.connect_seconds):
                opening = loop.run_in_executor(self._resources.background, self._open_pipeline)
                await self._connected.wait()
                pipeline = await opening
        except TimeoutError:
            self.end("no connection")
            return
        try:
            async with asyncio.timeout(_FIRST_SOUND):
                await self._first_sound.wait()
        except TimeoutError:
            pass
        on_frame = self._take_frame if self._offer.pictures else None
        self._clock = MediaClock.begin(self._jitter.align(time.monotonic()), settings.delay_ticks)
        self._animator = Animator(
            self._resources.scheduler, pipeline, self._clock.release_time, on_frame, self._take_motion, self._fail
        )
        if self.epoch:
            self._animator.interrupt(self.epoch)
        pipeline.drive = _drive(self._drive, self._clock, self._jitter)
        self._voice.start(self._clock)
        self._face.start(self._clock)
        self._spawn(self._listen(self._clock))
        self._spawn(self._watch())
        self._change_state("live")
        self._resources.metrics.started.inc()

    def _open_pipeline(self) -> Pipeline:
        settings = self._resources.settings
        seed = int(self.id, 16)
        return self._resources.engine.open(self._avatar, seed=seed, lookahead_ms=settings.lookahead_ms)

    async def _finish(self, reason: str) -> None:
        self._change_state("closed", reason=reason)
        await asyncio.sleep(0.01)  # the goodbye leaves
        self._drive.close()
        if self._animator is not None:
            self._animator.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._peer.close()
        self._peer.connection.remove_all_listeners()
        self._statistics.ended(reason)
        self._on_closed(self)
        logger.info("session %s closed: %s", self.id, reason)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        logger.error("session %s failed", self.id, exc_info=error)
        self.end("internal error")

    def _change_state(self, state: str, **more: Any) -> None:
        self.state = state
        self._tell_state(**more)

    def _tell_state(self, **more: Any) -> None:
        delay = self._resources.settings.delay_ticks * 1000 // MEDIA_RATE
        codec, avatar = self._peer.face.codec, self._avatar.id
        self._page.send("state", state=self.state, session=self.id, avatar=avatar, delay_ms=delay, codec=codec, **more)

    # The way of the voice and of the face

    def _hear(self) -> None:
        self._heard_at = time.monotonic()

    def _take_packet(self, sequence: int, timestamp: int, payload: bytes, arrival: float) -> None:
        self._jitter.insert(sequence, timestamp, payload, arrival)
        self._first_sound.set()

    async def _listen(self, clock: MediaClock) -> None:
        media_time = 0
        while True:
            due = clock.start + media_time / MEDIA_RATE
            await clock.wait(due)
            voice = self._jitter.read(due)
            if not voice.silent:
                self._statistics.heard(voice.delay)
            sound = Sound(voice.pcm, media_time, self.epoch)
            self._voice.push(sound)
            assert self._animator is not None
            self._animator.push(sound)
            media_time += PACKET_TICKS

    def _take_frame(self, frame: VideoFrame, seconds: float) -> None:
        assert self._clock is not None
        self._statistics.drawn(seconds, self._clock.release_time(frame.media_time) - self._clock.now())
        self._face.push(frame)

    def _take_motion(self, moved: MotionFrame) -> None:
        if self._subscribed and not self._offer.pictures and moved.media_time >= 0:
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
        if self._subscribed:
            self._tell_expression(frame, late, self._peer.face.rtp_timestamp(media_time))

    async def _watch(self) -> None:
        settings, monitor = self._resources.settings, self._resources.monitor
        while True:
            await asyncio.sleep(1.0)
            if self.quiet_seconds > settings.silence_seconds:
                self.end("nothing arrives")
            elif time.monotonic() - self._born > settings.max_age_seconds:
                self.end("maximum age")
            undrawn = self._animator.undrawn if self._animator is not None else 0
            self._page.send("stats", **self._statistics.tell(self._jitter, self._peer.face, undrawn, monitor.worst))

    # The page

    def _connection_changed(self) -> None:
        state = self._peer.connection.connectionState
        if state == "connected":
            self._connected.set()
        elif state in ("failed", "closed"):
            self.end("disconnected")

    def _follow(self, message: Message) -> None:
        match message:
            case Ping(t):
                self._page.send("pong", t=t, media_time=self._clock.released() if self._clock else None)
            case Subscribe(expression):
                self._subscribed = expression
            case Interrupt():
                self.interrupt()
            case Set() as change:
                self._spawn(self._set(change))
            case DriveFrame() as frame:
                self.drive(frame)
            case ChangeAvatar(id):
                avatar = self._resources.avatars.get(id)
                if avatar is None:
                    known = ", ".join(self._resources.avatars)
                    raise ControlError(f"There is no avatar {id[:40]!r}: choose one of {known}", "unknown_avatar")
                self._spawn(self._change_avatar(avatar))

    async def _set(self, change: Set) -> None:
        try:
            await self.set_controls(change)
        except ControlError as error:
            self._page.send("error", code=error.code, message=str(error))

    async def _change_avatar(self, avatar: Avatar) -> None:
        if self._animator is None:
            self._page.send("error", code="not_live", message="The call is not live yet: wait for the state event")
            return
        loop, resources = asyncio.get_running_loop(), self._resources
        await loop.run_in_executor(resources.background, resources.engine.prepare, avatar)
        with suppress(Ended):
            await self._animator.change(lambda pipeline: setattr(pipeline, "avatar", avatar))
        self._avatar = avatar
        self._page.send("avatar", id=avatar.id)


def _drive(buffer: DriveBuffer, clock: MediaClock, jitter: JitterBuffer) -> Callable[[int], Drive]:
    """What the tracker saw while the voice in the middle of the frame at a media time was said."""

    def saw(media_time: int) -> Drive:
        return buffer.read(clock.start + (media_time + FRAME_TICKS / 2) / MEDIA_RATE - jitter.target)

    return saw
