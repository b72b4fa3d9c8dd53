"""How many calls this machine carries: measured when the server starts, on the engine that will serve them."""

import itertools
import math
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from engines.cost import SHARE, CostCurve
from engines.media import FRAME_TICKS, STEP, AudioChunk
from engines.scheduler import Outcome, Scheduler, Step
from engines.workers import Perform
from realtime.encoders import Vp8Encoder
from realtime.engine import Engine

_REPEATS: Final = 10
_SILENCE: Final = np.zeros(320, np.int16)


@dataclass(frozen=True, slots=True)
class Costs:
    """What batches take while all workers are busy, and the seconds in which one picture is encoded."""

    curve: CostCurve
    encode: float

    def capacity(self, slack: float, workers: int, cores: int) -> int:
        """How many calls always have their pictures within `slack` seconds. An engine that draws face by face shares
        the cores with the encoders; one that draws in batches leaves them to these."""
        if self.curve.largest == 1:
            both = tuple(seconds + self.encode for seconds in self.curve.seconds)
            return replace(self.curve, seconds=both).capacity(slack, workers)
        encoded = math.floor(SHARE * cores * STEP / self.encode)
        return max(1, min(self.curve.capacity(slack, workers), encoded))


def measure(engine: Engine, avatar: Any, perform: Perform, buckets: tuple[int, ...], workers: int) -> Costs:
    """Let `workers` draw in silence at the same time, for every bucket, and encode what comes of it. Takes a moment."""
    benches = [_Bench(engine, avatar, perform, buckets) for _ in range(workers)]
    with ThreadPoolExecutor(workers) as executor:

        def draw(size: int) -> None:
            list(executor.map(lambda bench: bench.draw(size), benches))

        curve = CostCurve.measure(draw, buckets, _REPEATS)
    for bench in benches:
        bench.close()
    return Costs(curve, median(itertools.chain.from_iterable(bench.encode() for bench in benches)))


class _Bench:
    """One worker and as many faces as its largest batch has."""

    def __init__(self, engine: Engine, avatar: Any, perform: Perform, buckets: tuple[int, ...]) -> None:
        self._perform = perform
        self._scheduler = Scheduler(CostCurve.unknown(buckets))
        self._seats = [self._scheduler.join(engine.open(avatar, seed=seed), self._keep) for seed in range(buckets[-1])]
        self._encoder = Vp8Encoder(1_000_000)
        self._pictures: deque[NDArray[np.uint8]] = deque(maxlen=_REPEATS)
        self._now = itertools.count()

    def _keep(self, outcome: Outcome) -> None:
        if outcome.failure is not None:
            raise outcome.failure
        assert outcome.frame is not None
        self._pictures.append(outcome.frame.planes.copy())

    def draw(self, size: int) -> None:
        index = next(self._now)
        first, second = (AudioChunk(_SILENCE, (2 * index + half) * FRAME_TICKS // 2) for half in (0, 1))
        for seat in self._seats[:size]:
            seat.push(Step((first, second), math.inf))
        turns = self._scheduler.take(0.0)
        self._scheduler.finish(turns, self._perform(turns), 0.0, 0.0)

    def close(self) -> None:
        for seat in self._seats:
            seat.leave()

    def encode(self) -> Iterator[float]:
        """Seconds for each of the last pictures."""
        for planes in self._pictures:
            begun = time.perf_counter()
            self._encoder.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p"))
            yield time.perf_counter() - begun
