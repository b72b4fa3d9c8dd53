"""`python -m benchmarks.latency`: from the microphone to the picture, over real WebRTC on loopback.

The server runs in a process of its own. One or more callers (aiortc) send bursts of a vowel from silence, and read
RTP as it arrives. For every burst:

- *captured*: when the first sample of the burst was at the microphone;
- *heard*: when the packet with that sample came back; the sample is found in the decoded sound;
- *seen*: when the last packet came of the first picture that shows that sample or later ones, by the sender reports of
  both streams and the `expression` event of each picture. This is the picture of the same 40 ms of voice, whatever the
  networks draw in it, and a picture that had to stand in for a late one does not count;
- *opened*: when the first picture came whose mouth is open (`jawOpen` in its `expression` event above rest).

Every third burst is interrupted as soon as it is heard:

- *hushed*: when the first silent packet came after the `interrupt` was sent.

    mic to photon  = seen - captured (the decoding of the picture and the display's refresh come on top)
    avatar added   = seen - the sending of the packet with that sample
    mic to ear     = heard - captured
    interrupt      = hushed - the sending of `interrupt`
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import psutil
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


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p95, p99 in milliseconds."""
    return {f"p{q}": round(float(np.percentile(values, q)) * 1000, 1) for q in (50, 95, 99)}


async def measure(port: int, server: psutil.Process, sessions: int, seconds: float, codec: str) -> dict[str, Any]:
    """Figures of `sessions` calls at the same time."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        callers = [Caller(Microphone(seed, seconds), codec) for seed in range(sessions)]
        avatars = [each["id"] for each in (await client.get("/v1/avatars")).json()]
        for index, caller in enumerate(callers):
            await caller.start(client, f"?avatar={avatars[index % len(avatars)]}")
        await asyncio.sleep(1.0)
        before, begun = server.cpu_times(), time.monotonic()
        seen = [len(caller.pictures) for caller in callers]
        octets = [caller.octets for caller in callers]
        await asyncio.sleep(seconds)
        after, elapsed = server.cpu_times(), time.monotonic() - begun
        memory = server.memory_info().rss
        for caller in callers:
            await caller.stop(client)
    rows = [row for caller in callers for row in caller.latencies()]
    stats = [each for caller in callers for each in caller.stats[1:]]
    frames = sum(caller.stats[-1]["frames"] for caller in callers)
    late = sum(caller.stats[-1]["late_frames"] for caller in callers)
    cpu = (after.user + after.system - before.user - before.system) / elapsed

    def mean(name: str) -> float:
        return round(float(np.mean([each[name] for each in stats])), 1)

    names = ("mic_to_photon", "avatar_added", "mic_to_ear", "mic_to_open_mouth")
    return {
        "sessions": sessions,
        "codec": codec,
        "bursts": len(rows),
        **{name: percentiles([row[name] for row in rows if name in row] or [float("nan")]) for name in names},
        "interrupt": percentiles([each for caller in callers for each in caller.hushed] or [float("nan")]),
        "join_ms": round(1000 * max(caller.joined for caller in callers)),
        "fps": round(sum(len(c.pictures) - s for c, s in zip(callers, seen, strict=True)) / elapsed / sessions, 2),
        "late_share": round(late / max(1, frames), 4),
        "cpu_per_session": round(cpu / sessions, 3),
        "memory_mb": round(memory / 2**20),
        "kbps": round(8 * sum(c.octets - o for c, o in zip(callers, octets, strict=True)) / elapsed / sessions / 1000),
        "stages_ms": {
            "jitter buffer": mean("jitter_ms"),
            "compute": mean("compute_ms"),
            "encode": mean("encode_ms"),
            "loop lag (worst of each second)": mean("loop_lag_ms"),
            "margin (least of each second)": mean("margin_ms"),
        },
        "samples_ms": [round(row["mic_to_photon"] * 1000, 1) for row in rows],
    }


def start_server(port: int, fake: bool, flags: list[str]) -> "subprocess.Popen[bytes]":
    module = "tests.house" if fake else "realtime.cli"
    command = [sys.executable, "-m", module, "serve", "--port", str(port), *flags]
    server = subprocess.Popen(command)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/healthz")
            return server
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit("The server did not start")


def print_table(results: list[dict[str, Any]]) -> None:
    titles = ("mic to photon", "avatar added", "mic to ear", "open mouth", "interrupt")
    head = f"{'calls':>5} {'codec':6}" + "".join(f"{title:>21}" for title in titles)
    print(head + f"{'fps':>7}{'late %':>8}{'CPU/call':>10}{'MB':>6}{'kb/s':>7}{'join':>7}")
    for result in results:
        cells = f"{result['sessions']:5} {result['codec']:6}"
        for name in ("mic_to_photon", "avatar_added", "mic_to_ear", "mic_to_open_mouth", "interrupt"):
            cells += "{p50:9.0f}{p95:6.0f}{p99:6.0f}".format(**result[name])
        cells += f"{result['fps']:7.2f}{100 * result['late_share']:8.2f}{result['cpu_per_session']:10.3f}"
        print(cells + f"{result['memory_mb']:6}{result['kbps']:7}{result['join_ms']:7}")
    print("\n(p50, p95, p99 in ms)\n")
    names = list(results[0]["stages_ms"])
    print(f"{'calls':>5} " + "  ".join(names))
    for result in results:
        print(f"{result['sessions']:5} " + "  ".join(f"{result['stages_ms'][n]:{len(n)}.1f}" for n in names))


def plot(results: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for result in results:
        samples = np.sort(result["samples_ms"])
        label = f"{result['sessions']} call{'s' * (result['sessions'] > 1)}, {result['codec']}"
        axes.step(samples, np.arange(1, len(samples) + 1) / len(samples), where="post", label=label)
    axes.set(xlabel="microphone to picture, ms", ylabel="share of the bursts", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--codec", choices=("VP8", "H264"), default="VP8")
    parser.add_argument("--fake", action="store_true", help="an engine of no weight: what the transport alone costs")
    parser.add_argument("--out", type=Path, default=Path("latency"), help="writes OUT.json and OUT.png")
    parser.add_argument("flags", nargs="*", help="after --: flags of `visavis serve`")
    parsed = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = ["--max-sessions", str(max(parsed.sessions)), *parsed.flags]
    server = start_server(port, parsed.fake, flags)
    try:
        process = psutil.Process(server.pid)
        results = [
            asyncio.run(measure(port, process, sessions, parsed.seconds, parsed.codec)) for sessions in parsed.sessions
        ]
    finally:
        server.terminate()
        server.wait(10)
    print_table(results)
    machine = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    parsed.out.with_suffix(".json").write_text(json.dumps({"machine": machine, "results": results}, indent=2))
    plot(results, parsed.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
