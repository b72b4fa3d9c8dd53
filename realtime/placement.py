"""Who gets a place: a fixed number of tokens, taken before anything is done for a caller, given back at the end.

The one-process server keeps them in memory. Placement over many machines has the same three verbs.
"""

from dataclasses import dataclass, field


class Full(Exception):
    """Every place is taken: come back in `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"All places are taken: try again in {retry_after} seconds")
        self.retry_after = retry_after


@dataclass(slots=True)
class Placement:
    """`capacity` places. While `draining` none is given."""

    capacity: int
    retry_after: int = 5
    taken: int = 0
    draining: bool = False

    def reserve(self) -> "Place":
        """Take a place. Raises `Full`."""
        if self.draining or self.taken >= self.capacity:
            raise Full(self.retry_after)
        self.taken += 1
        return Place(self)


@dataclass(slots=True)
class Place:
    """One taken place."""

    _placement: Placement
    _held: bool = field(default=True)

    def release(self) -> None:
        """Give it back; again does nothing."""
        if self._held:
            self._held = False
            self._placement.taken -= 1
