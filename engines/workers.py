"""The threads that do what the scheduler says."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import numpy as np

from engines.ears import Ear, Ears
from engines.expression import FloatArray
from engines.media import AudioChunk, MotionFrame, Speech, VideoFrame
from engines.scheduler import Change, Outcome, Pipeline, Scheduler, Turn

logger = logging.getLogger(__name__)

Perform = Callable[[Sequence[Turn]], Sequence[Outcome]]
"""Does the turns of a batch. Its pictures belong to it until they are delivered."""


class Gathered(Protocol):
    """A pipeline that says what is to be heard, and takes what came of it: `engines.pipeline.Pipeline`."""

    ear: Ear

    def take(self, chunk: AudioChunk) -> Speech | None: ...

    def move(self, speech: Speech, bias: FloatArray) -> MotionFrame | None: ...


DrawAll = Callable[[Sequence[tuple[Any, MotionFrame]]], Sequence[VideoFrame]]
"""Draws the motions of several pipelines at once."""


def perform_each(turns: Sequence[Turn]) -> list[Outcome]:
    """One turn after the other, on pipelines that hear and draw by themselves: how the CPU does it."""
    return [_perform(turn) for turn in turns]


def perform_together(ears: Ears, draw_all: DrawAll) -> Perform:
    """A frame of all pipelines (`Gathered`) is heard at once, and what is to be drawn of them is drawn at once: how the
    GPU does it. A pipeline that fails before or after its sound is heard fails alone."""

    def perform(turns: Sequence[Turn]) -> list[Outcome]:
        begun = time.perf_counter()
        hearings = [_Hearing(turn) for turn in turns]
        for index in range(max(len(turn.steps) for turn in turns)):
            asked = [(hearing, speech) for hearing in hearings if (speech := hearing.take(index)) is not None]
            if asked:
                pcm = np.stack([speech.pcm for _, speech in asked])
                heard = ears.hear([hearing.pipeline.ear for hearing, _ in asked], pcm)
                for (hearing, speech), bias in zip(asked, heard, strict=True):
                    hearing.move(speech, bias)
        drawn = [hearing for hearing in hearings if hearing.draws]
        frames = draw_all([(hearing.pipeline, hearing.motions[-1]) for hearing in drawn]) if drawn else []
        for hearing, frame in zip(drawn, frames, strict=True):
            hearing.frame = frame
        seconds = time.perf_counter() - begun
        return [hearing.outcome(seconds) for hearing in hearings]

    return perform


class _Hearing:
    """What comes of one turn, until it is drawn."""

    def __init__(self, turn: Turn) -> None:
        self.pipeline = cast(Gathered, turn.seat.pipeline)
        self.motions: list[MotionFrame] = []
        self.frame: VideoFrame | None = None
        self._turn = turn
        self._errors = tuple(_try(change, turn.seat.pipeline) for change in turn.changes)
        self._failure: Exception | None = None

    @property
    def draws(self) -> bool:
        return self._turn.draws and bool(self.motions) and self._failure is None

    def take(self, index: int) -> Speech | None:
        """What is to be heard of a step, if it has so many and did not fail."""
        if index >= len(self._turn.steps) or self._failure is not None:
            return None
        try:
            first, second = (self.pipeline.take(chunk) for chunk in self._turn.steps[index].chunks)
            return second or first
        except Exception as error:
            self._fail(error)
            return None

    def move(self, speech: Speech, bias: FloatArray) -> None:
        try:
            moved = self.pipeline.move(speech, bias)
        except Exception as error:
            self._fail(error)
        else:
            self.motions += [moved] if moved is not None else []

    def outcome(self, seconds: float) -> Outcome:
        if self._failure is not None:
            return Outcome(self._errors, failure=self._failure)
        return Outcome(self._errors, tuple(self.motions), self.frame, seconds)

    def _fail(self, error: Exception) -> None:
        logger.exception("a session failed")
        self._failure = error


def _perform(turn: Turn) -> Outcome:
    begun, pipeline = time.perf_counter(), turn.seat.pipeline
    errors = tuple(_try(change, pipeline) for change in turn.changes)
    heard = (pipeline.hear(chunk) for step in turn.steps for chunk in step.chunks)
    motions = tuple(moved for moved in heard if moved is not None)
    frame = pipeline.draw(motions[-1]) if motions and turn.draws else None
    return Outcome(errors, motions, frame, time.perf_counter() - begun)


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
