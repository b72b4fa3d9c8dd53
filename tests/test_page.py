import json
from typing import Any

import pytest

from realtime.controls import MAX_RATE, Message, Ping
from realtime.page import Page
from realtime.values import ControlError


class FakeChannel:
    label = "control"
    readyState = "open"
    bufferedAmount = 0

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.take: Any = None
        self.closed = False

    def on(self, kind: str, take: Any) -> None:
        assert kind == "message"
        self.take = take

    def send(self, data: str) -> None:
        self.sent.append(json.loads(data))

    def close(self) -> None:
        self.closed = True


def refuse(message: Message) -> None:
    raise ControlError("not now", "not_live")


def test_a_page_is_greeted_heard_and_answered() -> None:
    calls: list[Any] = []
    channel = FakeChannel()
    page = Page(lambda: calls.append("open"), calls.append, lambda: calls.append("heard"))
    page.send("lost")
    page.open(channel)
    channel.take('{"type": "ping", "t": 1}')
    page.send("pong", t=1.0)
    assert calls == ["open", "heard", Ping(1.0)]
    assert channel.sent == [{"type": "pong", "t": 1.0}]


def test_errors_go_back() -> None:
    channel = FakeChannel()
    Page(lambda: None, refuse, lambda: None).open(channel)
    channel.take("{")
    channel.take('{"type": "interrupt"}')
    assert [event["code"] for event in channel.sent] == ["bad_message", "not_live"]


def test_a_flood_is_cut_off_with_one_error_and_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("realtime.inbox.time.monotonic", lambda: now)
    followed: list[Message] = []
    channel = FakeChannel()
    Page(lambda: None, followed.append, lambda: None).open(channel)
    for _ in range(MAX_RATE + 50):
        channel.take('{"type": "interrupt"}')
    assert len(followed) == MAX_RATE
    assert [event["code"] for event in channel.sent] == ["too_fast"]
    now = 101.0
    channel.take('{"type": "interrupt"}')
    assert len(followed) == MAX_RATE + 1


@pytest.mark.parametrize("label", ["control", "other"])
def test_there_is_one_channel(label: str) -> None:
    first, second = FakeChannel(), FakeChannel()
    second.label = label
    page = Page(lambda: None, refuse, lambda: None)
    page.open(first)
    page.open(second)
    assert second.closed and second.sent[0]["code"] == "second_channel"
    assert not first.closed


def test_who_does_not_read_is_not_told_more() -> None:
    channel = FakeChannel()
    page = Page(lambda: None, refuse, lambda: None)
    page.open(channel)
    channel.bufferedAmount = 2 << 20
    page.send("stats")
    channel.bufferedAmount, channel.readyState = 0, "closing"
    page.send("stats")
    assert channel.sent == []
