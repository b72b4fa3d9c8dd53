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
    assert shown["server.delay_ms"] == "134 ms"
