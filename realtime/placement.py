"""Who gets a place: a fixed number of tokens, taken before anything is done for a caller, given back at the end.

The one-process server keeps them in memory. Placement over many machines has the same verbs.
"""

from dataclasses import dataclass


class Full(Exception):
    """Every place is taken: come back in `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"All places are taken: try again in {retry_after} seconds")
        self.retry_after = retry_after


@dataclass(slots=True)
class Placement:
    """`capacity` places. While `draining` none is given. A call that shows a whole photo takes `photo` of them, and one
    whose avatar moves as in a clip takes `clip`."""

    capacity: int
    retry_after: int = 5
    taken: int = 0
    draining: bool = False
    photo: int = 1
    clip: int = 1

    def reserve(self, *, clip: bool = False) -> "Place":
        """Take what a call with this kind of avatar takes. Raises `Full`."""
        if self.draining:
            raise Full(self.retry_after)
        place = Place(self)
        place.settle(clip=clip, photo=False)
        return place


@dataclass(slots=True)
class Place:
    """What one call takes."""

    _placement: Placement
    _held: int = 0

    def make_room(self, *, clip: bool, photo: bool) -> None:
        """Hold what it takes to show this, and no less than before. Raises `Full`, and keeps what it had."""
        self._resize(max(self._held, self._needed(clip, photo)))

    def settle(self, *, clip: bool, photo: bool) -> None:
        """Hold what it takes to show this and no more. Raises `Full`, and keeps what it had."""
        self._resize(self._needed(clip, photo))

    def release(self) -> None:
        """Give all of it back; again does nothing."""
        self._resize(0)

    def _needed(self, clip: bool, photo: bool) -> int:
        places = (self._placement.clip if clip else 1) + (self._placement.photo - 1 if photo else 0)
        return min(places, max(1, self._placement.capacity))  # who is alone may have all of it

    def _resize(self, places: int) -> None:
        more = places - self._held
        if more > 0 and self._placement.taken + more > self._placement.capacity:
            raise Full(self._placement.retry_after)
        self._placement.taken += more
        self._held = places
