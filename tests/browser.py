"""A real call for tests: the server as a process, headless Chromium with a sound file for a microphone, and a probe in
the page that records pictures and sound as they arrive.

The probe looks at the page from outside: it wraps `RTCPeerConnection` before the page's own scripts run.
"""

import base64
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, BrowserType, Page, sync_playwright

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
IN_CHROMIUM: Final = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium"),
]
"""Marks of a test module."""
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
)
RATE: Final = 48_000
HOUSE: Final = "tests.house"

PROBE: Final = """
(() => {
  const probe = (window.probe = { peers: [], channel: null, events: [] });
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...options) {
      super(...options);
      probe.peers.push(this);
    }
    createDataChannel(...options) {
      const channel = (probe.channel = super.createDataChannel(...options));
      const keep = ({ data }) => probe.events.push({ at: performance.now(), ...JSON.parse(data) });
      channel.addEventListener("message", keep);
      return channel;
    }
  };
  const text = (bytes) => {
    let result = "";
    for (let start = 0; start < bytes.length; start += 32768)
      result += String.fromCharCode(...bytes.subarray(start, start + 32768));
    return btoa(result);
  };
  probe.record = async (seconds, box) => {
    const video = document.querySelector("video");
    const canvas = new OffscreenCanvas(box.width, box.height);
    const paper = canvas.getContext("2d", { willReadFrequently: true });
    const frames = [], pictures = [], sounds = [];
    let running = true;
    const look = (now, { presentedFrames, rtpTimestamp, expectedDisplayTime }) => {
      if (!running) return;
      video.requestVideoFrameCallback(look);
      paper.drawImage(video, box.x, box.y, box.width, box.height, 0, 0, box.width, box.height);
      const { data } = paper.getImageData(0, 0, box.width, box.height);
      const picture = new Uint8Array((data.length / 4) * 3);
      for (let from = 0, to = 0; from < data.length; from += 4)
        for (let color = 0; color < 3; color++) picture[to++] = data[from + color];
      pictures.push(picture);
      frames.push({ at: expectedDisplayTime, presented: presentedFrames, rtp: rtpTimestamp });
    };
    video.requestVideoFrameCallback(look);
    const [track] = video.srcObject.getAudioTracks();
    const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 1000 }).readable.getReader();
    const listen = async () => {
      while (running) {
        const { value, done } = await reader.read();
        if (done) return;
        const at = performance.now();
        const samples = new Float32Array(value.numberOfFrames);
        value.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
        sounds.push({ at, samples, rate: value.sampleRate });
        value.close();
      }
    };
    const listening = listen();
    const playouts = [];
    const timer = setInterval(async () => playouts.push(await probe.playout()), 500);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    running = false;
    clearInterval(timer);
    await Promise.race([listening, new Promise((resolve) => setTimeout(resolve, 200))]);
    reader.cancel();
    const bytes = (parts) => parts.map((part) => text(new Uint8Array(part.buffer, part.byteOffset, part.byteLength)));
    return {
      frames, playouts, pictures: bytes(pictures),
      sounds: sounds.map(({ at, rate }) => ({ at, rate })), samples: bytes(sounds.map(({ samples }) => samples)),
    };
  };
  probe.playout = async () => {
    const played = {};
    for (const report of (await probe.peers.at(-1).getStats()).values())
      if (report.type === "inbound-rtp") played[report.kind] = report.estimatedPlayoutTimestamp;
    return played;
  };
})();
"""


@dataclass(frozen=True)
class Box:
    """A part of the picture, in pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Recording:
    """What arrived at a page. Times are the page's `performance.now()` in seconds."""

    frame_times: NDArray[np.float64]
    presented: NDArray[np.int64]
    pictures: NDArray[np.uint8]
    """``(frames, height, width, 3)`` of the recorded box."""
    sound: NDArray[np.float32]
    sound_start: float
    """When the first sample was there: the earliest that any packet allows."""
    skews: NDArray[np.float64]
    """By how many seconds the lips are behind the voice as the browser plays them, twice a second."""


