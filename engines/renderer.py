"""The renderer: a cached source and a motion in, a picture out.

Per frame: the mesh says where every pixel lies in the source, the source is warped by it at full resolution, and the
painter lays three layers over the warp: the whole picture at a quarter of the resolution, mouth and eyes at all of
it.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from engines.atlas import make_atlas
from engines.avatar import Avatar
from engines.backend import Backend
from engines.expression import FloatArray
from engines.face_geometry import FaceGeometry, SourceGeometry, face_geometry
from engines.flow import Window
from engines.media import FRAME_SIZE, Motion

SOURCE_SIZE: Final = 256
MAIN_SIZE: Final = 128
"""Pixels on a side of what the painter sees and paints of the whole picture."""
SEAM: Final = 6
"""Pixels over which a window's layer blends into the picture at its border."""
_FLOW_SCALE: Final = 8.0


@dataclass(frozen=True)
class Source:
    """What is computed once per avatar: its atlas, its geometry and the encoded
    picture."""

    atlas: NDArray[np.uint8]
    geometry: SourceGeometry
    identity: FloatArray


class SourceCache:
    """Encoded sources by content hash, shared by all sessions of a process; safe to call from any thread."""

    def __init__(self, backend: Backend, weights: Path) -> None:
        self._encoder = backend.load(weights / "renderer_source.onnx")
        self._sources: dict[str, Source] = {}
        self._lock = threading.Lock()

    def get(self, avatar: Avatar) -> Source:
        """Encode `avatar` the first time it is asked for."""
        with self._lock:
            if avatar.content_hash not in self._sources:
                self._sources[avatar.content_hash] = self.encode(avatar.picture, avatar.geometry)
            return self._sources[avatar.content_hash]

    def encode(self, picture: NDArray[np.uint8], geometry: SourceGeometry) -> Source:
        """Encode a picture without remembering it."""
        small = cv2.resize(picture, (SOURCE_SIZE, SOURCE_SIZE), interpolation=cv2.INTER_AREA)
        encoded = self._encoder.run({"picture": _unit(small).transpose(2, 0, 1)[None]})
        return Source(make_atlas(picture, geometry.depth), geometry, encoded["identity"].copy())


class Renderer:
    """The painter with a request of its own: one renderer per session, used by one thread at a time."""

    def __init__(self, backend: Backend, weights: Path) -> None:
        self._painter = backend.load(weights / "renderer_painter.onnx")

    def render(self, source: Source, motion: Motion) -> NDArray[np.uint8]:
        """RGB picture, uint8 (512, 512, 3)."""
        geometry = face_geometry(source.geometry, motion)
        warped = warp(source.atlas, geometry)
        layers = self._painter.run({"identity": source.identity, **painter_inputs(source.geometry, geometry, warped)})
        return compose(warped, geometry, layers["main_layer"], layers["mouth_layer"], layers["eyes_layer"])

    def step(self, source: Source, motion: Motion) -> NDArray[np.uint8]:
        """One frame as I420 planes, uint8 (768, 512)."""
        planes: NDArray[np.uint8] = cv2.cvtColor(self.render(source, motion), cv2.COLOR_RGB2YUV_I420)
        return planes


