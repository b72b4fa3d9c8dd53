"""The drawer *Statistics* (`stats.js`) in a real Chromium, against the real server with a fake engine."""

import re

import pytest

pytest.importorskip("playwright", reason="playwright is not installed: pip install playwright")
from playwright.sync_api import Page, expect

from tests.browser import IN_CHROMIUM, start_call

pytestmark = IN_CHROMIUM


def test_statistics_fill_in(page: Page) -> None:
    start_call(page)
    page.click("#statistics > summary")
    for figure in ("fps", "roundTrip", "videoBuffer", "audioBuffer", "skew", "micToPhoton", "kbps", "server.fps"):
        expect(page.locator(f"[data-figure='{figure}']")).to_contain_text(re.compile(r"\d"), timeout=20_000)
    page.wait_for_timeout(2000)
    shown = {cell.get_attribute("data-figure"): cell.inner_text() for cell in page.locator("[data-figure]").all()}
    assert 20 <= float(shown["fps"]) <= 30
    assert float(shown["server.new"]) <= float(shown["server.fps"])
    assert shown["server.delay_ms"] == "134 ms"


PACE = """async (told) => {
  const { Pace } = await import("/stats.js");
  const pace = new Pace();
  return told.map(([fps, late_frames]) => pace.of({ fps, late_frames }));
}"""


def test_pictures_that_are_late_are_not_new(page: Page) -> None:
    told = [[25, 0], [25, 20], [25, 20], [4.4, 20], [25, 60]]
    assert page.evaluate(PACE, told) == [25, 5, 25, 4.4, 0]
