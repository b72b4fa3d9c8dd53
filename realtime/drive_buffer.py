"""Frames of a tracker on their way to the face: stamped as they come, read at the moments of pictures."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from engines.drive import UNDRIVEN, Drive

TIMEOUT: Final = 0.5
"""Seconds without a frame after which a stream has stopped."""
_MOST: Final = 128
"""Frames kept: two seconds at 60 a second."""
_MOST_TRANSITS: Final = 64


@dataclass(frozen=True, slots=True)
class _Stamped:
    at: float
    drive: Drive


class DriveBuffer:
    """Written on the event loop, read in a worker thread: what is kept is only ever replaced as a whole.

    `on_change` is told when a stream begins (True) and when it has stopped (False).
    """

    def __init__(self, on_change: Callable[[bool], None] = lambda driving: None) -> None:
        self._on_change = on_change
        self._lost: asyncio.TimerHandle | None = None
        self._frames: tuple[_Stamped, ...] = ()
        self._transits: tuple[float, ...] = ()

    def insert(self, drive: Drive, arrival: float, sent: float | None = None) -> None:
        """Take the frame that came at `arrival` (monotonic seconds) and left at `sent` (seconds of the sender's clock).

        Frames that come in bursts are spaced as they were sent, as if each had come by the fastest way seen of late.
        """
        self._keep_alive()
        at = arrival
        newest = self._frames[-1].at if self._frames else arrival - TIMEOUT
        if arrival - newest > TIMEOUT:
            self._transits = ()
        if sent is not None:
            self._transits = (*self._transits[1 - _MOST_TRANSITS :], arrival - sent)
            at = min(arrival, sent + min(self._transits))
        if self._frames and at <= newest:
            return  # overtaken by a newer one
        self._frames = (*self._frames[1 - _MOST :], _Stamped(at, drive))

    def close(self) -> None:
        """Wait for nothing more, and tell nobody."""
        self._on_change = lambda driving: None
        if self._lost is not None:
            self._lost.cancel()

    def read(self, at: float) -> Drive:
        """The tracker's face at a moment (monotonic seconds), between the frames around it; the newest one if none has
        come since. `UNDRIVEN` before the first, and from `TIMEOUT` after the last on."""
        after: _Stamped | None = None
        for before in reversed(self._frames):
            if before.at > at:
                after = before
                continue
            if after is not None and after.at - before.at < TIMEOUT:
                return before.drive.toward(after.drive, (at - before.at) / (after.at - before.at))
            return before.drive if at - before.at < TIMEOUT else UNDRIVEN
        return UNDRIVEN

    def _keep_alive(self) -> None:
        if self._lost is None:
            self._on_change(True)
        else:
            self._lost.cancel()
        self._lost = asyncio.get_running_loop().call_later(TIMEOUT, self._lose)

    def _lose(self) -> None:
        self._lost = None
        self._on_change(False)
