import queue
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from engines.cost import BUCKETS, CostCurve
from engines.expression import FloatArray
from engines.media import FRAME_TICKS, AudioChunk, Motion, MotionFrame, Speech, VideoFrame
from engines.scheduler import Outcome, Scheduler, Turn
from engines.workers import Workers, perform_each, perform_together
from tests.simulation import SilentPipeline
from tests.test_scheduler import step

ALONE = CostCurve((1,), (0.0,))


class Slow(SilentPipeline):
    """Tells in which thread it draws, and waits for the others there."""

    def __init__(self, together: threading.Barrier) -> None:
        super().__init__()
        self._together = together
        self.threads: list[str] = []

    def draw(self, moved: MotionFrame) -> VideoFrame:
        self.threads.append(threading.current_thread().name)
        self._together.wait(5)
        return super().draw(moved)


def test_two_workers_draw_two_faces_at_the_same_time() -> None:
    scheduler = Scheduler(ALONE)
    together = threading.Barrier(2)
    pipelines = [Slow(together), Slow(together)]
    done: queue.Queue[Outcome] = queue.Queue()
    prepared: list[str] = []
    workers = Workers(scheduler, perform_each, 2, lambda: prepared.append(threading.current_thread().name))
    workers.start()
    for pipeline in pipelines:
        scheduler.join(pipeline, done.put).push(step(0, time.monotonic() + 1))
    outcomes = [done.get(timeout=5) for _ in pipelines]
    workers.close()
    assert all(outcome.frame is not None for outcome in outcomes)
    assert sorted(pipelines[0].threads + pipelines[1].threads) == sorted(prepared)


class Listener(SilentPipeline):
    """Says what is to be heard, and moves by what was heard."""

    def __init__(self) -> None:
        super().__init__()
        self.ear = self
        self.biases: list[float] = []

    def take(self, chunk: AudioChunk) -> Speech | None:
        moved = self.hear(chunk)
        return None if moved is None else Speech(np.zeros(640, np.float32), moved.media_time)

    def move(self, speech: Speech, bias: FloatArray) -> MotionFrame | None:
        self.biases.append(float(bias[0]))
        return MotionFrame(Motion(), speech.media_time, self.epoch)


class Deaf(Listener):
    def take(self, chunk: AudioChunk) -> Speech | None:
        raise ValueError("no ear")


class Counting:
    """Ears that hear how many there are."""

    def __init__(self) -> None:
        self.batches: list[list[object]] = []

    def open(self, lookahead_ms: int) -> Any:
        raise NotImplementedError

    def hear(self, ears: Sequence[Any], pcm: FloatArray) -> FloatArray:
        assert pcm.shape == (len(ears), 640)
        self.batches.append(list(ears))
        return np.full((len(ears), 9), len(ears), np.float32)


def test_all_is_heard_and_drawn_at_once_and_who_fails_fails_alone() -> None:
    scheduler = Scheduler(CostCurve(BUCKETS, (0.0,) * len(BUCKETS)))
    done: dict[str, Outcome] = {}
    pipelines = {"one": Listener(), "deaf": Deaf(), "unseen": Listener(), "lags": Listener()}
    for name, pipeline in pipelines.items():
        seat = scheduler.join(pipeline, partial(done.__setitem__, name), draws=name != "unseen")
        seat.push(step(0, 1.0))
        if name == "lags":
            seat.push(step(1, 1.0))
    ears = Counting()
    drawn: list[list[object]] = []

    def draw_all(work: Sequence[tuple[Listener, MotionFrame]]) -> list[VideoFrame]:
        drawn.append([pipeline for pipeline, _ in work])
        return [pipeline.draw(moved) for pipeline, moved in work]

    turns = scheduler.take(0.0)
    scheduler.finish(turns, perform_together(ears, draw_all)(turns), 0.0, 0.0)
    assert [len(batch) for batch in ears.batches] == [3, 1] and ears.batches[1] == [pipelines["lags"]]
    assert pipelines["lags"].biases == [3.0, 1.0], "both of its frames, one after the other"
    assert len(drawn) == 1 and set(map(id, drawn[0])) == {id(pipelines["one"]), id(pipelines["lags"])}
    frames = {name: outcome.frame.media_time for name, outcome in done.items() if outcome.frame}
    assert frames == {"one": 0, "lags": FRAME_TICKS}
    assert isinstance(done["deaf"].failure, ValueError)
    assert [len(done[name].motions) for name in ("unseen", "lags")] == [1, 2]


