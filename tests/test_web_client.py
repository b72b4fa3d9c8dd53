"""The page in a real Chromium, against the real server with a fake engine: what a person sees when things go well,
and what the page says and does when they do not."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import wavfile

pytest.importorskip("playwright", reason="playwright is not installed: pip install playwright")
from playwright.sync_api import Browser, Page, expect

from engines.avatar import list_avatars
from tests.browser import (
    CHROMIUM,
    HOUSE,
    Server,
    events,
    free_port,
    launch,
    open_page,
    send,
    serving,
    start_call,
    wait_for,
    wait_for_event,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium"),
]
SLIDERS = (
    "Mouth opening",
    "Pucker of the lips",
    "Spread of the lips",
    "Head turn",
    "Head nod",
    "Head tilt",
    "Look aside",
    "Look up or down",
    "Eyelids",
    "Intensity of the emotion",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(module=HOUSE) as server:
        yield server


def wait_for_sessions(page: Page, server: Server, count: int) -> None:
    wait_for(page, lambda: server.sessions() == count, f"there are not {count} sessions", 5)


def test_everything_comes_from_the_server_itself(browser: Browser, server: Server) -> None:
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.url)
    page.wait_for_selector(".face img")
    page.wait_for_load_state("networkidle")
    context.close()
    assert len(asked) > 8 and all(url.startswith(server.url) for url in asked)


def test_a_call_starts_shows_the_avatar_and_stops(page: Page, server: Server) -> None:
    still = page.locator("#still")
    assert still.get_attribute("src").startswith("/v1/avatars/")
    start_call(page)
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(page.locator("#state-title")).to_have_text("Live")
    size = page.evaluate(
        "(({ videoWidth, videoHeight }) => [videoWidth, videoHeight])(document.querySelector('video'))"
    )
    assert size == [512, 512]
    wait_for_sessions(page, server, 1)
    page.click("#start")
    wait_for_sessions(page, server, 0)
    expect(page.locator("#state-title")).to_have_text("Press Start and talk")
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    assert not page.evaluate("document.querySelector('#picture').classList.contains('showing')")


def test_the_page_can_be_used_by_keyboard_alone(page: Page, server: Server) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "start"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus must be seen"
    page.keyboard.press("Enter")
    page.wait_for_selector("#picture.showing[data-state=live]")
    page.keyboard.press("Escape")
    wait_for_event(page, type="interrupted")
    page.locator("#direct > summary").press("Enter")
    page.locator("#alpha").focus()
    page.keyboard.press("End")
    wait_for_event(page, type="set", alpha=1.5)
    page.locator("[name=avatar]:checked").focus()
    page.keyboard.press("ArrowRight")
    wait_for_event(page, type="avatar", id=page.evaluate("document.activeElement.value"))
    page.locator("#start").press("Space")
    wait_for_sessions(page, server, 0)


def test_screen_readers_find_names_for_everything(page: Page) -> None:
    for name in ("Mute microphone", "Start", "Interrupt", "Mute the voice that comes back"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(1)
    page.click("#direct > summary")
    for name in SLIDERS:
        expect(page.get_by_role("slider", name=name, exact=True)).to_have_count(1)
    expect(page.get_by_role("group", name="Emotion").get_by_role("radio")).to_have_count(9)
    expect(page.get_by_role("slider", name="Head turn")).to_have_attribute("aria-valuetext", "lives by itself")
    expect(page.get_by_role("slider", name="Mouth opening")).to_have_attribute("aria-valuetext", "100 percent")
    expect(page.get_by_role("group", name="Avatar").get_by_role("radio")).to_have_count(len(list_avatars()))
    expect(page.get_by_role("status").first).to_have_text("Press Start and talk")
    expect(page.get_by_role("img", name="the avatar")).to_have_count(1)


def test_every_part_of_the_face_is_directed_by_itself(page: Page) -> None:
    start_call(page)
    page.click("#direct > summary")
    page.locator("#yaw").fill("10")
    yaw = round(np.radians(10), 4)
    wait_for_event(page, type="set", pose={"pitch": 0, "yaw": yaw, "roll": 0, "x": 0, "y": 0, "z": 0})
    expect(page.locator("#yaw-value")).to_have_text("10° right")
    page.get_by_role("radio", name="happy").check(force=True)
    wait_for_event(page, type="set", emotion={"happy": 0.7})
    page.get_by_role("slider", name="Intensity of the emotion").fill("0.4")
    wait_for_event(page, type="set", emotion={"happy": 0.4})
    page.get_by_role("radio", name="tender").check(force=True)
    wait_for_event(page, type="set", emotion={"tender": 0.4})
    page.get_by_role("button", name="Let the head live").click()
    wait_for_event(page, type="set", pose=None)
    expect(page.get_by_role("button", name="Let the head live")).to_have_count(0)
    page.locator("#spread").fill("0.5")
    wait_for_event(page, type="set", spread=0.5)
    page.get_by_role("button", name="Let it all live").click()
    natural: dict[str, Any] = {"alpha": 1.0, "pucker": 1.0, "spread": 1.0, "pose": None, "gaze": None, "blink": None}
    wait_for_event(page, type="set", **natural)
    expect(page.locator("#spread-value")).to_have_text("100 %")
    expect(page.get_by_role("radio", name="none")).to_be_checked()


def test_the_drawer_shows_what_others_set_and_what_the_face_does(page: Page) -> None:
    start_call(page)
    page.click("#direct > summary")
    wait_for_event(page, type="expression")
    page.wait_for_timeout(1000)  # what the page has said itself is no news to it
    send(page, type="set", blink=0.5, emotion={"sad": 0.3}, alpha=1.2)
    expect(page.locator("#blink-value")).to_have_text("50 %")
    expect(page.get_by_role("radio", name="sad")).to_be_checked()
    expect(page.locator("#alpha-value")).to_have_text("120 %")
    for _ in range(20):
        send(page, type="drive", pose={"yaw": 0.2})
        page.wait_for_timeout(40)
    expect(page.locator("#yaw-value")).to_have_text("11° right")
    expect(page.get_by_role("status").get_by_text("A tracker moves")).to_be_visible()
    expect(page.get_by_role("status").get_by_text("The rest lives by itself")).to_be_visible()
    page.click("#direct > summary")
    before = len(events(page, type="expression"))
    page.wait_for_timeout(500)
    assert len(events(page, type="expression")) - before < 8, "who does not look is not told"


SOCKET = """
async ([url, messages, answers = 0]) => {
  const socket = new WebSocket(url);
  const heard = [];
  socket.onmessage = ({ data }) => heard.push(JSON.parse(data));
  const closed = new Promise((resolve) => (socket.onclose = ({ code }) => resolve(code)));
  await new Promise((resolve) => (socket.onopen = socket.onerror = resolve));
  for (const message of messages) {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const open = () => socket.readyState === WebSocket.OPEN;
  for (let turn = 0; turn < 40 && open() && heard.length < answers; turn++)
    await new Promise((resolve) => setTimeout(resolve, 50));
  return [heard, open() ? 0 : await closed];
}
"""


def test_a_phone_may_track_the_face_through_a_socket(page: Page, server: Server) -> None:
    with page.expect_response(lambda response: response.status == 201) as started:
        start_call(page)
    url = server.url.replace("http", "ws") + started.value.headers["location"] + "/drive"
    page.click("#direct > summary")
    frames = [{"type": "drive", "t": 50 * frame, "pose": {"yaw": 0.2}} for frame in range(8)]
    wrong = [{"type": "interrupt"}, {"type": "drive", "pose": {"jaw": 9}}]
    heard, code = page.evaluate(SOCKET, [url, [*frames, *wrong], 2])
    assert code == 0 and [event["type"] for event in heard] == ["error", "error"]
    assert "data channel" in heard[0]["message"] and "pitch, yaw, roll" in heard[1]["message"]
    wait_for_event(page, type="drive", driving=True)
    assert max(event["pose"]["yaw"] for event in events(page, type="expression")) == 0.2
    wait_for_event(page, type="drive", driving=False)
    _, code = page.evaluate(SOCKET, [url.replace("/drive", "x/drive"), frames])
    assert code == 1006, "a session that there is not"
    assert not events(page, type="interrupted")


def test_who_directs_on_a_phone_sees_the_face(browser: Browser, server: Server) -> None:
    with open_page(browser, server.url, has_touch=True) as page:
        page.set_viewport_size({"width": 390, "height": 844})
        page.click("#direct > summary")
        for slider in ("#alpha", "#roll", "#blink"):
            page.locator(slider).scroll_into_view_if_needed()
            expect(page.locator("#picture")).to_be_in_viewport(ratio=0.95)
        assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_mouth_opening_avatar_and_voice_are_remembered(page: Page) -> None:
    page.click("#direct > summary")
    page.locator("#alpha").fill("0.6")
    page.locator("[name=avatar]").nth(2).check(force=True)
    chosen = page.locator("[name=avatar]:checked").get_attribute("value")
    page.click("#voice")
    page.reload()
    page.wait_for_selector(".face img")
    expect(page.locator("#alpha-value")).to_have_text("60 %")
    expect(page.locator("[name=avatar]:checked")).to_have_value(str(chosen))
    expect(page.locator("#voice")).to_have_attribute("aria-pressed", "true")
    start_call(page)
    wait_for_event(page, type="set", alpha=0.6)
    assert events(page, type="state")[0]["avatar"] == chosen
    assert page.evaluate("document.querySelector('video').muted")


def level(page: Page) -> float:
    return float(page.evaluate("document.querySelector('#level').style.getPropertyValue('--level')"))


def test_the_microphone_can_be_muted(page: Page) -> None:
    start_call(page)
    wait_for(page, lambda: level(page) > 0.2, "the meter does not move")
    page.get_by_role("button", name="Mute microphone").click()
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


def test_statistics_fill_in(page: Page) -> None:
    start_call(page)
    page.click("#statistics > summary")
    for figure in ("fps", "roundTrip", "videoBuffer", "audioBuffer", "skew", "micToPhoton", "kbps", "server.fps"):
        expect(page.locator(f"[data-figure='{figure}']")).to_contain_text(re.compile(r"\d"), timeout=20_000)
    page.wait_for_timeout(2000)
    shown = {cell.get_attribute("data-figure"): cell.inner_text() for cell in page.locator("[data-figure]").all()}
    assert 20 <= float(shown["fps"]) <= 30
    assert shown["server.delay_ms"] == "134 ms"


def test_leaving_the_page_frees_the_place_at_once(page: Page, server: Server) -> None:
    start_call(page)
    wait_for_sessions(page, server, 1)
    page.goto("about:blank")
    wait_for_sessions(page, server, 0)
    # DELETE and the DTLS alert race; either frees the place, and no timeout had to.
    ended = re.findall(r'sessions_ended_total{reason="([^"]+)"}', server.get("/metrics"))
    assert ended and set(ended) <= {"ended by the page", "disconnected"}


def test_stop_during_connecting_leaves_nothing(page: Page, server: Server) -> None:
    for _ in range(3):
        page.click("#start")
        page.click("#start")
    wait_for_sessions(page, server, 0)
    start_call(page)
    wait_for_sessions(page, server, 1)


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


def test_a_full_house_is_explained_and_joined_when_there_is_room(browser: Browser) -> None:
    with (
        serving("--max-sessions", "1", "--retry-seconds", "2", module=HOUSE) as server,
        open_page(browser, server.url) as first,
        open_page(browser, server.url) as second,
    ):
        start_call(first)
        second.click("#start")
        expect(second.locator("#state-title")).to_have_text("Every place is taken")
        expect(second.locator("#state-advice")).to_contain_text("Calling again by itself in")
        first.click("#start")
        second.wait_for_selector("#picture.showing[data-state=live]")


def test_a_restart_of_the_server_is_survived(browser: Browser) -> None:
    port = free_port()
    with serving(module=HOUSE, port=port) as server:
        context = open_page(browser, server.url)
        page = context.__enter__()
        page.click("#direct > summary")
        page.locator("#alpha").fill("1.3")
        start_call(page)
    try:
        expect(page.locator("#picture")).to_have_attribute("data-state", "reconnecting")
        expect(page.locator("#state-advice")).to_contain_text("Trying again by itself in")
        page.wait_for_timeout(2000)
        page.evaluate("probe.events.length = 0")
        with serving(module=HOUSE, port=port):
            page.wait_for_selector("#picture.showing[data-state=live]")
            wait_for_event(page, type="set", alpha=1.3)  # what was set is set again
            page.click("#start")
    finally:
        context.__exit__(None, None, None)


def test_a_server_that_hangs_is_noticed(browser: Browser) -> None:
    with serving(module=HOUSE) as server, open_page(browser, server.url) as page:
        start_call(page)
        server.process.send_signal(signal.SIGSTOP)
        try:
            page.wait_for_selector("#picture[data-state=reconnecting]", timeout=15_000)
        finally:
            server.process.send_signal(signal.SIGCONT)
        page.wait_for_selector("#picture.showing[data-state=live]")
        wait_for_sessions(page, server, 1)


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


def test_a_token_is_asked_for_and_carried_everywhere(browser: Browser) -> None:
    with serving("--token", "open sesame", module=HOUSE) as server:
        with open_page(browser, server.url) as page:
            expect(page.locator("#state-title")).to_have_text("This server asks for a token")
            page.fill("#token", "open sesame")
            page.get_by_role("button", name="Go on").click()
            face = page.locator(".face img").first
            wait_for(page, lambda: face.evaluate("image => image.naturalWidth") == 192, "no thumbnail")
            start_call(page)
            page.click("#start")
            wait_for_sessions(page, server, 0)
        with open_page(browser, f"{server.url}/#token=open%20sesame") as page:
            start_call(page)


def test_what_the_server_cannot_follow_is_shown(page: Page) -> None:
    start_call(page)
    send(page, type="set", alpha=7)
    problem = wait_for_event(page, type="error")
    expect(page.locator("#state-advice")).to_have_text(problem["message"])
    expect(page.locator("#picture")).to_have_attribute("data-state", "live")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("width", "height"), [(320, 568), (390, 844), (844, 390), (768, 1024), (1280, 800), (2560, 1440)]
)
def test_nothing_overflows_and_start_is_in_sight(
    browser: Browser, server: Server, width: int, height: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.goto(server.url)
    page.wait_for_selector(".face img")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for button in ("start", "voice"):
        box = page.locator(f"#{button}").bounding_box()
        assert box is not None and box["y"] + box["height"] <= height and box["height"] >= 44
    context.close()
