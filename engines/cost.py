"""What drawing for many at once costs, and how many that lets in."""

import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from engines.media import STEP

BUCKETS: Final = (1, 2, 4, 8, 16, 32)
"""Sizes of batch that engines are built for. One that draws face by face has the first alone."""
SHARE: Final = 0.8
"""How much of the time there is may be planned with: costs vary."""
_LONGEST_MEASURE: Final = 1.0
_LEARNING: Final = 1 / 8
"""How fast a curve follows what batches take."""


@dataclass(frozen=True, slots=True)
class CostCurve:
    """`seconds[i]` is what a batch of `buckets[i]` takes; a batch in between takes what the next bucket does.

    Raises `ValueError` unless the buckets ascend and there are as many seconds.
    """

    buckets: tuple[int, ...]
    seconds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.buckets or list(self.buckets) != sorted(set(self.buckets)) or self.buckets[0] < 1:
            raise ValueError(f"buckets are {self.buckets}: give sizes of at least 1 that ascend")
        if len(self.seconds) != len(self.buckets):
            raise ValueError(f"{len(self.seconds)} costs for {len(self.buckets)} buckets")

    @classmethod
    def unknown(cls, buckets: tuple[int, ...]) -> "CostCurve":
        """A curve that has yet to learn: nothing costs anything."""
        return cls(buckets, (0.0,) * len(buckets))

    @classmethod
    def measure(cls, draw: Callable[[int], object], buckets: tuple[int, ...], repeats: int = 10) -> "CostCurve":
        """Time `draw` for every bucket: the median of up to `repeats`, after one that does not count, in about a second
        each."""
        return cls(buckets, tuple(_median_seconds(draw, bucket, repeats) for bucket in buckets))

    @property
    def largest(self) -> int:
        return self.buckets[-1]

    def cost(self, count: int) -> float:
        """Seconds that a batch of 1 to `largest` takes."""
        return self.seconds[bisect_left(self.buckets, count)]

    def learn(self, count: int, seconds: float) -> "CostCurve":
        """The curve after one more batch of `count`, which took `seconds`. It goes on ascending: no batch costs less
        than a smaller one."""
        index = bisect_left(self.buckets, count)
        cost = self.seconds[index] + _LEARNING * (seconds - self.seconds[index])
        smaller = (min(each, cost) for each in self.seconds[:index])
        larger = (max(each, cost) for each in self.seconds[index + 1 :])
        return replace(self, seconds=(*smaller, cost, *larger))

    def response(self, sessions: int, workers: int = 1) -> float:
        """The longest that one of `sessions` waits for its picture, whatever their phases: seconds from its voice to
        the picture, if each asks once in that time.

        It comes just after `workers` batches have begun with some of the others, and is drawn with or after all the
        rest.
        """
        begun = range(min(self.largest, (sessions - 1) // workers) + 1)
        return max(
            (self.cost(size) if size else 0.0) + self._serve(sessions - workers * size, workers) for size in begun
        )

    def _serve(self, count: int, workers: int) -> float:
        rounds = -(-count // (workers * self.largest))
        return rounds * self.cost(min(count, self.largest))

    def capacity(self, slack: float, workers: int = 1, share: float = SHARE, most: int = 256) -> int:
        """How many sessions, at least 1 and up to `most`, always have their pictures within `share` of `slack` seconds
        (of a frame's time, if that is less): the rest is for costs that vary."""
        fitting = 1
        while fitting < most and self.response(fitting + 1, workers) <= share * min(slack, STEP):
            fitting += 1
        return fitting


def _median_seconds(draw: Callable[[int], object], bucket: int, repeats: int) -> float:
    draw(bucket)
    seconds: list[float] = []
    while not seconds or (len(seconds) < repeats and sum(seconds) < _LONGEST_MEASURE):
        begun = time.perf_counter()
        draw(bucket)
        seconds.append(time.perf_counter() - begun)
    return median(seconds)