def warp(atlas: NDArray[np.uint8], geometry: FaceGeometry) -> NDArray[np.uint8]:
    """Look every pixel up in the `atlas` (1536, 512, 3) of the source where `geometry` says that it lies."""
    warped: NDArray[np.uint8] = cv2.remap(
        atlas, geometry.grid, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return warped


def painter_inputs(
    source: SourceGeometry, geometry: FaceGeometry, warped: NDArray[np.uint8]
) -> dict[str, FloatArray]:
    """What the painter takes of a frame (see `networks.compact_renderer`), for training and serving alike."""
    size = (MAIN_SIZE, MAIN_SIZE)
    small = cv2.resize(warped, size, interpolation=cv2.INTER_AREA)
    seen = cv2.resize(geometry.seen, size, interpolation=cv2.INTER_AREA)
    main = np.dstack([fold(np.dstack([_unit(small), _unit(seen)])) - 0.5, geometry.coarse_flow * _FLOW_SCALE])
    return {
        "keypoints": (geometry.keypoints - source.keypoints)[None],
        "main": main.astype(np.float32)[None],
        "mouth": _window_input(warped, geometry.mouth, geometry.mouth_maps),
        "eyes": _window_input(warped, geometry.eyes, geometry.eyes_maps),
    }


def fold(picture: NDArray[Any]) -> NDArray[Any]:
    """(2h, 2w, C) to (h, w, 4C): 2 x 2 pixels into the channels, row by row."""
    height, width, channels = picture.shape
    cells = picture.reshape(height // 2, 2, width // 2, 2, channels)
    return cells.transpose(0, 2, 1, 3, 4).reshape(height // 2, width // 2, 4 * channels)


def compose(
    warped: NDArray[np.uint8], geometry: FaceGeometry, main: FloatArray, mouth: FloatArray, eyes: FloatArray
) -> NDArray[np.uint8]:
    """Lay the painter's folded layers (1, h, w, 16) over the warp; the windows replace the main layer, with a soft
    seam."""
    wide = cv2.resize(unfold_layer(main[0]), (FRAME_SIZE, FRAME_SIZE), interpolation=cv2.INTER_LINEAR)
    picture = np.empty_like(warped)
    _lay(warped, wide, picture)
    for window, layer in ((geometry.mouth, mouth), (geometry.eyes, eyes)):
        _replace(window.cut(warped), unfold_layer(layer[0]), window.cut(picture), SEAM)
    return picture


def unfold_layer(folded: FloatArray) -> FloatArray:
    """(h, w, 16) to (2h, 2w, 4): premultiplied colour in levels, and how much of the picture beneath stays."""
    height, width = folded.shape[:2]
    layer = np.empty((2 * height, 2 * width, 4), np.float32)
    _unfold(folded, layer)
    return layer


@numba.njit(nogil=True, cache=True, fastmath=True)
def _unfold(folded: Any, layer: Any) -> None:
    for y in range(layer.shape[0]):
        for x in range(layer.shape[1]):
            first = 8 * (y & 1) + 4 * (x & 1)
            cell = folded[y >> 1, x >> 1]
            for c in range(3):
                layer[y, x, c] = cell[first + c] * np.float32(255)
            layer[y, x, 3] = np.float32(1) / (np.float32(1) + np.exp(cell[first + 3]))


@numba.njit(nogil=True, cache=True, fastmath=True)
def _lay(warped: Any, layer: Any, out: Any) -> None:
    for y in range(warped.shape[0]):
        for x in range(warped.shape[1]):
            keep = layer[y, x, 3]
            for c in range(3):
                value = warped[y, x, c] * keep + layer[y, x, c] + np.float32(0.5)
                out[y, x, c] = np.uint8(min(max(value, np.float32(0)), np.float32(255)))


@numba.njit(nogil=True, cache=True, fastmath=True)
def _replace(warped: Any, layer: Any, out: Any, seam: int) -> None:
    height, width = layer.shape[:2]
    for y in range(height):
        for x in range(width):
            border = min(min(x, width - 1 - x), min(y, height - 1 - y)) + np.float32(0.5)
            share = min(border / np.float32(seam), np.float32(1))
            keep = layer[y, x, 3]
            for c in range(3):
                value = warped[y, x, c] * keep + layer[y, x, c]
                value = min(max(value, np.float32(0)), np.float32(255))
                out[y, x, c] = np.uint8(out[y, x, c] * (1 - share) + value * share + np.float32(0.5))


def _unit(picture: NDArray[np.uint8]) -> FloatArray:
    """Bytes to [0, 1]."""
    return np.multiply(picture, np.float32(1 / 255), dtype=np.float32)


def _window_input(warped: NDArray[np.uint8], window: Window, maps: FloatArray) -> FloatArray:
    inside: FloatArray = fold(np.dstack([_unit(window.cut(warped)), maps])) - np.float32(0.5)
    return inside[None]
