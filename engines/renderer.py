"""The renderer: a cached source and a motion in, a picture out.

Per frame: the mesh gives a flow, the motion network corrects it, the source is warped by it at full resolution, and
the painter lays three layers over the warp: the whole picture at a quarter of the resolution, mouth and eyes at all
of it.
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
from engines.face_geometry import (
    GRID,
    MAIN_SIZE,
    FaceGeometry,
    SourceGeometry,
    WindowGeometry,
    face_geometry,
    look_up,
)
from engines.flow import FLOW_SIZE, Window
from engines.media import FRAME_SIZE, Motion

SOURCE_SIZE: Final = 256
SEAM: Final = 6
"""Pixels over which a window's layer blends into the picture at its border."""

_FLOW_PIXELS = ((Window.whole(FLOW_SIZE).centers() + 1) * (FRAME_SIZE / 2) - 0.5).astype(np.float32)
_CELLS = Window.whole(GRID).centers()


@dataclass(frozen=True)
class Source:
    """What is computed once per avatar: its geometry and the encoded picture."""

    picture: NDArray[np.uint8]
    geometry: SourceGeometry
    features: FloatArray
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
        encoded = self._encoder.run({"picture": _planar(small)})
        return Source(picture, geometry, encoded["features"].copy(), encoded["identity"].copy())


class Renderer:
    """The per-frame networks with requests of their own: one renderer per session, used by one thread at a time."""

    def __init__(self, backend: Backend, weights: Path) -> None:
        self._motion = backend.load(weights / "renderer_motion.onnx")
        self._painter = backend.load(weights / "renderer_painter.onnx")

    def render(self, source: Source, motion: Motion) -> NDArray[np.uint8]:
        """RGB picture, uint8 (512, 512, 3)."""
        geometry = face_geometry(source.geometry, motion)
        grid = _CELLS + geometry.coarse_flow
        moved = self._motion.run(
            {
                "features": source.features,
                "identity": source.identity,
                "keypoints_source": source.geometry.keypoints[None],
                "keypoints_target": geometry.keypoints[None],
                "flow": geometry.coarse_flow.transpose(2, 0, 1)[None],
                "seen": cv2.resize(geometry.seen, (GRID, GRID), interpolation=cv2.INTER_AREA)[None, None],
                "grid": grid[None],
            }
        )
        residual = np.ascontiguousarray(moved["residual"][0].transpose(1, 2, 0))
        warped = warp(source.picture, geometry, residual)
        small = cv2.resize(warped, (MAIN_SIZE, MAIN_SIZE), interpolation=cv2.INTER_AREA)
        painted = self._painter.run(
            {
                "features": source.features,
                "grid": (grid + residual)[None],
                "occlusion": moved["occlusion"],
                "hidden": moved["hidden"],
                "condition": moved["condition"],
                "warped": np.concatenate([_planar(small), geometry.seen[None, None]], axis=1),
                "mouth": _window_input(warped, geometry.mouth),
                "eyes": _window_input(warped, geometry.eyes),
            }
        )
        return compose(warped, geometry, painted["main"][0], painted["mouth_layer"][0], painted["eyes_layer"][0])

    def step(self, source: Source, motion: Motion) -> NDArray[np.uint8]:
        """One frame as I420 planes, uint8 (768, 512)."""
        planes: NDArray[np.uint8] = cv2.cvtColor(self.render(source, motion), cv2.COLOR_RGB2YUV_I420)
        return planes


def warp(picture: NDArray[np.uint8], geometry: FaceGeometry, residual: FloatArray) -> NDArray[np.uint8]:
    """Look up `picture` along the flow of `geometry`, corrected by `residual` (64, 64, 2) in picture units."""
    half = np.float32(FRAME_SIZE / 2)
    places = cv2.resize(residual, (FLOW_SIZE, FLOW_SIZE), interpolation=cv2.INTER_LINEAR)
    places += geometry.flow
    places *= half
    places += _FLOW_PIXELS
    places = cv2.resize(places, (FRAME_SIZE, FRAME_SIZE), interpolation=cv2.INTER_LINEAR)
    for part in (geometry.mouth, geometry.eyes):
        window = part.window
        fine = part.flow + look_up(residual, window) + window.centers()
        window.cut(places)[:] = (fine + 1) * half - np.float32(0.5)
    warped: NDArray[np.uint8] = cv2.remap(picture, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return warped


def compose(
    warped: NDArray[np.uint8], geometry: FaceGeometry, main: FloatArray, mouth: FloatArray, eyes: FloatArray
) -> NDArray[np.uint8]:
    """Lay the painter's layers (4, h, w) over the warp; the windows replace the main layer, with a soft seam."""
    wide = cv2.resize(np.ascontiguousarray(main.transpose(1, 2, 0)), (FRAME_SIZE, FRAME_SIZE))
    picture = np.empty_like(warped)
    _lay(warped, wide, picture)
    for part, layer in ((geometry.mouth, mouth), (geometry.eyes, eyes)):
        _replace(warped, np.ascontiguousarray(layer), picture, part.window.left, part.window.top, SEAM)
    return picture


@numba.njit(nogil=True, cache=True, fastmath=True)
def _lay(warped: Any, layer: Any, out: Any) -> None:
    for y in range(warped.shape[0]):
        for x in range(warped.shape[1]):
            keep = 1.0 - layer[y, x, 3]
            for c in range(3):
                value = warped[y, x, c] * keep + layer[y, x, c] * 255.0
                out[y, x, c] = np.uint8(min(max(value + 0.5, 0.0), 255.0))


@numba.njit(nogil=True, cache=True, fastmath=True)
def _replace(warped: Any, layer: Any, out: Any, left: int, top: int, seam: int) -> None:
    height, width = layer.shape[1:]
    for y in range(height):
        for x in range(width):
            border = min(min(x, width - 1 - x), min(y, height - 1 - y)) + 0.5
            share = min(border / seam, 1.0)
            keep = 1.0 - layer[3, y, x]
            for c in range(3):
                value = warped[top + y, left + x, c] * keep + layer[c, y, x] * 255.0
                value = min(max(value, 0.0), 255.0)
                out[top + y, left + x, c] = np.uint8(out[top + y, left + x, c] * (1 - share) + value * share + 0.5)


def _planar(picture: NDArray[np.uint8]) -> FloatArray:
    """(h, w, 3) bytes to (1, 3, h, w) in [0, 1]."""
    return np.multiply(picture.transpose(2, 0, 1)[None], np.float32(1 / 255), dtype=np.float32)


def _window_input(warped: NDArray[np.uint8], part: WindowGeometry) -> FloatArray:
    inside = part.window.cut(warped)
    return np.concatenate([_planar(inside), part.maps.transpose(2, 0, 1)[None]], axis=1)
