"""The server's end of the data channel `control`: events go out, messages come in (see `realtime.controls`)."""

import time
from collections.abc import Callable
from typing import Any, Final

from aiortc import RTCDataChannel

from realtime.controls import MAX_RATE, Message, event, read_message
from realtime.values import ControlError

_MOST_BUFFERED: Final = 1 << 20
"""Bytes that may wait for a page that does not read; what comes then is dropped."""


class Page:
    """The page of one call. `on_open` is called when it can be told things, `follow` for every message that is
    understood (it may raise `ControlError`), `heard` for everything that comes."""

    def __init__(
        self, on_open: Callable[[], None], follow: Callable[[Message], None], heard: Callable[[], None]
    ) -> None:
        self._on_open = on_open
        self._follow = follow
        self._heard = heard
        self._channel: RTCDataChannel | None = None
        self._second = 0
        self._count = 0

    def open(self, channel: RTCDataChannel) -> None:
        """Take the channel that the page has opened. There is one, and it is called `control`."""
        if self._channel is not None or channel.label != "control":
            channel.send(event("error", code="second_channel", message='Open one data channel, called "control"'))
            channel.close()
            return
        self._channel = channel
        channel.on("message", self._take)
        self._on_open()

    def send(self, kind: str, **values: Any) -> None:
        """Tell the page, if it listens."""
        channel = self._channel
        if channel is not None and channel.readyState == "open" and channel.bufferedAmount < _MOST_BUFFERED:
            channel.send(event(kind, **values))

    def _take(self, data: str | bytes) -> None:
        self._heard()
        if self._too_fast():
            return
        try:
            self._follow(read_message(data))
        except ControlError as error:
            self.send("error", code=error.code, message=str(error))

    def _too_fast(self) -> bool:
        now = int(time.monotonic())
        self._second, self._count = now, self._count + 1 if now == self._second else 1
        if self._count == MAX_RATE + 1:
            self.send("error", code="too_fast", message=f"At most {MAX_RATE} messages per second are read")
        return self._count > MAX_RATE
