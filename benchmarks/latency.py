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
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from benchmarks.burst_caller import Caller, Microphone


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
