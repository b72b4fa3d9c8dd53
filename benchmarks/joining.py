"""`python -m benchmarks.joining`: what fresh avatars cost the calls that are there.

Calls run on the engine as the server runs them, without transport, while a thread encodes avatars that nobody has shown
before, one after the other: first with the priority that pictures have, then with that of the background. A picture is
late when it is not there 34 ms after its voice. With a core to spare nobody is disturbed; `--cores 1` leaves none. On a
machine that others use as well, `--slower 10` stretches all times and leaves the work as it is.
"""

import argparse
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final

import numpy as np

from engines.avatar import list_avatars, load_avatar
from engines.cost import CostCurve
from engines.media import CHUNK_SAMPLES, FRAME_TICKS, STEP, AudioChunk
from engines.pipeline import Engine
from engines.scheduler import Outcome, Scheduler, Step
from engines.workers import Workers, perform_each
from realtime.priority import make_pictures, work_in_background

SLACK: Final = 0.034
PAUSE: Final = 0.05
"""Seconds between two avatars."""


@dataclass
class House:
    """Calls on two avatars, and how their pictures fared."""

    engine: Engine
    slower: float
    pictures: int = 0
    late: int = 0
    seconds: list[float] = field(default_factory=list)

    def run(self, calls: int, frames: int) -> None:
        scheduler = Scheduler(CostCurve.unknown((1,)), self._count)
        workers = Workers(scheduler, perform_each, len(os.sched_getaffinity(0)), make_pictures)
        workers.start()
        names = list_avatars()[:2]
        pipelines = [self.engine.open(load_avatar(names[seed % 2]), seed=seed) for seed in range(calls)]
        seats = [scheduler.join(pipeline, self._take) for pipeline in pipelines]
        pcm = np.random.default_rng(0).normal(0, 2000, CHUNK_SAMPLES).astype(np.int16)
        begun = time.monotonic()
        for frame in range(frames):
            for index, seat in enumerate(seats):
                due = begun + (frame + index / calls) * STEP * self.slower
                time.sleep(max(0.0, due - time.monotonic()))
                start = frame * FRAME_TICKS
                chunks = AudioChunk(pcm, start), AudioChunk(pcm, start + FRAME_TICKS // 2)
                seat.push(Step(chunks, due + SLACK * self.slower))
        time.sleep(STEP * self.slower)
        self.late += sum(seat.undrawn for seat in seats)
        self.pictures += sum(seat.undrawn for seat in seats)
        workers.close()

    def _count(self, size: int, late: int) -> None:
        self.pictures, self.late = self.pictures + size, self.late + late

    def _take(self, outcome: Outcome) -> None:
        if outcome.failure is not None:
            raise outcome.failure
        if outcome.frame is not None:
            self.seconds.append(outcome.seconds)

    def row(self, name: str, encoded: int) -> str:
        p50, p99 = np.percentile(np.array(self.seconds) * 1000, [50, 99])
        return f"| {name} | {encoded} | {100 * self.late / self.pictures:.1f} | {p50:.1f} | {p99:.1f} |"


@contextmanager
def encoding(
    engine: Engine, prepare: Callable[[], None] | None, slower: float, fresh: Iterator[int], done: list[int]
) -> Iterator[None]:
    """Encode `fresh` avatars in a thread that calls `prepare` first; none if that is None."""
    stop = threading.Event()

    def run() -> None:
        assert prepare is not None
        prepare()
        avatar = load_avatar(list_avatars()[2])
        for number in fresh:
            picture = avatar.picture.copy()
            picture[0, 0] = 7, number // 256, number % 256  # another picture, and no other work
            engine.prepare(replace(avatar, picture=picture))
            done.append(number)
            if stop.wait(PAUSE * slower):
                return

    thread = threading.Thread(target=run)
    if prepare is not None:
        thread.start()
    yield
    stop.set()
    if prepare is not None:
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--frames", type=int, default=250, help="of each call and case")
    parser.add_argument("--slower", type=float, default=1.0, help="stretch all times by this")
    parser.add_argument("--cores", type=int, default=0, help="that it may use (default: all)")
    options = parser.parse_args()
    if options.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    engine = Engine.load()
    for name in list_avatars()[:3]:
        engine.warm_up(load_avatar(name))
    print("| fresh avatars | encoded | late pictures, % | drawing p50 ms | p99 ms |\n|---|---|---|---|---|")
    fresh = count()
    cases = (("none", None), ("with a picture's priority", make_pictures), ("in the background", work_in_background))
    for name, prepare in cases:
        house, done = House(engine, options.slower), list[int]()
        with encoding(engine, prepare, options.slower, fresh, done):
            house.run(options.calls, options.frames)
        print(house.row(name, len(done)), flush=True)


if __name__ == "__main__":
    main()
