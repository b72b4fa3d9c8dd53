"""`python -m benchmarks.jitter_buffer`: our jitter buffer against aiortc's, on the same packets.

A minute of Opus at 20 ms a packet goes through each pattern of loss, jitter and reordering. Printed per buffer:

    delay     from the sending of a sample to its release, milliseconds: median, and at the end of the minute
    worst     the greatest delay
    lost      milliseconds of the voice that never come out
    made up   milliseconds that the buffer invents (aiortc never does: its listener hears a hole)
    hole      the longest time without any of the real voice
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from aiortc.jitterbuffer import JitterBuffer as AiortcJitterBuffer
from aiortc.rtp import RtpPacket
from numpy.typing import NDArray

from realtime.jitter_buffer import JitterBuffer
from realtime.opus import OpusDecoder, OpusEncoder

PACKETS = 3000
Arrivals = list[float | None]


@dataclass(frozen=True)
class Result:
    """Milliseconds; see the head of this module."""

    delay: float
    end: float
    worst: float
    lost: float
    made_up: float
    hole: float


def patterns(rng: np.random.Generator) -> dict[str, Arrivals]:
    """When each packet arrives, in seconds; sent every 20 ms from 0 on; None: never."""
    sent = np.arange(PACKETS) * 0.02
    clean = sent.tolist()

    def but(change: Callable[[Arrivals], None]) -> Arrivals:
        arrivals: Arrivals = list(clean)
        change(arrivals)
        return arrivals

    def lose(share: float) -> Arrivals:
        lost = rng.random(PACKETS) < share
        return [None if gone else at for gone, at in zip(lost, clean, strict=True)]

    def hold(arrivals: Arrivals, start: int, count: int) -> None:
        arrivals[start : start + count] = [clean[start + count]] * count

    def hold_often(arrivals: Arrivals) -> None:
        for start in range(250, PACKETS - 50, 500):
            hold(arrivals, start, 10)

    def swap(arrivals: Arrivals) -> None:
        arrivals[500] = clean[502] + 0.001

    def lose_one(arrivals: Arrivals) -> None:
        arrivals[500] = None

    wifi = sent + rng.gamma(0.8, 0.012, PACKETS)
    for index in range(400, PACKETS, 400):
        wifi[index : index + 4] = np.maximum(wifi[index : index + 4], sent[index] + 0.08)
    wifi = np.maximum.accumulate(wifi)
    wireless: Arrivals = [None if gone else at for gone, at in zip(rng.random(PACKETS) < 0.01, wifi, strict=True)]
    return {
        "clean": clean,
        "one packet lost": but(lose_one),
        "1 % lost": lose(0.01),
        "5 % lost": lose(0.05),
        "one packet 2 late": but(swap),
        "jitter 0-15 ms": (sent + rng.uniform(0, 0.015, PACKETS)).tolist(),
        "jitter 0-40 ms": (sent + rng.uniform(0, 0.040, PACKETS)).tolist(),
        "one stall of 200 ms": but(lambda arrivals: hold(arrivals, 500, 10)),
        "a stall every 10 s": but(hold_often),
        "a bad wireless line": wireless,
    }


def run_ours(arrivals: Arrivals, packets: Sequence[bytes]) -> Result:
    """Read every 20 ms, out of step with the packets by 5 ms."""
    buffer = JitterBuffer(OpusDecoder())
    pending = _in_order(arrivals)
    delays, fresh = [], []
    for tick in range(PACKETS):
        now = tick * 0.02 + 0.005
        while pending and pending[0][0] <= now:
            at, index = pending.pop(0)
            buffer.insert(index % 2**16, index * 960, packets[index], at)
        before = buffer.counts.concealed + buffer.counts.stretched
        voice = buffer.read(now)
        made_up = buffer.counts.concealed + buffer.counts.stretched > before
        if not voice.silent:
            delays.append(voice.delay)
            if not made_up:
                fresh.append(now)
    counts = buffer.counts
    lost = (counts.lost - counts.recovered) * 20 + counts.skipped / 48
    return _result(delays, fresh, lost, (counts.concealed + counts.stretched) / 48)


def run_aiortc(arrivals: Arrivals, packets: Sequence[bytes]) -> Result:
    """aiortc's buffer as its audio receiver makes it: capacity 16, prefetch 4."""
    buffer = AiortcJitterBuffer(capacity=16, prefetch=4)
    delays, fresh, released = [], [], []
    for at, index in _in_order(arrivals):
        packet = RtpPacket(sequence_number=index % 2**16, timestamp=index * 960)
        packet._data = packets[index]
        _, frame = buffer.add(packet)
        if frame is not None:
            delays.append(at - frame.timestamp / 48_000)
            fresh.append(at)
            released.append(frame.timestamp // 960)
    return _result(delays, fresh, (max(released) + 1 - len(released)) * 20, 0.0)


def _in_order(arrivals: Arrivals) -> list[tuple[float, int]]:
    return sorted((at, index) for index, at in enumerate(arrivals) if at is not None)


def _result(delays: list[float], fresh: list[float], lost: float, made_up: float) -> Result:
    ordered: NDArray[np.float64] = np.array(delays) * 1000
    hole = float(np.diff(fresh).max()) * 1000 - 20
    return Result(float(np.median(ordered)), float(ordered[-1]), float(ordered.max()), lost, made_up, max(0.0, hole))


def _voice() -> list[bytes]:
    time = np.arange(960 * PACKETS) / 48_000
    pitch = 140 + 30 * np.sin(2 * np.pi * 0.7 * time)
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / 48_000) + 0.5 * np.sin(4 * np.pi * np.cumsum(pitch) / 48_000)
    pcm = (7000 * tone * np.clip(np.sin(2 * np.pi * 2.5 * time) + 0.4, 0, 1)).astype(np.int16)
    encoder = OpusEncoder()
    return [encoder.encode(part) for part in pcm.reshape(-1, 960)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parsed = parser.parse_args()
    packets = _voice()
    figures = {}
    print(f"{'':22}{'buffer':8}{'delay':>7}{'end':>7}{'worst':>7}{'lost':>7}{'made up':>9}{'hole':>7}")
    for name, arrivals in patterns(np.random.default_rng(parsed.seed)).items():
        ours, theirs = run_ours(arrivals, packets), run_aiortc(arrivals, packets)
        figures[name] = {"ours": asdict(ours), "aiortc": asdict(theirs)}
        for label, result in (("ours", ours), ("aiortc", theirs)):
            cells = f"{result.delay:7.0f}{result.end:7.0f}{result.worst:7.0f}{result.lost:7.0f}"
            head = name if label == "ours" else ""
            print(f"{head:22}{label:8}{cells}{result.made_up:9.0f}{result.hole:7.0f}")
    if parsed.json:
        parsed.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
