"""A caller who measures: bursts of a vowel go up, and what comes back is timed packet by packet, undecoded but for the
sound (see `benchmarks.latency`)."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.codecs import get_capabilities
from aiortc.rtp import RtcpSrPacket, RtpPacket
from numpy.typing import NDArray

from realtime.opus import OpusDecoder

LOUD = 1500
"""Sample value at which a burst has begun."""
JAW_OPEN = 0.1
"""`jawOpen` above rest at which the mouth counts as open."""


def vowel(seconds: float, pitch: float = 120.0) -> NDArray[np.int16]:
    """An /a/: harmonics of `pitch` under three formants, with an attack of 5 ms."""
    at = np.arange(round(seconds * 48_000)) / 48_000
    tone = np.zeros_like(at)
    for number in range(1, 40):
        frequency = number * pitch
        gain = sum(
            weight * np.exp(-(((frequency - formant) / 150) ** 2))
            for formant, weight in ((700, 1.0), (1200, 0.6), (2600, 0.2))
        )
        tone += (gain + 0.02) / number**0.3 * np.sin(2 * np.pi * frequency * at + number)
    envelope = np.clip(np.minimum(at / 0.005, (seconds - at) / 0.02), 0, 1)
    return (tone / np.abs(tone).max() * 16_000 * envelope).astype(np.int16)


class Microphone(MediaStreamTrack):
    """Bursts of a vowel about once a second, at any phase to the packets. A packet leaves when it is full."""

    kind = "audio"

    def __init__(self, seed: int, seconds: float) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        starts = np.arange(1.0, seconds, 1.1) + rng.uniform(0, 0.06, len(np.arange(1.0, seconds, 1.1)))
        self._pcm = np.zeros(round((seconds + 2) * 48_000), np.int16)
        burst = vowel(0.35)
        first = int(np.argmax(np.abs(burst) >= LOUD))
        self.onsets = []
        for start in (starts * 48_000).astype(int):
            self._pcm[start : start + len(burst)] = burst
            self.onsets.append(int(start) + first)
        self.begun = 0.0
        self._count = 0

    def captured(self, sample: int) -> float:
        return self.begun + sample / 48_000

    def sent(self, sample: int) -> float:
        return self.begun + (sample // 960 + 1) * 0.02

    async def recv(self) -> av.AudioFrame:
        self.begun = self.begun or time.monotonic()
        await asyncio.sleep(max(0.0, self.begun + (self._count + 1) * 0.02 - time.monotonic()))
        part = self._pcm[self._count * 960 : (self._count + 1) * 960]
        part = np.pad(part, (0, 960 - len(part)))
        frame = av.AudioFrame.from_ndarray(np.repeat(part, 2)[None], format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self._count * 960, Fraction(1, 48_000)
        self._count += 1
        return frame


@dataclass
class Caller:
    """One call that reads RTP without decoding pictures."""

    microphone: Microphone
    codec: str
    heard: list[tuple[float, int]] = field(default_factory=list)
    """Arrival of each onset, and its RTP timestamp."""
    pictures: dict[int, float] = field(default_factory=dict)
    """Arrival of the last packet, by RTP timestamp."""
    clocks: dict[str, tuple[int, int]] = field(default_factory=dict)
    stats: list[dict[str, Any]] = field(default_factory=list)
    shown: list[tuple[int, float, float]] = field(default_factory=list)
    """RTP timestamp of each picture, by how many seconds it is late, and its `jawOpen`."""
    hushed: list[float] = field(default_factory=list)
    """Seconds from each interruption to silence."""
    asked: float | None = None
    octets: int = 0
    live: asyncio.Event = field(default_factory=asyncio.Event)
    location: str = ""
    joined: float = 0.0

    async def start(self, client: httpx.AsyncClient, query: str) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.channel = self.connection.createDataChannel("control")
        self.channel.on("message", self._take_event)
        self.connection.addTrack(self.microphone)
        video = self.connection.addTransceiver("video", "recvonly")
        video.setCodecPreferences([c for c in get_capabilities("video").codecs if c.name in (self.codec, "rtx")])
        await self.connection.setLocalDescription()
        self._decoder, self._quiet = OpusDecoder(), 0
        for receiver in self.connection.getReceivers():
            self._read(receiver)
        begun = time.monotonic()
        response = await client.post(
            "/v1/sessions" + query,
            content=self.connection.localDescription.sdp,
            headers={"Content-Type": "application/sdp"},
        )
        if response.status_code != 201:
            raise SystemExit(f"The server refused: {response.status_code} {response.text}")
        self.location = response.headers["Location"]
        await self.connection.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
        await asyncio.wait_for(self.live.wait(), 30)
        while not self.pictures:
            await asyncio.sleep(0.002)
        self.joined = next(iter(self.pictures.values())) - begun
        self.channel.send('{"type":"subscribe","expression":true}')

    async def stop(self, client: httpx.AsyncClient) -> None:
        await client.delete(self.location)
        await self.connection.close()
        self.microphone.stop()

    def _take_event(self, data: str) -> None:
        event = json.loads(data)
        if event["type"] == "state" and event["state"] == "live":
            self.live.set()
        elif event["type"] == "stats":
            self.stats.append(event)
        elif event["type"] == "expression":
            self.shown.append((event["rtp"], event["late_ms"] / 1000, event["values"].get("jawOpen", 0.0)))

    def _read(self, receiver: Any) -> None:
        take_report = receiver._handle_rtcp_packet
        kind = receiver._RTCRtpReceiver__kind

        async def handle_report(packet: Any) -> None:
            if isinstance(packet, RtcpSrPacket):
                self.clocks[kind] = (packet.sender_info.ntp_timestamp, packet.sender_info.rtp_timestamp)
            await take_report(packet)

        async def handle_packet(packet: RtpPacket, arrival_time_ms: int) -> None:
            now = time.monotonic()
            if kind == "video":
                self.octets += len(packet.payload)
                self.pictures[packet.timestamp] = now
            else:
                self._listen(packet, now)

        receiver._handle_rtcp_packet, receiver._handle_rtp_packet = handle_report, handle_packet

    def _listen(self, packet: RtpPacket, now: float) -> None:
        pcm = np.abs(self._decoder.decode(packet.payload))
        if self.asked is not None and pcm.max() < LOUD / 4:
            self.hushed.append(now - self.asked)
            self.asked = None
        if pcm.max() < LOUD:
            self._quiet += 1
            return
        if self._quiet >= 20:
            self.heard.append((now, packet.timestamp + int(np.argmax(pcm >= LOUD))))
            if len(self.heard) % 3 == 0:
                self.asked = now
                self.channel.send('{"type":"interrupt"}')
        self._quiet = 0

    def ntp(self, kind: str, rtp: int) -> float:
        at, reference = self.clocks[kind]
        rate = 48_000 if kind == "audio" else 90_000
        return at / 2**32 + ((rtp - reference + 2**31) % 2**32 - 2**31) / rate

    def latencies(self) -> list[dict[str, float]]:
        """Seconds, one row per burst that was heard and seen."""
        rows = []
        frames = [
            (self.ntp("video", rtp) - late, jaw, self.pictures[rtp])
            for rtp, late, jaw in self.shown
            if rtp in self.pictures
        ]
        rest = float(np.median([jaw for _, jaw, _ in frames])) if frames else 0.0
        for onset in self.microphone.onsets:
            captured = self.microphone.captured(onset)
            heard = next(((at, rtp) for at, rtp in self.heard if 0 < at - captured < 0.9), None)
            if heard is None:
                continue
            when = self.ntp("audio", heard[1])
            seen = next((at for shown, _, at in frames if when < shown + 0.04), None)
            if seen is None:
                continue
            row = {
                "mic_to_photon": seen - captured,
                "avatar_added": seen - self.microphone.sent(onset),
                "mic_to_ear": heard[0] - captured,
            }
            opened = [at for shown, jaw, at in frames if -0.2 < shown - when < 0.3 and jaw > rest + JAW_OPEN]
            if opened:
                row["mic_to_open_mouth"] = opened[0] - captured
            rows.append(row)
        return rows
