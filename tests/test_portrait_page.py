"""Making an avatar of a photo in a real Chromium, against the real server with a search that knows one face."""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("playwright", reason="playwright is not installed: pip install playwright")
from playwright.sync_api import Browser, Dialog, Page, Route, expect

from engines.avatar import AVATARS, list_avatars
from tests.browser import (
    HOUSE,
    IN_CHROMIUM,
    Server,
    events,
    open_page,
    serving,
    start_call,
    wait_for,
    wait_for_event,
)

pytestmark = IN_CHROMIUM
PHOTO = AVATARS / list_avatars()[0] / "source.png"
FITTED_MS = 60_000
"""A photo is fitted behind everything else that the machine does."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("avatars")
    with serving("--avatar-folder", str(folder), module=HOUSE) as server:
        yield server


def upload(page: Page, photo: Path, name: str) -> None:
    page.set_input_files(".face.add input", photo)
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Make avatar").click()


def test_a_photo_becomes_an_avatar_whose_points_can_be_dragged(page: Page) -> None:
    upload(page, PHOTO, "Eva")
    expect(page.get_by_role("heading", name="Does it fit?")).to_be_visible(timeout=FITTED_MS)
    expect(page.locator(".board img")).to_have_css("opacity", "1")  # dim only while the server works
    circles = [circle.bounding_box() for circle in page.locator(".board circle").all()]
    lowest = max((box for box in circles if box), key=lambda box: box["y"])
    chin = (lowest["x"] + lowest["width"] / 2, lowest["y"] + lowest["height"] / 2)
    page.mouse.move(*chin)
    page.mouse.down()
    page.mouse.move(chin[0], chin[1] - 14, steps=3)
    with page.expect_response(lambda response: response.request.method == "PUT") as moved:
        page.mouse.up()
    assert moved.value.ok
    expect(page.get_by_role("heading", name="Does it fit?")).to_be_visible(timeout=FITTED_MS)
    page.get_by_role("button", name="Looks right").click()
    expect(page.get_by_role("radio", name="Eva")).to_be_checked()
    assert "-" in page.locator("#still").get_attribute("src")

    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("radio", name="Eva")).to_have_count(0)


def places(page: Page) -> dict[str, tuple[float, float]]:
    """Of the points, as they are drawn, in fractions of the picture."""
    drawn = "circles => circles.map(one => [one.dataset.point, [Number(one.getAttribute('cx')), one.cy.baseVal.value]])"
    return {name: (x, y) for name, (x, y) in page.locator(".board circle").evaluate_all(drawn)}


def test_points_are_moved_by_keyboard(page: Page) -> None:
    upload(page, PHOTO, "Keys")
    expect(page.get_by_role("button", name="Looks right")).to_be_focused(timeout=FITTED_MS)
    chin = page.get_by_role("slider", name="chin", exact=True)
    chin.focus()
    before = places(page)["chin"]
    with page.expect_response(lambda response: response.request.method == "PUT") as moved:
        for keys in ("ArrowLeft", "Shift+ArrowUp", "ArrowUp"):
            page.keyboard.press(keys)
        after = places(page)["chin"]
        assert after == pytest.approx((before[0] - 1 / 512, before[1] - 11 / 512), abs=1e-5)
    sent = json.loads(moved.value.request.post_data or "")["points"]
    assert list(sent) == ["chin"] and sent["chin"] == pytest.approx(after, abs=1e-5), "once, when it has come to rest"
    expect(page.get_by_role("heading", name="Does it fit?")).to_be_visible(timeout=FITTED_MS)
    expect(chin).to_be_focused()
    with page.expect_response(lambda response: response.request.method == "PUT"):
        page.keyboard.press("ArrowDown")
        page.get_by_role("button", name="Discard").focus()  # who goes on does not lose the last step
    page.get_by_role("button", name="Discard").click(timeout=FITTED_MS)


def test_points_are_dragged_by_a_finger(browser: Browser, server: Server) -> None:
    with open_page(browser, server.url, has_touch=True) as page:
        page.set_viewport_size({"width": 390, "height": 844})
        upload(page, PHOTO, "Finger")
        expect(page.get_by_role("heading", name="Does it fit?")).to_be_visible(timeout=FITTED_MS)
        page.wait_for_timeout(400)  # the picture has come near
        box = page.get_by_role("slider", name="chin", exact=True).bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        finger = page.context.new_cdp_session(page)
        with page.expect_response(lambda response: response.request.method == "PUT") as moved:
            for kind, down in (("touchStart", 0), ("touchMove", -8), ("touchMove", -16), ("touchEnd", 0)):
                touches = [] if kind == "touchEnd" else [{"x": x, "y": y + down}]
                finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
        assert list(json.loads(moved.value.request.post_data or "")["points"]) == ["chin"]
        page.get_by_role("button", name="Discard").click(timeout=FITTED_MS)


def test_a_phone_on_its_side_shows_the_photo_and_what_is_said_of_it(browser: Browser, server: Server) -> None:
    with open_page(browser, server.url, has_touch=True) as page:
        page.set_viewport_size({"width": 844, "height": 390})
        page.set_input_files(".face.add input", PHOTO)
        expect(page.get_by_role("button", name="Make avatar")).to_be_focused()
        for seen in (
            page.get_by_role("heading", name="A new avatar"),
            page.locator(".board"),
            page.get_by_label("Name"),
        ):
            expect(seen).to_be_in_viewport(ratio=1)


def test_a_point_that_cannot_be_followed_goes_back_and_the_avatar_is_kept(page: Page) -> None:
    upload(page, PHOTO, "Back")
    expect(page.get_by_role("heading", name="Does it fit?")).to_be_visible(timeout=FITTED_MS)
    before = places(page)
    page.route("**/points", lambda route: route.fulfill(status=422, json={"message": "No head fits."}))
    page.get_by_role("slider", name="chin", exact=True).focus()
    page.keyboard.press("Shift+ArrowUp")
    expect(page.get_by_text("No head fits.")).to_be_visible()
    assert places(page) == before
    page.get_by_role("button", name="Keep it as it was").click()
    expect(page.get_by_role("radio", name="Back")).to_be_checked()
    page.unroute_all()


def test_who_is_deleted_does_not_go_on_talking(page: Page) -> None:
    upload(page, PHOTO, "Guest")
    page.get_by_role("button", name="Looks right").click(timeout=FITTED_MS)
    start_call(page)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    wait_for_event(page, type="avatar", id=list_avatars()[0])
    expect(page.get_by_role("radio", name="Guest")).to_have_count(0)


DELETE = "(id) => fetch(`/v1/avatars/${id}`, { method: 'DELETE' })"


def test_who_was_deleted_in_another_tab_is_gone_once_it_is_noticed(page: Page) -> None:
    upload(page, PHOTO, "Brief")
    page.get_by_role("button", name="Looks right").click(timeout=FITTED_MS)
    expect(page.get_by_role("radio", name="Brief")).to_be_checked()
    page.evaluate(DELETE, page.locator("[name=avatar]:checked").get_attribute("value"))
    page.click("#start")
    expect(page.locator("#state-advice")).to_contain_text("There is no avatar 'brief-")
    expect(page.get_by_role("radio", name="Brief")).to_have_count(0)
    start_call(page)


def test_it_is_said_when_somebody_cannot_be_deleted(page: Page) -> None:
    upload(page, PHOTO, "Stay")
    page.get_by_role("button", name="Looks right").click(timeout=FITTED_MS)
    said: list[str] = []

    def answer(dialog: Dialog) -> None:
        said.append(dialog.message)
        dialog.accept()

    page.on("dialog", answer)
    page.route("**/v1/avatars/stay-*", lambda route: route.fulfill(status=409, json={"message": "It is needed."}))
    page.get_by_role("button", name="Delete").click()
    wait_for(page, lambda: "It is needed." in said, "nothing was said")
    page.unroute_all()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("radio", name="Stay")).to_have_count(0)


def test_what_is_not_wanted_is_not_kept(page: Page) -> None:
    before = page.get_by_role("radio").count()
    upload(page, PHOTO, "Nobody")
    page.get_by_role("button", name="Discard").click(timeout=FITTED_MS)
    expect(page.locator("dialog.portrait")).not_to_be_visible()
    upload(page, PHOTO, "Nobody either")
    expect(page.get_by_role("heading", name="Does it fit?")).to_be_visible(timeout=FITTED_MS)
    with page.expect_response(lambda response: response.request.method == "DELETE"):
        page.evaluate(DROP, "/icon.svg")  # another photo instead
    page.reload()
    page.wait_for_selector(".face.add")
    assert page.get_by_role("radio").count() == before


DROP = """async (path) => {
  const files = new DataTransfer();
  files.items.add(new File([await (await fetch(path)).blob()], "other.png", { type: "image/png" }));
  window.dispatchEvent(new DragEvent("drop", { dataTransfer: files, cancelable: true }));
}"""


def test_one_photo_comes_after_the_other_and_escape_does_not_interrupt(page: Page) -> None:
    start_call(page)
    held: list[Route] = []  # so that the second photo comes while the first is fitted, however fast that is
    page.route(lambda url: "/v1/avatars?" in url, lambda route: held.append(route))
    upload(page, PHOTO, "First")
    expect(page.get_by_role("heading", name="Finding the face")).to_be_visible()
    page.evaluate(DROP, "/icon.svg")
    expect(page.get_by_role("heading", name="Finding the face")).to_be_visible()
    wait_for(page, lambda: bool(held), "no photo was sent")
    held[0].continue_()
    expect(page.get_by_role("heading", name="Does it fit?")).to_be_visible(timeout=FITTED_MS)
    page.keyboard.press("Escape")
    expect(page.locator("dialog.portrait")).not_to_be_visible()
    expect(page.get_by_role("radio", name="First")).to_have_count(0)
    assert not [event for event in events(page) if event["type"] == "interrupted"]


def test_who_comes_while_others_are_served_waits_for_a_turn(page: Page) -> None:
    busy = {"status": 429, "headers": {"Retry-After": "1"}, "json": {"error": "busy", "message": "Try again"}}
    page.route(lambda url: "/v1/avatars?" in url, lambda route: route.fulfill(**busy), times=2)
    upload(page, PHOTO, "Patient")
    expect(page.get_by_text("waiting for your turn")).to_be_visible()
    expect(page.get_by_role("heading", name="Does it fit?")).to_be_visible(timeout=FITTED_MS)
    page.keyboard.press("Escape")
    expect(page.locator("dialog.portrait")).not_to_be_visible()


def test_a_server_that_goes_away_does_not_hold_the_dialog_open(page: Page) -> None:
    dialog = page.locator("dialog.portrait")
    page.route("**/picture?v=*", lambda route: route.abort())
    upload(page, PHOTO, "Left")
    expect(page.get_by_text("The server does not answer.")).to_be_visible(timeout=FITTED_MS)
    page.route("**/v1/avatars/left-*", lambda route: route.abort())
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    page.unroute_all()


def test_a_refusal_says_why_and_lets_try_again(page: Page, tmp_path: Path) -> None:
    wall = tmp_path / "wall.png"
    cv2.imwrite(str(wall), np.full((200, 300, 3), 180, np.uint8))
    upload(page, wall, "Wall")
    expect(page.get_by_text("No face was found")).to_be_visible(timeout=FITTED_MS)
    page.set_input_files(".face.add input", PHOTO)
    expect(page.get_by_role("button", name="Make avatar")).to_be_visible()
    (tmp_path / "letter.jpg").write_text("Dear Eva")
    page.set_input_files(".face.add input", tmp_path / "letter.jpg")
    expect(page.get_by_text("cannot read the file")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog.portrait")).not_to_be_visible()
