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

from engines.avatar import Avatar
from engines.backend import Backend
from engines.expression import FloatArray
from engines.face_geometry import FaceGeometry, SourceGeometry, face_geometry
from engines.media import FRAME_SIZE, Motion

SOURCE_SIZE: Final = 256
MAIN_SIZE: Final = 128
"""Pixels on a side of what the painter sees and paints of the whole picture."""
SEAM: Final = 6
"""Pixels over which a window's layer blends into the picture at its border."""
_FLOW_SCALE: Final = 8.0


@dataclass(frozen=True)
class Source:
    """What is computed once per avatar: its atlas, its geometry and the encoded picture."""

    atlas: NDArray[np.uint8]
    geometry: SourceGeometry
    identity: FloatArray


class SourceCache:
    """Encoded sources by content hash, shared by all sessions of a process; safe to call from any thread."""

    def __init__(self, backend: Backend, weights: Path) -> None:
        self._encoder = backend.load(weights / "renderer_source.onnx")
        self._sources: dict[str, Source] = {}
        self._encoding = threading.Lock()

    def get(self, avatar: Avatar) -> Source:
        """Encode `avatar` the first time it is asked for; meanwhile nobody waits who asks for one that is there."""
        source = self._sources.get(avatar.content_hash)
        if source is not None:
            return source
        with self._encoding:
            if avatar.content_hash not in self._sources:
                self._sources[avatar.content_hash] = self.encode(avatar.picture, avatar.geometry)
            return self._sources[avatar.content_hash]

    def encode(self, picture: NDArray[np.uint8], geometry: SourceGeometry) -> Source:
        """Encode a picture without remembering it."""
        small = cv2.resize(picture, (SOURCE_SIZE, SOURCE_SIZE), interpolation=cv2.INTER_AREA)
        encoded = self._encoder.run({"picture": small.transpose(2, 0, 1)[None] * np.float32(1 / 255)})
        return Source(geometry.atlas(picture), geometry, encoded["identity"].copy())


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
        atlas, geometry.flow.grid, geometry.flow.fraction, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return warped


def painter_inputs(source: SourceGeometry, geometry: FaceGeometry, warped: NDArray[np.uint8]) -> dict[str, FloatArray]:
    """What the painter takes of a frame (see `networks.compact_renderer`), for training and serving alike."""
    size = (MAIN_SIZE, MAIN_SIZE)
    small = cv2.resize(warped, size, interpolation=cv2.INTER_AREA)
    seen = cv2.resize(geometry.flow.seen, size, interpolation=cv2.INTER_AREA)
    main = np.empty((1, MAIN_SIZE // 2, MAIN_SIZE // 2, 18), np.float32)
    main[0, ..., :16] = fold(small, seen[..., None] * np.float32(1 / 255))
    main[0, ..., 16:] = geometry.flow.coarse * _FLOW_SCALE
    return {
        "keypoints": (geometry.keypoints - source.keypoints)[None],
        "main": main,
        "mouth": fold(geometry.mouth.cut(warped), geometry.mouth_maps)[None],
        "eyes": fold(geometry.eyes.cut(warped), geometry.eyes_maps)[None],
    }


def fold(picture: NDArray[np.uint8], maps: FloatArray) -> FloatArray:
    """`picture` (2h, 2w, 3) and `maps` (2h, 2w, C) to (h, w, 4 (3 + C)): 2 x 2 pixels into the channels, row by row,
    and centred on 0."""
    height, width, count = maps.shape
    folded = np.empty((height // 2, width // 2, 4 * (3 + count)), np.float32)
    _fold(picture, maps, folded)
    return folded


@numba.njit(nogil=True, cache=True, fastmath=True)
def _fold(picture: Any, maps: Any, folded: Any) -> None:
    half = np.float32(0.5)
    for y in range(maps.shape[0]):
        for x in range(maps.shape[1]):
            cell = folded[y >> 1, x >> 1]
            first = (2 * (y & 1) + (x & 1)) * (3 + maps.shape[2])
            for c in range(3):
                cell[first + c] = picture[y, x, c] * np.float32(1 / 255) - half
            for c in range(maps.shape[2]):
                cell[first + 3 + c] = maps[y, x, c] - half


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
