"""One call: a voice comes in, a face and the voice go out on one clock, the page is told what happens.

    connecting --(connected, pipeline open, first sound or a moment without any)--> live --> closed

What it hears and shows is its `Stream`.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from engines.media import MEDIA_RATE
from realtime.controls import (
    ChangeAvatar,
    DriveFrame,
    Interrupt,
    Message,
    Ping,
    Set,
    Subscribe,
)
from realtime.director import Director
from realtime.engine import Avatar, Pipeline
from realtime.offer import MAX_CANDIDATES, Fragment, Offer, OfferError
from realtime.page import Page
from realtime.peer import Peer
from realtime.placement import Place
from realtime.resources import Resources
from realtime.statistics import Statistics
from realtime.stream import Stream
from realtime.values import ControlError

logger = logging.getLogger(__name__)

_FIRST_SOUND: Final = 0.2
"""Seconds that a connected call waits for the microphone before the face appears in silence."""


class Session:
    """A call. `secret` is its unguessable name in URLs, `id` the one for logs and pages. Make it, `answer` once;
    everything ends by itself or by `close`. `director` changes its face."""

    def __init__(
        self,
        resources: Resources,
        avatar: Avatar,
        offer: Offer,
        place: Place,
        on_closed: Callable[["Session"], None],
    ) -> None:
        self.id = secrets.token_hex(4)
        self.secret = secrets.token_urlsafe(24)
        self.etag = f'"{secrets.token_hex(8)}"'
        self.state = "connecting"
        self._resources = resources
        self._offer = offer
        self._on_closed = on_closed
        self._candidates = offer.candidates
        self._born = self._heard_at = time.monotonic()
        self._reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._connected = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._page = Page(self._tell_state, self._follow, self._hear)
        self._statistics = Statistics(resources.metrics)
        settings = resources.settings
        self._stream = stream = Stream(settings, self._statistics, self._page, self._rtp_timestamp)
        self.director = Director(resources, stream, self._page, place, avatar)
        self._peer = Peer(
            settings, offer, stream.voice, stream.face, stream.take_packet, self._hear, resources.encoders
        )
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

    def drive(self, frame: DriveFrame) -> None:
        """Follow one frame of a tracker, which comes now."""
        self._stream.drive.insert(frame.drive, time.monotonic(), frame.sent)

    def interrupt(self) -> float:
        """Silence from the next packet on, the face eases to rest. Returns the seconds played of what was said."""
        played = self._stream.interrupt()
        self._resources.metrics.interrupts.inc()
        self._page.send("interrupted", epoch=self._stream.epoch, position=round(played, 3))
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
        opening = loop.run_in_executor(self._resources.background, self._open_pipeline)
        try:
            async with asyncio.timeout(settings.connect_seconds):
                await self._connected.wait()
        except TimeoutError:
            self.end("no connection")
            return
        pipeline = await opening  # however long a busy machine takes: who calls again would wait for longer
        try:
            async with asyncio.timeout(_FIRST_SOUND):
                await self._stream.heard.wait()
        except TimeoutError:
            pass
        self._stream.start(self._resources.scheduler, pipeline, self._offer.pictures, self._fail)
        self._spawn(self._stream.listen())
        self._spawn(self._watch())
        self._change_state("live")
        self._resources.metrics.started.inc()

    def _open_pipeline(self) -> Pipeline:
        settings = self._resources.settings
        seed = int(self.id, 16)
        return self._resources.engine.open(self.director.avatar, seed=seed, lookahead_ms=settings.lookahead_ms)

    async def _finish(self, reason: str) -> None:
        self._change_state("closed", reason=reason)
        await asyncio.sleep(0.01)  # the goodbye leaves
        self._stream.close()
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
        codec, avatar = self._peer.face.codec, self.director.avatar.id
        self._page.send("state", state=self.state, session=self.id, avatar=avatar, delay_ms=delay, codec=codec, **more)

    def _rtp_timestamp(self, media_time: int) -> int:
        return self._peer.face.rtp_timestamp(media_time)

    def _hear(self) -> None:
        self._heard_at = time.monotonic()

    async def _watch(self) -> None:
        settings, monitor = self._resources.settings, self._resources.monitor
        while True:
            await asyncio.sleep(1.0)
            if self.quiet_seconds > settings.silence_seconds:
                self.end("nothing arrives")
            elif time.monotonic() - self._born > settings.max_age_seconds:
                self.end("maximum age")
            told = self._statistics.tell(self._stream.jitter, self._peer.face, self._stream.undrawn, monitor.worst)
            self._page.send("stats", **told)

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
                self._page.send("pong", t=t, media_time=self._stream.released())
            case Subscribe(expression):
                self._stream.subscribed = expression
            case Interrupt():
                self.interrupt()
            case Set() as change:
                self._spawn(self._direct(self.director.set_controls(change)))
            case DriveFrame() as frame:
                self.drive(frame)
            case ChangeAvatar(id, scene):
                self._spawn(self._direct(self.director.change_avatar(id, scene)))

    async def _direct(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except ControlError as error:
            self._page.send("error", code=error.code, message=str(error))