def test_changes_alone_are_made_without_hearing() -> None:
    scheduler = Scheduler(ALONE)
    done: list[Outcome] = []
    listener, ears = Listener(), Counting()
    scheduler.join(listener, done.append).interrupt(4)
    turns = scheduler.take(0.0)
    scheduler.finish(turns, perform_together(ears, lambda work: [])(turns), 0.0, 0.0)
    assert listener.epoch == 4 and done[0].errors == (None,) and ears.batches == []


def test_what_comes_while_a_batch_is_made_is_the_next_batch() -> None:
    scheduler = Scheduler(CostCurve(BUCKETS, (0.0,) * len(BUCKETS)))
    sizes: list[int] = []
    begun, go = threading.Event(), threading.Event()

    def perform(turns: Sequence[Turn]) -> list[Outcome]:
        sizes.append(len(turns))
        begun.set()
        assert go.wait(5)
        return perform_each(turns)

    done: queue.Queue[Outcome] = queue.Queue()
    workers = Workers(scheduler, perform, 1)
    workers.start()
    seats = [scheduler.join(SilentPipeline(), done.put) for _ in range(6)]
    seats[0].push(step(0, time.monotonic() + 1))
    assert begun.wait(5)
    for seat in seats[1:]:
        seat.push(step(0, time.monotonic() + 1))
    go.set()
    for _ in seats:
        done.get(timeout=5)
    workers.close()
    assert sizes == [1, 5]


def test_a_batch_that_fails_is_told_to_its_seats_and_the_worker_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(SilentPipeline):
        def draw(self, moved: MotionFrame) -> VideoFrame:
            raise RuntimeError("no such kernel")

    scheduler = Scheduler(ALONE)
    done: queue.Queue[Outcome] = queue.Queue()
    workers = Workers(scheduler, perform_each, 1)
    workers.start()
    scheduler.join(Broken(), done.put).push(step(0, time.monotonic() + 1))
    assert str(done.get(timeout=5).failure) == "no such kernel"
    scheduler.join(SilentPipeline(), done.put).push(step(0, time.monotonic() + 1))
    assert done.get(timeout=5).frame is not None
    workers.close()
    assert "a batch of 1 failed" in caplog.text


def test_closing_lets_what_was_begun_be_finished() -> None:
    scheduler = Scheduler(ALONE)
    together = threading.Barrier(2)
    done: queue.Queue[Outcome] = queue.Queue()
    workers = Workers(scheduler, perform_each, 1)
    workers.start()
    pipeline = Slow(together)
    scheduler.join(pipeline, done.put).push(step(0, time.monotonic() + 1))
    while not pipeline.threads:
        time.sleep(0.001)
    closing = threading.Thread(target=workers.close)
    closing.start()
    together.wait(5)
    closing.join(5)
    assert done.get(timeout=1).frame is not None


def test_a_batch_that_forgets_somebody_fails_as_a_whole() -> None:
    scheduler = Scheduler(ALONE)
    done: queue.Queue[Outcome] = queue.Queue()
    workers = Workers(scheduler, lambda turns: [], 1)
    workers.start()
    scheduler.join(SilentPipeline(), done.put).push(step(0, time.monotonic() + 1))
    assert str(done.get(timeout=5).failure) == "0 outcomes for 1 turns"
    workers.close()
