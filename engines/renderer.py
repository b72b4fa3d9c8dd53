"""The renderer: a cached source and a motion in, a picture out.

Per frame: the mesh says where every pixel lies in the source, the source is warped by it at full resolution, and the
painter lays three layers over the warp: the whole picture at a quarter of the resolution, mouth and eyes at all of
it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.atlas import Atlas, Plate
from engines.avatar import Avatar
from engines.backend import Backend
from engines.clip import ClipFrame
from engines.compiled import compiled
from engines.drawing import Painting
from engines.expression import LIP_SIZE, FloatArray, expression_from_lips
from engines.eyeballs import EyeballLayer, Eyeballs, Gleam
from engines.face_geometry import FaceGeometry, SourceGeometry, face_geometry
from engines.layers import compose
from engines.lids import smooth_lids
from engines.media import FRAME_SIZE, Motion
from engines.raster import Window
from engines.reach import PHOTO, RENDERED
from engines.retouch import Retoucher
from engines.shading import SLOPES, find_slopes, skin_normals
from engines.source_cache import encoder_input
from engines.unmoved import keep_unmoved
from engines.warp import warp

PAINTER: Final = "renderer_painter.onnx"
MAIN_SIZE: Final = 128
"""Pixels on a side of what the painter sees and paints of the whole picture."""
_FLOW_SCALE: Final = np.float32(8)
_LEVEL: Final = np.float32(1 / 255)
_GAPE: Final = np.ones(LIP_SIZE, np.float32)


@dataclass(frozen=True)
class Source:
    """What is computed once per avatar: its atlas, its geometry, the encoded picture, what retouches a photo, and the
    eyeballs that are known."""

    atlas: Atlas | Plate
    geometry: SourceGeometry
    identity: FloatArray
    retoucher: Retoucher | None = None
    eyes: EyeballLayer | None = None


class SourceEncoder:
    """The network that looks at an avatar once. For one thread at a time."""

    def __init__(self, backend: Backend, weights: Path) -> None:
        self._network = backend.load(weights / "renderer_source.onnx")

    def __call__(self, avatar: Avatar) -> Source:
        """Encode an avatar."""
        if avatar.retouch is None:
            return self.encode(avatar.picture, avatar.geometry, avatar.eyeballs)
        source = self.encode(avatar.retouch.sealed(avatar.picture), avatar.geometry)
        retoucher = Retoucher.of(avatar.retouch, avatar.geometry)
        blank = np.zeros_like(avatar.picture)  # what is compiled when it is first drawn is compiled now
        retoucher.draw(blank, blank, face_geometry(avatar.geometry, Motion(expression_from_lips(_GAPE))))
        return replace(source, retoucher=retoucher)

    def encode(self, picture: NDArray[np.uint8], geometry: SourceGeometry, eyeballs: Eyeballs | None = None) -> Source:
        """Encode a picture, of which the `eyeballs` may be known."""
        encoded = self._network.run({"picture": encoder_input(picture)})
        eyes = None if eyeballs is None else EyeballLayer(eyeballs, geometry)
        return Source(geometry.atlas(picture), geometry, encoded["identity"].copy(), eyes=eyes)

    def follow(self, still: Source, frame: ClipFrame) -> Source:
        """The source of a clip's frame, whose head stays where the frame shows it; it looks as in the portrait."""
        return Source(Plate(frame.picture), frame.geometry, still.identity, still.retoucher and still.retoucher.of_clip)


@dataclass(frozen=True)
class Sketch:
    """A frame before it is painted: the warp, the geometry that made it, and what the painter takes of them; of a clip
    also the frame as it was `filmed`, of which as much stays as can; and the `gleam` of eyes that were laid in."""

    warped: NDArray[np.uint8]
    geometry: FaceGeometry
    inputs: dict[str, FloatArray]
    filmed: NDArray[np.uint8] | None
    retoucher: Retoucher | None
    gleam: Gleam | None

    @classmethod
    def of(cls, source: Source, motion: Motion) -> Self:
        motion = (RENDERED if source.retoucher is None else PHOTO).bring_within(motion)
        geometry = face_geometry(source.geometry, motion)
        warped = warp(source.atlas, geometry)
        gleam = None if source.eyes is None else source.eyes.lay(warped, geometry)
        inputs = {"identity": source.identity, **painter_inputs(source.geometry, geometry, warped)}
        filmed = source.atlas.backdrop if isinstance(source.atlas, Plate) else None
        return cls(warped, geometry, inputs, filmed, source.retoucher, gleam)

    def painted(self, layers: Mapping[str, FloatArray]) -> Painting:
        """The picture of the painter's `layers` (1, h, w, 16)."""
        picture = compose(self.warped, self.geometry, *(layers[f"{name}_layer"] for name in ("main", "mouth", "eyes")))
        if self.retoucher is None or not self.retoucher.draws_eyes:
            smooth_lids(picture, self.geometry)
        if self.gleam is not None:
            self.gleam.add(picture)
        if self.retoucher is not None:
            self.retoucher.draw(picture, self.warped, self.geometry)
        return Painting(picture) if self.filmed is None else keep_unmoved(self.filmed, picture, self.geometry.flow)


