"""A caller for tests and benchmarks: an aiortc peer that speaks bursts of tone and reads what comes back."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import av
import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.codecs import get_capabilities
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtcpSrPacket, RtpPacket
from fastapi import FastAPI
from numpy.typing import NDArray

from engines.workers import Perform, perform_each
from realtime.app import create_app
from realtime.settings import Settings
from tests.fakes import FakeAvatars, level_of

SDP = {"Content-Type": "application/sdp"}


class ToneTrack(MediaStreamTrack):
    """48 kHz mono: a 440 Hz tone while `loud(seconds)` says so, else silence. What arrives is about half of full scale:
    aiortc's encoder makes stereo of mono and takes 3 dB off."""

    kind = "audio"

    def __init__(self, loud: Callable[[float], bool] = lambda seconds: False) -> None:
        super().__init__()
        self.loud = loud
        self._begun: float | None = None
        self._count = 0

    async def recv(self) -> av.AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        if self._begun is None:
            self._begun = time.monotonic()
        await asyncio.sleep(max(0.0, self._begun + self._count * 0.02 - time.monotonic()))
        at = self._count * 960 + np.arange(960)
        tone = 22000 * np.sin(2 * np.pi * 440 * at / 48000) * self.loud(self._count * 0.02)
        frame = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, self._count * 960, Fraction(1, 48000)
        self._count += 1
        return frame


@dataclass(frozen=True)
class Received:
    """Something decoded: when (monotonic seconds), its RTP timestamp, and the luma or the samples."""

    at: float
    rtp: int
    data: NDArray[Any]


class Caller:
    """One call to a server behind `client`. Whatever a test forgets, or fails to come to, `serve` ends."""

    open: ClassVar[set["Caller"]] = set()

    def __init__(
        self,
        client: httpx.AsyncClient,
        track: MediaStreamTrack | None = None,
        codec: str = "VP8",
        video: bool = True,
    ) -> None:
        Caller.open.add(self)
        self.client = client
        self.location = ""
        self.etag = ""
        self.events: list[dict[str, Any]] = []
        self.pictures: list[Received] = []
        self.sounds: list[Received] = []
        self.reports: dict[str, list[tuple[int, int]]] = {"audio": [], "video": []}
        self.arrivals: dict[str, dict[int, float]] = {"audio": {}, "video": {}}
        self._mappers: dict[str, Any] = {}
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.track = track or ToneTrack()
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.channel = self.connection.createDataChannel("control")
        self.channel.on("message", self._take_event)
        self.connection.addTrack(self.track)
        if video:
            faces = self.connection.addTransceiver("video", "recvonly")
            faces.setCodecPreferences([c for c in get_capabilities("video").codecs if c.name in (codec, "rtx")])
        self.connection.on("track", self._take_track)

    async def offer(self) -> str:
        """The SDP of the offer, candidates included."""
        await self.connection.setLocalDescription()
        for receiver in self.connection.getReceivers():
            self._spy(receiver)
        return self.connection.localDescription.sdp

    async def start(self, query: str = "") -> httpx.Response:
        """Post the offer and, if it is accepted, connect."""
        response = await self.client.post("/v1/sessions" + query, content=await self.offer(), headers=SDP)
        if response.status_code == 201:
            self.location, self.etag, self.answer = (
                response.headers["Location"],
                response.headers["ETag"],
                response.text,
            )
            await self.connection.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
        return response

    async def stop(self) -> None:
        """DELETE the session and leave."""
        if self.location:
            await self.client.delete(self.location)
        await self.vanish()

    async def vanish(self) -> None:
        """Leave without a word to the HTTP server."""
        Caller.open.discard(self)
        await self.connection.close()
        self.track.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def send(self, **message: Any) -> None:
        self.channel.send(json.dumps(message))

    async def event(self, kind: str, timeout: float = 10.0, **values: Any) -> dict[str, Any]:
        """The first event, past or to come, of this type that has these values."""
        async with asyncio.timeout(timeout):
            while True:
                for event in self.events:
                    if event["type"] == kind and all(event.get(name) == value for name, value in values.items()):
                        return event
                self._changed.clear()
                await self._changed.wait()

    async def live(self) -> None:
        await self.event("state", state="live")

    async def until(self, condition: Callable[[], bool], timeout: float = 10.0) -> None:
        async with asyncio.timeout(timeout):
            while not condition():
                await asyncio.sleep(0.01)

    def ntp(self, kind: str, rtp: int) -> float:
        """Seconds of the server's clock at which it says this RTP timestamp belongs, by its latest report."""
        at, reference = self.reports[kind][-1]
        rate = 48_000 if kind == "audio" else 90_000
        return at / 2**32 + ((rtp - reference + 2**31) % 2**32 - 2**31) / rate

    def _take_event(self, data: str) -> None:
        self.events.append(json.loads(data))
        self._changed.set()

    def _take_track(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.create_task(self._drain(track)))

    async def _drain(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                rtp = (self._mappers[track.kind]._origin + frame.pts) % 2**32
                if track.kind == "video":
                    luma = np.frombuffer(frame.planes[0], np.uint8).reshape(frame.height, -1)[:, : frame.width]
                    self.pictures.append(Received(time.monotonic(), rtp, luma.copy()))
                else:
                    self.sounds.append(Received(time.monotonic(), rtp, frame.to_ndarray()[0, ::2].copy()))
        except MediaStreamError:
            pass

    def _spy(self, receiver: Any) -> None:
        take_rtp, take_rtcp = receiver._handle_rtp_packet, receiver._handle_rtcp_packet
        kind = receiver._RTCRtpReceiver__kind
        self._mappers[kind] = receiver._RTCRtpReceiver__timestamp_mapper

        async def handle_rtp(packet: RtpPacket, arrival_time_ms: int) -> None:
            self.arrivals[kind].setdefault(packet.timestamp, time.monotonic())
            await take_rtp(packet, arrival_time_ms)

        async def handle_rtcp(packet: Any) -> None:
            if isinstance(packet, RtcpSrPacket):
                self.reports[kind].append((packet.sender_info.ntp_timestamp, packet.sender_info.rtp_timestamp))
            await take_rtcp(packet)

        receiver._handle_rtp_packet, receiver._handle_rtcp_packet = handle_rtp, handle_rtcp


@asynccontextmanager
async def serve(
    engine: Any, *, perform: Perform = perform_each, buckets: tuple[int, ...] = (1,), **settings: Any
) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """An app with this engine, and a client to it, in this event loop. It takes four calls unless told otherwise."""
    settings = {"max_sessions": 4, **settings}
    app = create_app(Settings(**settings), engine, FakeAvatars(), perform=perform, buckets=buckets)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://house") as client:
            try:
                yield app, client
            finally:
                for caller in list(Caller.open):
                    await caller.vanish()


def every_other(period: float) -> ToneTrack:
    return ToneTrack(lambda seconds: int(seconds / period) % 2 == 1)


def levels(pictures: list[Received]) -> list[float]:
    return [level_of(picture.data) for picture in pictures]


def loudness(sounds: list[Received]) -> list[float]:
    return [float(np.abs(sound.data.astype(int)).max()) for sound in sounds]
