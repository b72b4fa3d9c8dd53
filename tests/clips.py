"""Clips for tests: an avatar that ships moves over a wall, and a search that knows where it is in every frame.

The number of a frame is written into its upper left corner, as a level of grey, so that the search can tell which frame
it sees.
"""

import io
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from engines.avatar import list_avatars, load_avatar
from engines.expression import FloatArray
from engines.landmarks import TRACKED, Crop, Face, LandmarkFinder
from tests.portraits import shipped_points

SIZE = (640, 640)
"""Height and width of a frame."""
Way = Callable[[int], tuple[int, int] | None]
"""Where the upper left corner of the avatar's picture is in a frame, (x, y); None where nobody is seen."""


def sway(index: int) -> tuple[int, int]:
    """A slow way to and fro, which begins and ends calmly."""
    return 64 + round(24 * np.sin(index / 8)), 64 + round(10 * np.cos(index / 8))


def filmed(count: int, way: Way = sway) -> list[NDArray[np.uint8]]:
    """Frames, RGB uint8."""
    picture = load_avatar(list_avatars()[0]).picture
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    wall = np.stack([120 + x // 12, 130 + y // 12, 140 + (x + y) // 24], -1).astype(np.uint8)
    frames = []
    for index in range(count):
        frame, place = wall.copy(), way(index)
        if place is not None:
            left, top = place
            frame[top : top + 512, left : left + 512] = picture
        frame[:16, :16] = 15 + 3 * index
        frames.append(frame)
    return frames


def mp4(frames: list[NDArray[np.uint8]]) -> bytes:
    """A video file of them."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "16", "preset": "ultrafast"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return file.getvalue()


class Watcher(LandmarkFinder):
    """Finds the avatar wherever `way` has put it, off by `tremble` pixels, another way in every frame."""

    def __init__(self, way: Way = sway, tremble: float = 0.0) -> None:
        self._way, self._tremble = way, tremble
        self.searches = 0

    def find(self, picture: NDArray[np.uint8]) -> list[Face]:
        self.searches += 1
        face = self._face(picture)
        return [] if face is None else [face]

    def settle(self, picture: NDArray[np.uint8], crop: Crop) -> Face | None:
        return self._face(picture)

    def _face(self, picture: NDArray[np.uint8]) -> Face | None:
        index = round((float(picture[2:14, 2:14].mean()) - 15) / 3)
        place = self._way(index)
        if place is None:
            return None
        points: FloatArray = shipped_points() + np.array(place, np.float32)
        points += np.random.default_rng(index).normal(0, self._tremble, points.shape).astype(np.float32)
        return Face(points, np.full(len(TRACKED), 1.0, np.float32), 0.99)