class Renderer:
    """The painter with a request of its own: one renderer per session, used by one thread at a time."""

    def __init__(self, backend: Backend, weights: Path) -> None:
        self._painter = backend.load(weights / PAINTER)

    def paint(self, source: Source, motion: Motion) -> Painting:
        """The picture of a motion."""
        sketch = Sketch.of(source, motion)
        return sketch.painted(self._painter.run(sketch.inputs))

    def render(self, source: Source, motion: Motion) -> NDArray[np.uint8]:
        """The same by itself: RGB, uint8 (512, 512, 3)."""
        return self.paint(source, motion).picture

    def step(self, source: Source, motion: Motion) -> NDArray[np.uint8]:
        """One frame as I420 planes, uint8 (768, 512)."""
        planes: NDArray[np.uint8] = cv2.cvtColor(self.render(source, motion), cv2.COLOR_RGB2YUV_I420)
        return planes


def painter_inputs(source: SourceGeometry, geometry: FaceGeometry, warped: NDArray[np.uint8]) -> dict[str, FloatArray]:
    """What the painter takes of a frame (see `networks.compact_renderer`), for training and serving alike."""
    main = np.empty((1, MAIN_SIZE // 2, MAIN_SIZE // 2, 18 + SLOPES), np.float32)
    _fold(_quarter(warped), _quarter(geometry.flow.seen)[..., None], _LEVEL, main[0])
    np.multiply(geometry.flow.coarse, _FLOW_SCALE, out=main[0, ..., 16:18])
    mouth = _folded(geometry.mouth.cut(warped), geometry.mouth_maps)
    eyes = _folded(geometry.eyes.cut(warped), geometry.eyes_maps)
    normals = skin_normals(geometry.vertices, source.skin)
    for window, tensor in ((Window.whole(FRAME_SIZE), main), (geometry.mouth, mouth), (geometry.eyes, eyes)):
        find_slopes(geometry.raster, source.mesh.triangles, normals, source.normals, window, tensor[0, ..., -SLOPES:])
    return {"keypoints": (geometry.keypoints - source.keypoints)[None], "main": main, "mouth": mouth, "eyes": eyes}


def _quarter(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A quarter of the height and width; halving twice takes a quarter of the time."""
    for size in (2 * MAIN_SIZE, MAIN_SIZE):
        picture = np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
    return picture


def _folded(picture: NDArray[np.uint8], maps: FloatArray) -> FloatArray:
    """`picture` (2h, 2w, 3) and `maps` (2h, 2w, C) as (1, h, w, 4 (3 + C) + SLOPES), the slopes yet to be found."""
    height, width, count = maps.shape
    folded = np.empty((1, height // 2, width // 2, 4 * (3 + count) + SLOPES), np.float32)
    _fold(picture, maps, np.float32(1), folded[0])
    return folded


@compiled(fastmath=True)
def _fold(picture: Any, maps: Any, unit: Any, folded: Any) -> None:
    """2 x 2 pixels into the channels, row by row, and centred on 0; `unit` makes the maps go from 0 to 1."""
    half = np.float32(0.5)
    for y in range(maps.shape[0]):
        for x in range(maps.shape[1]):
            cell = folded[y >> 1, x >> 1]
            first = (2 * (y & 1) + (x & 1)) * (3 + maps.shape[2])
            for c in range(3):
                cell[first + c] = picture[y, x, c] * _LEVEL - half
            for c in range(maps.shape[2]):
                cell[first + 3 + c] = maps[y, x, c] * unit - half
