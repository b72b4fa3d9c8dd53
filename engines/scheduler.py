"""Who is drawn next: one queue for all sessions of a process, served by few workers in batches.

Every session asks once in 40 ms, each in a phase of its own, and a picture has 40 ms or less until it leaves. Nobody
can wait for a common beat, then: a worker that is free takes all that is there, in the smallest batch that holds it,
and what comes meanwhile is the next batch. The fuller the house, the larger the batches become by themselves.

- The face that has stood still for the longest goes first: the earliest deadline below capacity, a turn each above.
  What it missed in the last seconds counts too, since some phases are unluckier than others.
- A picture that cannot be in time any more waits while others can, up to `PATIENCE`: a face may stutter, not freeze.
- The voice is always heard, late or not. Only drawing is left out: of all that waits, the newest is drawn.
- What was begun before an interruption is not delivered.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np

from engines.cost import CostCurve
from engines.media import STEP, AudioChunk, MotionFrame, VideoFrame

PATIENCE: Final = 5 * STEP
"""Seconds that a face may stand still before its next picture is drawn even if that is late."""
_CREDIT: Final = STEP / 4
"""Seconds by which a face goes earlier for every picture that it lately missed."""
_FORGETTING: Final = 1 / 50
"""How much of that it forgets with every frame."""
MOST_WAITING: Final = 25
"""Steps that may wait in one seat, a second: workers so far behind are stuck, and the oldest voice goes."""


class Pipeline(Protocol):
    """What is scheduled: `engines.pipeline.Pipeline`, or something of its shape. One worker at a time calls it."""

    def hear(self, chunk: AudioChunk) -> MotionFrame | None: ...

    def draw(self, moved: MotionFrame) -> VideoFrame: ...

    def interrupt(self, epoch: int) -> None: ...

    def close(self) -> None: ...


Change = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Step:
    """The voice of one frame, and the moment until which its picture is wanted, in seconds of `time.monotonic`."""

    chunks: tuple[AudioChunk, AudioChunk]
    deadline: float


@dataclass(frozen=True, slots=True)
class Turn:
    """What a worker does for one seat: apply `changes`, hear all `steps`, draw the newest if `draws`."""

    seat: "Seat"
    changes: tuple[Change, ...]
    steps: tuple[Step, ...]
    draws: bool
    epoch: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a turn: an error or None for each of its changes, how the face moved in each step, and the newest
    picture, made in `seconds`. `failure` is what went wrong with the turn itself."""

    errors: tuple[Exception | None, ...] = ()
    motions: tuple[MotionFrame, ...] = ()
    frame: VideoFrame | None = None
    seconds: float = 0.0
    failure: Exception | None = None


class Seat:
    """One session's place in a `Scheduler`, which makes it. Its methods may be called from any thread.

    `undrawn` counts the frames that were heard and not drawn, because newer ones waited.
    """

    def __init__(
        self, scheduler: "Scheduler", pipeline: Pipeline, deliver: Callable[[Outcome], None], draws: bool
    ) -> None:
        self.pipeline = pipeline
        self.deliver = deliver
        self.draws = draws
        self.undrawn = 0
        self._scheduler = scheduler
        self._epoch = 0
        self._busy = False
        self._shown: float | None = None
        self._missed = 0.0
        self._steps: deque[Step] = deque()
        self._changes: deque[Change] = deque()

    def push(self, step: Step) -> None:
        """Let it hear the voice of one frame."""
        with self._scheduler.changed:
            if self._shown is None:
                self._shown = step.deadline - STEP
            self._steps.append(step)
            if len(self._steps) > MOST_WAITING:
                self._steps.popleft()
                self.undrawn += 1
            self._scheduler.changed.notify()

    def change(self, change: Change) -> None:
        """Apply `change` to the pipeline between two frames."""
        with self._scheduler.changed:
            self._changes.append(change)
            self._scheduler.changed.notify()

    def interrupt(self, epoch: int) -> None:
        """Forget the voice so far; what waits becomes silence of the new epoch, and what is being made is dropped."""
        with self._scheduler.changed:
            self._epoch = epoch
            self._steps = deque(_hush(step, epoch) for step in self._steps)
            self._changes.append(lambda pipeline: pipeline.interrupt(epoch))
            self._scheduler.changed.notify()

    def leave(self) -> None:
        """Nothing is delivered any more. What a worker has begun it finishes; then the pipeline is closed."""
        with self._scheduler.changed:
            if self in self._scheduler.seats:
                self._scheduler.seats.discard(self)
                if not self._busy:
                    self.pipeline.close()

    # For the scheduler, which holds the lock

    @property
    def waits(self) -> bool:
        return not self._busy and bool(self._steps or self._changes)

    @property
    def asks(self) -> bool:
        """Whether there is more to do than changes, which cost nothing."""
        return bool(self._steps)

    @property
    def rank(self) -> float:
        """Who has the least goes first."""
        return (self._shown or 0.0) - _CREDIT * self._missed

    def in_time(self, done: float) -> bool:
        """Whether a picture that is done at `done` is worth beginning."""
        deadline = self._steps[-1].deadline
        return done <= deadline or deadline - (self._shown or deadline) > PATIENCE

    def begin(self) -> Turn:
        """Take all that waits."""
        turn = Turn(self, tuple(self._changes), tuple(self._steps), self.draws, self._epoch)
        self._changes.clear()
        self._steps.clear()
        self._busy = True
        self.undrawn += max(0, len(turn.steps) - 1)
        return turn

    def end(self, turn: Turn, outcome: Outcome, now: float) -> None:
        """Deliver it; the pictures and motions of an older epoch are dropped."""
        self._busy = False
        if turn.steps:
            self._shown = turn.steps[-1].deadline
            missed = len(turn.steps) - (now <= self._shown)
            self._missed = self._missed * (1 - _FORGETTING) ** len(turn.steps) + missed
        self.deliver(outcome if turn.epoch == self._epoch else replace(outcome, motions=(), frame=None))


