"""The head in one frame of a clip: it stays where the frame shows it, but for what the voice moves, and only that part
of the picture is drawn."""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from engines.coarse_flow import EXTENSION_SIZE
from engines.compiled import compiled
from engines.expression import FloatArray
from engines.face_geometry import SourceGeometry
from engines.flow import Flow, flow_to_source
from engines.media import FRAME_SIZE
from engines.place import WHERE
from engines.raster import Raster, Window
from engines.source_view import DEPTH_TOLERANCE, HIDDEN, PARTLY, WHOLE, glimpse

STILL: Final = 0.1
"""Pixels by which a vertex may move and still count as where it was."""
MARGIN: Final = 16
"""Pixels around vertices that move, beyond which the triangles at them do not reach."""
CELL: Final = FRAME_SIZE // EXTENSION_SIZE
"""Pixels on a side of a cell of `Flow.coarse`."""


class FrameGeometry(SourceGeometry):
    """A head as one frame of a clip shows it, which is drawn once: nothing is found out beforehand. The frame is looked
    up as an `engines.atlas.Plate`."""

    def trace(self, points: FloatArray, *windows: Window) -> tuple[Raster, Flow]:
        """As for any source, but drawn where something moves, and in the `windows`."""
        part = self._moving(points, windows)
        triangles, parts = self.mesh.triangles, self.mesh.parts
        view = glimpse(self.points, triangles, parts, part)
        _look(view.pixels, triangles, view.depth, np.float32(DEPTH_TOLERANCE), view.sight)
        raster, flow = flow_to_source(points, triangles, part, view)
        return raster, _within_picture(flow, part)

    def _moving(self, points: FloatArray, windows: Iterable[Window]) -> Window:
        """The least square of whole cells around all vertices that move, and the `windows`."""
        box = np.array([np.inf, np.inf, -np.inf, -np.inf], np.float32)
        _reach(self.points, points, np.float32(STILL * 2 / FRAME_SIZE), box)
        box = (box + 1) * np.float32(FRAME_SIZE / 2)
        first, last = box[:2] - MARGIN, box[2:] + MARGIN
        for window in windows:
            first = np.minimum(first, (window.left, window.top))
            last = np.maximum(last, (window.left + window.width, window.top + window.height))
        first, last = first.clip(0, None), last.clip(None, FRAME_SIZE)
        start, end = first // CELL, -(-last // CELL)
        side = int((end - start).max())
        left, top = (int(at) * CELL for at in np.minimum(start, EXTENSION_SIZE - side))
        return Window(FRAME_SIZE / 2, left, top, side * CELL, side * CELL)


@compiled()
def _reach(before: Any, after: Any, still: Any, box: Any) -> None:
    """Widen the `box` (4,), least and greatest x and y, by all places that points move from and to."""
    for v in range(len(before)):
        if max(abs(after[v, 0] - before[v, 0]), abs(after[v, 1] - before[v, 1])) > still:
            for axis in range(2):
                box[axis] = min(box[axis], before[v, axis], after[v, axis])
                box[axis + 2] = max(box[axis + 2], before[v, axis], after[v, axis])


@compiled()
def _look(pixels: Any, triangles: Any, depth: Any, tolerance: Any, sight: Any) -> None:
    """Tell by their corners which of the triangles that were seen partly were seen whole, and which not at all. They
    are small beside whatever could hide their middle."""
    size = depth.shape[1]
    passed = np.full((2, len(pixels)), PARTLY, np.uint8)
    for v in range(len(pixels)):
        x, y = round(pixels[v, 0]), round(pixels[v, 1])
        if 0 <= x < size and 0 <= y < size:
            for way in range(2):
                passed[way, v] = WHOLE if pixels[v, 2] - tolerance < depth[way, y, x] else HIDDEN
    for way in range(2):
        for t in range(len(triangles)):
            a, b, c = passed[way, triangles[t, 0]], passed[way, triangles[t, 1]], passed[way, triangles[t, 2]]
            if sight[way, t] == PARTLY and a == b == c:
                sight[way, t] = a


def _within_picture(flow: Flow, part: Window) -> Flow:
    """The flow of a `part` as that of the whole picture, the rest of which stays."""
    size = FRAME_SIZE, FRAME_SIZE
    place, cover, seen = np.empty(size, np.uint32), np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    part.cut(place)[:] = (flow.place & np.uint32(WHERE)) + np.uint32((part.left | part.top << 14) << 5)
    part.cut(cover)[:], part.cut(seen)[:] = flow.cover, flow.seen
    return Flow(place, cover, seen, flow.coarse)
