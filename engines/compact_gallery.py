"""The compact renderer for many sessions at once: the GPU paints all pictures of a tick in one batch, and every core of
the processor warps and composes some of them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from engines.backend import Network
from engines.expression import FloatArray
from engines.media import MotionFrame, VideoFrame
from engines.pipeline import Pipeline
from engines.renderer import Sketch

Work = tuple[Pipeline, MotionFrame]


class CompactGallery:
    """`painter` takes any number of rows; `threads` cores work beside it."""

    def __init__(self, painter: Network, threads: int) -> None:
        self._painter = painter
        self._pool = ThreadPoolExecutor(threads, "gallery")

    def draw_all(self, work: Sequence[Work]) -> list[VideoFrame]:
        """A frame for every pipeline and its motion (see `engines.workers.perform_together`)."""
        sketches = list(self._pool.map(_sketch, work))
        inputs = {name: np.concatenate([each.inputs[name] for each in sketches]) for name in sketches[0].inputs}
        layers = self._painter.run(inputs)
        rows = [{name: layer[row : row + 1] for name, layer in layers.items()} for row in range(len(work))]

        def finish(one: Work, sketch: Sketch, row: dict[str, FloatArray]) -> VideoFrame:
            pipeline, moved = one
            return pipeline.show(sketch.painted(row), moved)

        return list(self._pool.map(finish, work, sketches, rows))


def _sketch(one: Work) -> Sketch:
    pipeline, moved = one
    return Sketch.of(pipeline.source(moved), moved.motion)
