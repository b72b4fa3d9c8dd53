"""The page as a whole (`controls.js`) in a real Chromium, against the real server with a fake engine."""

import pytest

pytest.importorskip("playwright", reason="playwright is not installed: pip install playwright")
from playwright.sync_api import Browser, Page, expect

from engines.avatar import list_avatars
from tests.browser import (
    HOUSE,
    IN_CHROMIUM,
    Server,
    events,
    open_page,
    send,
    serving,
    start_call,
    wait_for,
    wait_for_event,
    wait_for_sessions,
)

pytestmark = IN_CHROMIUM
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
    for name in ("Mute your voice", "Start", "Interrupt", "Mute the voice that comes back"):
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
    heard = len(events(page, type="speaking", speaking=True))
    wait_for_event(page, type="speaking", speaking=True, count=heard + 1)  # the voice does not wipe it away
    expect(page.locator("#state-advice")).to_have_text(problem["message"])
    expect(page.locator("#picture")).to_have_attribute("data-state", "live")


TOLD = """([fps, late]) => {
  const tell = (fps, late_frames) => {
    const data = JSON.stringify({ type: "stats", fps, late_frames });
    probe.channel.dispatchEvent(new MessageEvent("message", { data }));
    return document.querySelector("#state-advice").textContent;
  };
  const told = [1, 2, 3, 4, 5, 6].map((second) => tell(fps, 1e6 + late * second));
  return [told.at(-1), tell(25, 1e6 + late * 6)];
}"""


@pytest.mark.parametrize(("fps", "late", "busy"), [(4.4, 0, True), (25.0, 20, True), (25.0, 4, False)])
def test_a_server_that_does_not_keep_up_is_told_of(page: Page, fps: float, late: int, busy: bool) -> None:
    start_call(page)
    wait_for_event(page, type="speaking", speaking=True)
    slow, again = page.evaluate(TOLD, [fps, late])
    assert ("too busy" in slow) is busy and "too busy" not in again


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
