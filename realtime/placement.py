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
    """`capacity` places. While `draining` none is given. A call that shows a whole photo takes `photo` of them."""

    capacity: int
    retry_after: int = 5
    taken: int = 0
    draining: bool = False
    photo: int = 1

    def reserve(self) -> "Place":
        """Take a place. Raises `Full`."""
        if self.draining:
            raise Full(self.retry_after)
        place = Place(self)
        place.resize(1)
        return place


@dataclass(slots=True)
class Place:
    """What one call takes."""

    _placement: Placement
    _held: int = 0

    def show_photo(self, whole: bool) -> None:
        """Take what a call with a whole photo takes, or what one without does. Raises `Full`, and keeps what it had."""
        self.resize(self._placement.photo if whole else 1)

    def resize(self, places: int) -> None:
        """Hold as many. Raises `Full`, and keeps what it had."""
        more = places - self._held
        if more > 0 and self._placement.taken + more > self._placement.capacity:
            raise Full(self._placement.retry_after)
        self._placement.taken += more
        self._held = places

    def release(self) -> None:
        """Give all of it back; again does nothing."""
        self.resize(0)
