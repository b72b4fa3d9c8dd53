"""The threads that do what the scheduler says."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from engines.media import MotionFrame, VideoFrame
from engines.scheduler import Change, Outcome, Pipeline, Scheduler, Turn

logger = logging.getLogger(__name__)

Perform = Callable[[Sequence[Turn]], Sequence[Outcome]]
"""Does the turns of a batch. Its pictures belong to it until they are delivered."""


DrawAll = Callable[[Sequence[tuple[Pipeline, MotionFrame]]], Sequence[VideoFrame]]
"""Draws the motions of several pipelines at once."""


def perform_each(turns: Sequence[Turn]) -> list[Outcome]:
    """One turn after the other, on pipelines that hear and draw by themselves: how the CPU does it."""
    return [_perform(turn) for turn in turns]


def perform_together(draw_all: DrawAll) -> Perform:
    """Pipelines hear one after the other; what is to be drawn of all of them is drawn at once: how the GPU does it.

    Who fails while hearing fails alone.
    """

    def perform(turns: Sequence[Turn]) -> list[Outcome]:
        begun = time.perf_counter()
        outcomes = [_hear_alone(turn) for turn in turns]
        drawn = [index for index, turn in enumerate(turns) if turn.draws and outcomes[index].motions]
        if drawn:
            frames = draw_all([(turns[index].seat.pipeline, outcomes[index].motions[-1]) for index in drawn])
            for index, frame in zip(drawn, frames, strict=True):
                outcomes[index] = replace(outcomes[index], frame=frame)
        seconds = time.perf_counter() - begun
        return [replace(outcome, seconds=seconds) for outcome in outcomes]

    return perform


def _perform(turn: Turn) -> Outcome:
    begun = time.perf_counter()
    outcome = _hear(turn)
    frame = turn.seat.pipeline.draw(outcome.motions[-1]) if outcome.motions and turn.draws else None
    return replace(outcome, frame=frame, seconds=time.perf_counter() - begun)


def _hear(turn: Turn) -> Outcome:
    pipeline = turn.seat.pipeline
    errors = tuple(_try(change, pipeline) for change in turn.changes)
    heard = (pipeline.hear(chunk) for step in turn.steps for chunk in step.chunks)
    return Outcome(errors, tuple(moved for moved in heard if moved is not None))


def _hear_alone(turn: Turn) -> Outcome:
    try:
        return _hear(turn)
    except Exception as error:
        logger.exception("a session failed")
        return Outcome(failure=error)


def _try(change: Change, pipeline: Pipeline) -> Exception | None:
    try:
        change(pipeline)
    except Exception as error:
        return error
    return None


class Workers:
    """`count` threads on one scheduler. Every thread calls `prepare` when it starts."""

    def __init__(
        self, scheduler: Scheduler, perform: Perform, count: int, prepare: Callable[[], None] = lambda: None
    ) -> None:
        self._scheduler = scheduler
        self._perform = perform
        self._prepare = prepare
        self.count = count
        self._threads = [threading.Thread(target=self._run, name=f"networks_{index}") for index in range(count)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Close the scheduler and wait until all have finished what they had begun."""
        self._scheduler.close()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        self._prepare()
        while turns := self._scheduler.wait():
            begun = time.monotonic()
            outcomes: Sequence[Outcome]
            try:
                outcomes = self._perform(turns)
                if len(outcomes) != len(turns):
                    raise RuntimeError(f"{len(outcomes)} outcomes for {len(turns)} turns")
            except Exception as error:
                logger.exception("a batch of %d failed", len(turns))
                outcomes = [Outcome(failure=error)] * len(turns)
            now = time.monotonic()
            self._scheduler.finish(turns, outcomes, now - begun, now)
