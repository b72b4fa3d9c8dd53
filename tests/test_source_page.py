"""What is spoken (`source.js`, `sound.js`) in a real Chromium, against the real server with a fake engine."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

pytest.importorskip("playwright", reason="playwright is not installed: pip install playwright")
from playwright.sync_api import Browser, Page, expect

from tests.browser import (
    IN_CHROMIUM,
    Server,
    launch,
    open_page,
    start_call,
    wait_for,
    wait_for_event,
    wait_for_sessions,
)

pytestmark = IN_CHROMIUM


def level(page: Page) -> float:
    return float(page.evaluate("document.querySelector('#level').style.getPropertyValue('--level')"))


def test_the_microphone_can_be_muted(page: Page) -> None:
    start_call(page)
    wait_for(page, lambda: level(page) > 0.2, "the meter does not move")
    page.get_by_role("button", name="Mute your voice").click()
    expect(page.locator("#microphone")).to_have_attribute("aria-pressed", "true")
    wait_for(page, lambda: level(page) == 0.0, "the meter still moves")
    page.wait_for_timeout(500)
    assert level(page) == 0.0


def test_a_sound_file_can_speak(page: Page, server: Server, tmp_path: Path) -> None:
    time = np.arange(3 * 48_000) / 48_000
    wavfile.write(tmp_path / "tone.wav", 48_000, (12_000 * np.sin(2 * np.pi * 300 * time)).astype(np.int16))
    page.get_by_text("A sound file").click()
    page.click("#start")
    expect(page.locator("#state-advice")).to_have_text("Choose a sound file first, under Voice.")
    (tmp_path / "notes.txt").write_text("no sound")
    page.set_input_files("#file", tmp_path / "notes.txt")
    expect(page.locator("#file-note")).to_contain_text("notes.txt holds no sound that this browser can read")
    page.set_input_files("#file", tmp_path / "tone.wav")
    expect(page.locator("#file-note")).to_contain_text("3.0 s")
    start_call(page)
    wait_for_event(page, type="speaking", speaking=True)
    page.wait_for_selector("#picture.speaking")
    expect(page.locator("#file-note")).to_contain_text("The file has ended")
    wait_for_event(page, type="speaking", speaking=False)
    page.click("#replay")
    wait_for_event(page, type="speaking", speaking=True, count=2)
    page.set_input_files("#file", tmp_path / "notes.txt")
    page.wait_for_timeout(3000)  # the tone would have ended, and said so
    expect(page.locator("#file-note")).to_contain_text("notes.txt holds no sound")
    page.click("#start")
    page.click("#start")  # the tone is not what is chosen
    expect(page.locator("#state-advice")).to_have_text("Choose a sound file first, under Voice.")


DROP = """([name, type, bytes]) => {
  const files = new DataTransfer();
  files.items.add(new File([new Uint8Array(bytes)], name, { type }));
  window.dispatchEvent(new DragEvent("drop", { dataTransfer: files, cancelable: true }));
}"""


def test_a_file_is_muted_stopped_and_dropped_as_it_is_said(page: Page, tmp_path: Path) -> None:
    time = np.arange(6 * 48_000) / 48_000
    wavfile.write(tmp_path / "tone.wav", 48_000, (12_000 * np.sin(2 * np.pi * 300 * time)).astype(np.int16))
    start_call(page)
    page.evaluate(DROP, ["tone.wav", "audio/wav", list((tmp_path / "tone.wav").read_bytes())])
    note = page.locator("#file-note")
    expect(note).to_have_text("Playing.")
    wait_for(page, lambda: level(page) > 0.2, "the file is not heard")
    page.get_by_role("button", name="Mute your voice").click()
    wait_for(page, lambda: level(page) == 0.0, "what is muted is still heard")
    page.get_by_role("button", name="Mute your voice").click()
    page.click("#interrupt")
    expect(note).to_have_text("Stopped; silence follows.")
    page.click("#replay")
    expect(note).to_have_text("Playing.")
    page.click("#start")
    expect(note).to_have_text("6.0 s. It plays when you press Start.")
    expect(page.locator("#replay")).to_be_hidden()


KEPT = """async (right) => {
  const { keepVoice } = await import("/sound.js");
  const buffer = new AudioBuffer({ length: 480, numberOfChannels: 2, sampleRate: 48000 });
  const left = Float32Array.from({ length: 480 }, (_, at) => Math.sin(at / 5));
  buffer.copyToChannel(left, 0);
  buffer.copyToChannel(left.map((sample) => right * sample), 1);
  const kept = keepVoice(buffer);
  return [kept.numberOfChannels, kept.getChannelData(0)[7] / left[7]];
}"""


@pytest.mark.parametrize(
    ("right", "channels", "share"), [(-1.0, 1, 1.0), (-1.1, 1, -1.1), (0.5, 2, 1.0), (0.0, 2, 1.0)]
)
def test_a_file_whose_channels_cancel_out_is_heard(page: Page, right: float, channels: int, share: float) -> None:
    kept, found = page.evaluate(KEPT, right)
    assert kept == channels and found == pytest.approx(share, abs=1e-5)


SLOW_MICROPHONE = """() => {
  window.opened = [];
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    await new Promise((resolve) => setTimeout(resolve, 300));
    const stream = await open(wanted);
    opened.push(...stream.getTracks());
    return stream;
  };
}"""
OPEN = "opened.filter((track) => track.readyState === 'live').length"


@pytest.mark.parametrize("presses", [2, 3, 5])
def test_the_microphone_is_open_only_while_it_is_used(page: Page, server: Server, presses: int) -> None:
    page.evaluate(SLOW_MICROPHONE)
    for _ in range(presses):
        page.click("#start")
    wait_for(page, lambda: page.evaluate("opened.length") > 0, "the microphone was not asked for")
    if presses % 2:
        page.wait_for_selector("#picture.showing[data-state=live]")
        assert page.evaluate(OPEN) == 1
        page.click("#start")
    wait_for(page, lambda: page.evaluate(OPEN) == 0, "the microphone is still open")
    wait_for_sessions(page, server, 0)


def test_who_chooses_a_file_needs_no_microphone(page: Page, tmp_path: Path) -> None:
    page.evaluate(SLOW_MICROPHONE)
    wavfile.write(tmp_path / "tone.wav", 48_000, np.zeros(9600, np.int16))
    start_call(page)
    page.get_by_text("A sound file").click()
    page.set_input_files("#file", tmp_path / "tone.wav")
    wait_for(page, lambda: page.evaluate(OPEN) == 0, "the microphone is still open")
    page.get_by_text("My microphone").click()
    page.click("#start")  # while the browser asks
    wait_for(page, lambda: page.evaluate("opened.length") == 2, "the microphone was not asked for again")
    wait_for(page, lambda: page.evaluate(OPEN) == 0, "the microphone is open after the call")


def test_a_refused_microphone_is_explained(browser: Browser, server: Server) -> None:
    strict = launch(browser.browser_type, allowed=False)
    try:
        with open_page(strict, server.url) as page:
            page.click("#start")
            expect(page.locator("#state-title")).to_have_text("No microphone")
            expect(page.locator("#state-advice")).to_contain_text("Allow the microphone for this page")
            expect(page.get_by_role("button", name="Start")).to_be_enabled()
            assert server.sessions() == 0
    finally:
        strict.close()
