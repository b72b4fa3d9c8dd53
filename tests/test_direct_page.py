"""The drawer *Direct* (`direct.js`) in a real Chromium, against the real server with a fake engine."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("playwright", reason="playwright is not installed: pip install playwright")
from playwright.sync_api import Browser, Page, expect

from tests.browser import IN_CHROMIUM, Server, events, open_page, send, start_call, wait_for_event

pytestmark = IN_CHROMIUM


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
