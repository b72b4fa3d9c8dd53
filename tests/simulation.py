"""A house on a virtual clock: callers that ask every 40 ms, workers that take what a cost curve says, and a scheduler
between them that does not know that no time passes."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from engines.cost import CostCurve
from engines.media import FRAME_TICKS, STEP, AudioChunk, Motion, MotionFrame, VideoFrame
from engines.scheduler import Outcome, Scheduler, Seat, Step, Turn
from engines.workers import perform_each

_PLANES = np.zeros((1, 1), np.uint8)
_CHUNK = np.zeros(320, np.int16)


class SilentPipeline:
    """Remembers the media times that it heard."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.epoch = 0
        self.closed = False

    def hear(self, chunk: AudioChunk) -> MotionFrame | None:
        assert chunk.epoch == self.epoch, "the voice of another epoch"
        assert not self.closed
        self.heard.append(chunk.media_time)
        complete = chunk.media_time % FRAME_TICKS != 0
        return MotionFrame(Motion(), chunk.media_time - FRAME_TICKS // 2, self.epoch) if complete else None

    def draw(self, moved: MotionFrame) -> VideoFrame:
        return VideoFrame(_PLANES, moved.media_time, moved.epoch, moved.motion)

    def interrupt(self, epoch: int) -> None:
        self.epoch = epoch

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True


@dataclass
class SimulatedCaller:
    """A session from `begin` to `end`, whose k-th frame is complete at begin + k STEP (and up to `jitter` later), and
    wanted `slack` after begin + k STEP."""

    house: "House"
    begin: float
    end: float
    slack: float
    jitter: float = 0.0
    epoch: int = 0
    asked: int = 0
    in_time: int = 0
    shown: list[float] = field(default_factory=list)
    """When pictures were ready."""
    pictures: list[int] = field(default_factory=list)
    """Their media times."""

    def __post_init__(self) -> None:
        self.pipeline = SilentPipeline()
        self.house.at(self.begin, self._join)

    def _join(self) -> None:
        self.seat: Seat = self.house.scheduler.join(self.pipeline, self._deliver)
        self.house.at(self.begin, self._ask)
        self.house.at(self.end, self._leave)

    def _ask(self) -> None:
        if self.house.now >= self.end:
            return
        nominal = self.begin + self.asked * STEP
        first = self.asked * FRAME_TICKS
        chunks = tuple(AudioChunk(_CHUNK, first + half * FRAME_TICKS // 2, self.epoch) for half in (0, 1))
        self.seat.push(Step((chunks[0], chunks[1]), nominal + self.slack))
        self.asked += 1
        late = self.jitter * self.house.rng.random()
        self.house.at(max(self.house.now, nominal + STEP + late), self._ask)

    def _leave(self) -> None:
        self.seat.leave()
        self.end = self.house.now

    def interrupt(self) -> None:
        if self.begin < self.house.now < self.end:
            self.epoch += 1
            self.seat.interrupt(self.epoch)

    def _deliver(self, outcome: Outcome) -> None:
        assert outcome.failure is None and not any(outcome.errors)
        assert self.house.now <= self.end, "delivered after it has left"
        if outcome.frame is None:
            return
        assert outcome.frame.epoch == self.epoch, "a picture of before the interruption"
        self.shown.append(self.house.now)
        self.pictures.append(outcome.frame.media_time)
        deadline = self.begin + outcome.frame.media_time // FRAME_TICKS * STEP + self.slack
        self.in_time += self.house.now <= deadline + 1e-9

    @property
    def standstill(self) -> float:
        """The longest time without a new picture."""
        times = [self.begin, *self.shown, min(self.end, self.house.now)]
        return max(after - before for before, after in itertools.pairwise(times))


class House:
    """`workers` on one scheduler. A batch takes what `curve` says, times a factor drawn from `factors`."""

    def __init__(
        self, curve: CostCurve, workers: int, seed: int, factors: tuple[float, float] = (1.0, 1.0), slack: float = STEP
    ) -> None:
        self.now = 0.0
        self.rng = np.random.default_rng(seed)
        self.scheduler = Scheduler(curve, lambda size, late: self.batches.append(size))
        self.batches: list[int] = []
        self.callers: list[SimulatedCaller] = []
        self._curve = curve
        self._idle = workers
        self._busy: set[Seat] = set()
        self._factors = factors
        self._slack = slack
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, when: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), event))

    def call(self, begin: float, end: float, jitter: float = 0.0) -> SimulatedCaller:
        caller = SimulatedCaller(self, begin, end, self._slack, jitter)
        self.callers.append(caller)
        return caller

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
            while self._idle and (turns := self.scheduler.take(self.now)):
                self._work(turns)
        self.now = until

    def _work(self, turns: list[Turn]) -> None:
        drawn = sum(bool(turn.steps) for turn in turns)
        seats = [turn.seat for turn in turns]
        assert len(set(seats)) == len(seats)
        assert self._busy.isdisjoint(seats), "two workers at one pipeline"
        self._busy.update(seats)
        self._idle -= 1
        seconds = self._curve.cost(drawn) * self.rng.uniform(*self._factors) if drawn else 0.0
        outcomes = perform_each(turns)

        def done() -> None:
            self._idle += 1
            self._busy.difference_update(seats)
            self.scheduler.finish(turns, outcomes, seconds, self.now)

        self.at(self.now + seconds, done)
