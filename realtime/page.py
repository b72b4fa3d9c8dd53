"""The server's end of the data channel `control`: events go out, messages come in (see `realtime.controls`)."""

from collections.abc import Callable
from typing import Any, Final

from aiortc import RTCDataChannel

from realtime.controls import Message, event
from realtime.inbox import Inbox

_MOST_BUFFERED: Final = 1 << 20
"""Bytes that may wait for a page that does not read; what comes then is dropped."""


class Page:
    """The page of one call. `on_open` is called when it can be told things, `follow` for every message that is
    understood (it may raise `ControlError`), `heard` for everything that comes."""

    def __init__(
        self, on_open: Callable[[], None], follow: Callable[[Message], None], heard: Callable[[], None]
    ) -> None:
        self._on_open = on_open
        self._heard = heard
        self._channel: RTCDataChannel | None = None
        self._driven = False
        self._inbox = Inbox(follow, self._answer)

    def open(self, channel: RTCDataChannel) -> None:
        """Take a channel that the page has opened: the one called `control`, or one called `drive`, which lets a
        tracker send without waiting for what was lost."""
        if channel.label == "drive" and not self._driven:
            self._driven = True
            channel.on("message", self._take)
            return
        if self._channel is not None or channel.label != "control":
            channel.send(
                event(
                    "error",
                    code="second_channel",
                    message='Open one data channel "control" and, for a tracker, one "drive"',
                )
            )
            channel.close()
            return
        self._channel = channel
        channel.on("message", self._take)
        self._on_open()

    def send(self, kind: str, **values: Any) -> None:
        """Tell the page, if it listens."""
        self._answer(event(kind, **values))

    def _take(self, data: str | bytes) -> None:
        self._heard()
        self._inbox.take(data)

    def _answer(self, told: str) -> None:
        channel = self._channel
        if channel is not None and channel.readyState == "open" and channel.bufferedAmount < _MOST_BUFFERED:
            channel.send(told)