class Scheduler:
    """All seats. `take` and `finish` decide, at a time that they are told; workers call `wait` and `finish`.

    `on_batch` is told of every batch of pictures: how many, and how many of them came after their deadline.
    """

    def __init__(self, curve: CostCurve, on_batch: Callable[[int, int], None] = lambda size, late: None) -> None:
        self.changed = threading.Condition()
        self.seats: set[Seat] = set()
        self._curve = curve
        self._on_batch = on_batch
        self._closed = False

    def expect(self, curve: CostCurve) -> None:
        """Begin with these costs, for the same buckets."""
        with self.changed:
            self._curve = curve

    def join(self, pipeline: Pipeline, deliver: Callable[[Outcome], None], *, draws: bool = True) -> Seat:
        """A seat for `pipeline`, which is closed when it leaves. `deliver` gets every outcome, in a worker's thread,
        and must be quick."""
        seat = Seat(self, pipeline, deliver, draws)
        with self.changed:
            self.seats.add(seat)
        return seat

    def close(self) -> None:
        """Let all that `wait` go home."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()

    def wait(self) -> list[Turn]:
        """The next batch, as soon as there is one. Empty when the scheduler has been closed."""
        with self.changed:
            while not self._closed:
                if turns := self.take(time.monotonic()):
                    return turns
                self.changed.wait()
        return []

    def take(self, now: float) -> list[Turn]:
        """What a worker that is free at `now` shall do: turns of different seats. Empty when nobody waits."""
        with self.changed:
            waiting = [seat for seat in self.seats if seat.waits]
            asking = [seat for seat in waiting if seat.asks]
            if len(asking) < len(waiting):
                return [seat.begin() for seat in waiting if not seat.asks]
            asking.sort(key=lambda seat: seat.rank)
            return [seat.begin() for seat in self._choose(asking, now)]

    def _choose(self, asking: list[Seat], now: float) -> list[Seat]:
        """The batch that serves the most in time; if none can be, as many of the first as are done within a frame."""
        chosen: list[Seat] = []
        for bucket, cost in zip(self._curve.buckets, self._curve.seconds, strict=True):
            in_time = [seat for seat in asking if seat.in_time(now + cost)][:bucket]
            if len(in_time) > len(chosen):
                chosen = in_time
        if chosen:
            return chosen
        fitting = [b for b, cost in zip(self._curve.buckets, self._curve.seconds, strict=True) if cost <= STEP]
        return asking[: max(fitting, default=self._curve.buckets[0])]

    def finish(self, turns: Sequence[Turn], outcomes: Sequence[Outcome], seconds: float, now: float) -> None:
        """The batch is done at `now`, after `seconds`: deliver what is still wanted of it."""
        drawn = [turn for turn in turns if turn.draws and turn.steps]
        with self.changed:
            if drawn:
                self._curve = self._curve.learn(len(drawn), seconds)
            for turn, outcome in zip(turns, outcomes, strict=True):
                if turn.seat in self.seats:
                    turn.seat.end(turn, outcome, now)
                else:
                    turn.seat.pipeline.close()
            self.changed.notify_all()
        if drawn:
            self._on_batch(len(drawn), sum(turn.steps[-1].deadline < now for turn in drawn))


def hush(chunk: AudioChunk, epoch: int) -> AudioChunk:
    """Silence of `epoch` in its place."""
    return replace(chunk, pcm=np.zeros_like(chunk.pcm), epoch=epoch)


def _hush(step: Step, epoch: int) -> Step:
    first, second = step.chunks
    return Step((hush(first, epoch), hush(second, epoch)), step.deadline)
