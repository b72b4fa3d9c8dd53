"""The page for programmers in a real Chromium, against the real server with a fake engine."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="playwright is not installed: pip install playwright")
from playwright.sync_api import Browser, expect

from tests.browser import HOUSE, IN_CHROMIUM, Server, serving

pytestmark = IN_CHROMIUM


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("avatars")
    with serving("--avatar-folder", str(folder), module=HOUSE) as server:
        yield server


@pytest.mark.parametrize("width", [390, 1280])
def test_every_request_is_shown_with_nothing_from_elsewhere(browser: Browser, server: Server, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{server.url}/docs")
    paths = json.loads(server.get("/openapi.json"))["paths"]
    routes = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    expect(page.locator(".operation")).to_have_count(len(routes))
    shown = page.locator(".operation > summary").all()
    told = [tuple(one.locator(f":scope > {part}").inner_text() for part in (".method", "code")) for one in shown]
    assert sorted(told) == sorted(routes)
    for summary in shown:
        summary.click()
    points = page.locator(".operation").filter(has=page.get_by_text("Move keypoints and fit anew"))
    for text in ("id", "path, string, needed", "points: {<name>: [number -0.5 to 1.5, ", "404", "error: string"):
        expect(points).to_contain_text(text)
    direct = page.locator(".operation").filter(has=page.get_by_text("Direct the face"))
    expect(direct).to_contain_text("alpha: number 0 to 1.5 or null")
    expect(page.get_by_text("any JSON")).to_have_count(0)
    curl = "curl -X POST '%s/v1/sessions?avatar=…&client=…' -H 'Content-Type: application/sdp' --data-binary @FILE"
    expect(page.get_by_text(curl % server.url)).to_be_visible()
    expect(page.get_by_role("heading", name="Data channel")).to_be_visible()
    expect(page.get_by_text('{"type": "interrupt"}').first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert asked and all(url.startswith(server.url) for url in asked) and not complaints
    context.close()


def test_a_link_to_a_request_unfolds_it(browser: Browser, server: Server) -> None:
    page = browser.new_page()
    page.goto(f"{server.url}/docs")
    page.get_by_role("link", name="GET /metrics").click()
    expect(page.get_by_text(f"curl '{server.url}/metrics'")).to_be_in_viewport()
    page.reload()
    expect(page.get_by_text(f"curl '{server.url}/metrics'")).to_be_in_viewport()
    page.close()
