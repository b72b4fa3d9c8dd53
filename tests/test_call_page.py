"""Calls (`call.js`) in a real Chromium, against the real server with a fake engine: that they begin and end, and what
keeps them alive."""

import re
import signal

import pytest

pytest.importorskip("playwright", reason="playwright is not installed: pip install playwright")
from playwright.sync_api import Browser, Page, expect

from tests.browser import (
    HOUSE,
    IN_CHROMIUM,
    Server,
    free_port,
    open_page,
    serving,
    start_call,
    wait_for_event,
    wait_for_sessions,
)

pytestmark = IN_CHROMIUM


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


def test_it_is_said_why_a_call_has_ended(browser: Browser) -> None:
    with serving("--max-age-seconds", "4", module=HOUSE) as server, open_page(browser, server.url) as page:
        start_call(page)
        expect(page.locator("#state-advice")).to_have_text("The call has lasted as long as this server allows.")
        with page.expect_response(lambda response: response.status == 201) as started:
            start_call(page)
        page.evaluate("url => fetch(url, { method: 'DELETE' })", started.value.headers["location"])
        expect(page.locator("#state-advice")).to_have_text("The call was ended from elsewhere.")
        expect(page.get_by_role("button", name="Start")).to_be_enabled()


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
