"""Who can be chosen (`faces.js`) in a real Chromium, against the real server with a fake engine."""

import pytest

pytest.importorskip("playwright", reason="playwright is not installed: pip install playwright")
from playwright.sync_api import Page, expect

from tests.browser import IN_CHROMIUM, start_call

pytestmark = IN_CHROMIUM

REFUSE = """() => {
  probe.orders = [];
  const send = probe.channel.send.bind(probe.channel);
  const data = JSON.stringify({ type: "error", code: "full", message: "Others have the places." });
  probe.channel.send = (order) => {
    if (JSON.parse(order).type !== "avatar") return send(order);
    probe.orders.push(order);
    probe.channel.dispatchEvent(new MessageEvent("message", { data }));
  };
}"""


def test_who_is_refused_is_not_shown_as_chosen(page: Page) -> None:
    start_call(page)
    seen = page.locator("[name=avatar]:checked").get_attribute("value")
    page.evaluate(REFUSE)
    page.locator("[name=avatar]").nth(3).click(force=True)
    expect(page.locator("#state-advice")).to_have_text("Others have the places.")
    expect(page.locator("[name=avatar]:checked")).to_have_value(str(seen))
    assert page.evaluate("probe.orders.length") <= 2


SLOW = """() => {
  const send = probe.channel.send.bind(probe.channel);
  probe.channel.send = (order) => JSON.parse(order).type !== "avatar" && send(order);
}"""
SHOW = """(id) => {
  const data = JSON.stringify({ type: "avatar", id, scene: false });
  probe.channel.dispatchEvent(new MessageEvent("message", { data }));
}"""


def test_who_goes_on_choosing_is_not_taken_back(page: Page) -> None:
    start_call(page)
    page.evaluate(SLOW)
    chosen = page.locator("[name=avatar]:checked")
    first, last = (str(page.locator("[name=avatar]").nth(n).get_attribute("value")) for n in (3, 5))
    for id in (first, last):
        page.locator(f"[name=avatar][value={id}]").check(force=True)
    page.evaluate(SHOW, first)  # so late is the server
    expect(chosen).to_have_value(last)
    page.evaluate(SHOW, last)
    expect(chosen).to_have_value(last)
    page.evaluate(SHOW, first)  # somebody else has changed it
    expect(chosen).to_have_value(first)
