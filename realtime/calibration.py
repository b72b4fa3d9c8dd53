"""How many calls this machine carries: measured when the server starts, on the engine that will serve them."""

import itertools
import math
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from engines.cost import SHARE, CostCurve
from engines.landmarks import Crop
from engines.media import FRAME_TICKS, STEP, AudioChunk
from engines.scene import Scene
from engines.scheduler import Outcome, Scheduler, Step
from engines.workers import Perform
from realtime.director import SCENE_PIXELS
from realtime.encoders import Vp8Encoder
from realtime.engine import Engine

_REPEATS: Final = 10
_SILENCE: Final = np.zeros(320, np.int16)


@dataclass(frozen=True, slots=True)
class Costs:
    """What batches take while all workers are busy, the seconds in which one picture is encoded, and by how many more
    one within a whole photo is composed and encoded; and the seconds of the largest batch when all in it move as in a
    clip."""

    curve: CostCurve
    encode: float
    photo: float
    moving: float

    def capacity(self, slack: float, workers: int, cores: int) -> int:
        """How many calls always have their pictures within `slack` seconds. An engine that draws face by face shares
        the cores with the encoders; one that draws in batches leaves them to these."""
        if self.curve.largest == 1:
            both = tuple(seconds + self.encode for seconds in self.curve.seconds)
            return replace(self.curve, seconds=both).capacity(slack, workers)
        encoded = math.floor(SHARE * cores * STEP / self.encode)
        return max(1, min(self.curve.capacity(slack, workers), encoded))

    def photo_places(self, slack: float, workers: int, cores: int) -> int:
        """How many calls' places one takes that shows a whole photo."""
        photos = replace(self, encode=self.encode + self.photo).capacity(slack, workers, cores)
        return math.ceil(self.capacity(slack, workers, cores) / photos)

    def clip_places(self) -> int:
        """The same of one that moves as in a clip: to the nearest, for a little more is within what costs vary."""
        alone = self.encode if self.curve.largest == 1 else 0.0
        return max(1, round((self.moving + alone) / (self.curve.seconds[-1] + alone)))


def measure(engine: Engine, avatar: Any, perform: Perform, buckets: tuple[int, ...], workers: int) -> Costs:
    """Let `workers` draw in silence at the same time, for every bucket, and encode what comes of it. Takes a moment."""
    with TemporaryDirectory() as folder:
        clip = engine.in_clip(avatar, Path(folder))
        moving = _curve([_Bench(engine, clip, perform, buckets) for _ in range(workers)], buckets[-1:])
    benches = [_Bench(engine, avatar, perform, buckets) for _ in range(workers)]
    curve = _curve(benches, buckets)
    plain, photo = (
        median(itertools.chain.from_iterable(bench.encode(within) for bench in benches)) for within in (False, True)
    )
    return Costs(curve, plain, max(0.0, photo - plain), moving.seconds[0])


def _curve(benches: list["_Bench"], buckets: tuple[int, ...]) -> CostCurve:
    with ThreadPoolExecutor(len(benches)) as executor:

        def draw(size: int) -> None:
            list(executor.map(lambda bench: bench.draw(size), benches))

        curve = CostCurve.measure(draw, buckets, _REPEATS)
    for bench in benches:
        bench.close()
    return curve


class _Bench:
    """One worker and as many faces as its largest batch has."""

    def __init__(self, engine: Engine, avatar: Any, perform: Perform, buckets: tuple[int, ...]) -> None:
        self._perform = perform
        self._scheduler = Scheduler(CostCurve.unknown(buckets))
        self._seats = [self._scheduler.join(engine.open(avatar, seed=seed), self._keep) for seed in range(buckets[-1])]
        self._pictures: deque[NDArray[np.uint8]] = deque(maxlen=_REPEATS)
        self._now = itertools.count()
        while not self._pictures:  # some pipelines hear for a while before their first one
            self.draw(buckets[-1])

    def _keep(self, outcome: Outcome) -> None:
        if outcome.failure is not None:
            raise outcome.failure
        if outcome.frame is not None:
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

    def encode(self, within_photo: bool) -> Iterator[float]:
        """Seconds for each of the last pictures, alone or in the largest photo that is sent live."""
        encoder = Vp8Encoder(1_000_000)
        scene = _photo(self._pictures[0]) if within_photo else None
        for planes in self._pictures:
            picture = cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420)
            begun = time.perf_counter()
            shown = planes if scene is None else scene.step(np.asarray(picture, np.uint8))
            encoder.encode(av.VideoFrame.from_ndarray(shown, format="yuv420p"))
            yield time.perf_counter() - begun


def _photo(planes: NDArray[np.uint8]) -> Scene:
    """Half as high as the photo, in front of what looks like itself."""
    height, width = 720, SCENE_PIXELS // 720
    picture = cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420)
    photo = np.asarray(cv2.resize(picture, (width, height)), np.uint8)
    return Scene(photo, Crop(width / 2, height / 2, height / 2))
