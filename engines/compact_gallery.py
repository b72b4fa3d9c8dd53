"""The compact renderer for many sessions at once: the GPU paints all pictures of a tick in one batch, and every core of
the processor warps and composes some of them."""

from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np

from engines.backend import Network
from engines.expression import FloatArray
from engines.media import MotionFrame, VideoFrame
from engines.pipeline import Pipeline
from engines.renderer import Sketch

Work = tuple[Pipeline, MotionFrame]


class CompactGallery:
    """`painter` takes any number of rows; `cores` work beside it."""

    def __init__(self, painter: Network, cores: Executor) -> None:
        self._painter, self._cores = painter, cores

    def draw_all(self, work: Sequence[Work]) -> list[VideoFrame]:
        """A frame for every pipeline and its motion (see `engines.workers.perform_together`)."""
        sketches = list(self._cores.map(_sketch, work))
        inputs = {name: np.concatenate([each.inputs[name] for each in sketches]) for name in sketches[0].inputs}
        layers = self._painter.run(inputs)
        rows = [{name: layer[row : row + 1] for name, layer in layers.items()} for row in range(len(work))]

        def finish(one: Work, sketch: Sketch, row: dict[str, FloatArray]) -> VideoFrame:
            pipeline, moved = one
            return pipeline.show(sketch.painted(row), moved)

        return list(self._cores.map(finish, work, sketches, rows))


def _sketch(one: Work) -> Sketch:
    pipeline, moved = one
    return Sketch.of(pipeline.source(moved), moved.motion)