@dataclass
class Server:
    """A running `visavis serve`."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=5) as response:
            return str(response.read().decode())

    def sessions(self) -> int:
        return int(json.loads(self.get("/healthz"))["sessions"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(*flags: str, module: str = "realtime.cli", port: int | None = None) -> Iterator[Server]:
    """`python -m <module> serve` until the block ends; it must end by itself within seconds of the signal."""
    port = port or free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        with log.open("wb") as output:
            command = [sys.executable, "-m", module, "serve", "--port", str(port), *flags]
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        server = Server(f"http://127.0.0.1:{port}", process, log)
        try:
            deadline = time.monotonic() + 60
            while True:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the server did not start:\n{log.read_text()}")
                try:
                    server.get("/healthz")
                    break
                except OSError:
                    time.sleep(0.1)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def launch(kind: BrowserType, microphone: Path | None = None, allowed: bool = True) -> Browser:
    """Headless Chromium whose microphone plays a WAV file over and over (without one: beeps), if it is `allowed`."""
    flags = [*FLAGS, *(["--use-fake-ui-for-media-stream"] if allowed else [])]
    flags += [f"--use-file-for-fake-audio-capture={microphone}"] if microphone else []
    return kind.launch(executable_path=CHROMIUM, args=flags)


@contextmanager
def chromium(microphone: Path | None = None) -> Iterator[Browser]:
    """`launch`, and its end."""
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium, microphone)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """The call page with the probe in it. An uncaught error of its scripts fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
    errors: list[str] = []
    try:
        context.add_init_script(PROBE)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        page.wait_for_selector("#picture[data-state]")
        yield page
        assert not errors, errors
    finally:
        context.close()


def start_call(page: Page, timeout: float = 20.0) -> None:
    """Press Start and wait for the first picture."""
    page.click("#start")
    page.wait_for_selector("#picture.showing[data-state=live]", timeout=1000 * timeout)


def send(page: Page, **message: Any) -> None:
    """Send on the page's data channel."""
    page.evaluate("message => probe.channel.send(JSON.stringify(message))", message)


def events(page: Page, **values: Any) -> list[dict[str, Any]]:
    """What the server has sent so far and has these values; each with the time of arrival in `at` (ms)."""
    received = page.evaluate("probe.events")
    return [event for event in received if all(event.get(name) == value for name, value in values.items())]


def wait_for_event(page: Page, seconds: float = 15.0, count: int = 1, **values: Any) -> dict[str, Any]:
    """The last event with these values, once there are `count`."""
    wait_for(page, lambda: len(events(page, **values)) >= count, f"no event with {values}", seconds)
    return events(page, **values)[-1]


def wait_for(page: Page, condition: Callable[[], bool], complaint: str, seconds: float = 15.0) -> None:
    """Poll from outside: the page's security policy forbids Playwright's own way."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, complaint
        page.wait_for_timeout(50)


def wait_for_sessions(page: Page, server: Server, count: int) -> None:
    """Until the server has so many."""
    wait_for(page, lambda: server.sessions() == count, f"there are not {count} sessions", 5)


def record(page: Page, seconds: float, box: Box) -> Recording:
    """Watch and listen to the call."""
    raw = page.evaluate("([seconds, box]) => probe.record(seconds, box)", [seconds, vars(box)])
    pictures = b"".join(base64.b64decode(picture) for picture in raw["pictures"])
    samples = [np.frombuffer(base64.b64decode(part), np.float32) for part in raw["samples"]]
    assert {sound["rate"] for sound in raw["sounds"]} == {RATE}
    begins = np.cumsum([0, *map(len, samples)])[:-1] / RATE
    # A packet comes a little late at times, never early.
    start = min(sound["at"] / 1000 - begin for sound, begin in zip(raw["sounds"], begins, strict=True))
    return Recording(
        frame_times=np.array([frame["at"] for frame in raw["frames"]]) / 1000,
        presented=np.array([frame["presented"] for frame in raw["frames"]]),
        pictures=np.frombuffer(pictures, np.uint8).reshape(-1, box.height, box.width, 3),
        sound=np.concatenate(samples),
        sound_start=start - len(samples[0]) / RATE,
        skews=np.array([played["audio"] - played["video"] for played in raw["playouts"]]) / 1000,
    )
