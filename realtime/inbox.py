"""The messages of one sender: held to a rate, read, followed; what is wrong with them is told."""

import time
from collections.abc import Callable

from realtime.controls import MAX_RATE, Message, event, read_message
from realtime.values import ControlError


class Inbox:
    """`follow` gets every message that is understood (it may raise `ControlError`); `answer` the `error` events, as
    JSON."""

    def __init__(self, follow: Callable[[Message], None], answer: Callable[[str], None]) -> None:
        self._follow = follow
        self._answer = answer
        self._second = 0
        self._count = 0

    def take(self, data: str | bytes) -> None:
        """Follow one message."""
        if self._too_fast():
            return
        try:
            self._follow(read_message(data))
        except ControlError as error:
            self._answer(event("error", code=error.code, message=str(error)))

    def _too_fast(self) -> bool:
        now = int(time.monotonic())
        self._second, self._count = now, self._count + 1 if now == self._second else 1
        if self._count == MAX_RATE + 1:
            self._answer(event("error", code="too_fast", message=f"At most {MAX_RATE} messages per second are read"))
        return self._count > MAX_RATE
