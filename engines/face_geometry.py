"""Everything about a frame that the mesh alone decides: keypoints, flow, and what the mouth and eye windows show.

Training and serving both build their inputs here, so the network meets in a call exactly what it learnt from.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.flow import FLOW_SIZE, Raster, Window, cover_flow, picture_flow, rasterize, source_depth, visibility
from engines.head_mesh import Camera, HeadMesh, Part
from engines.keypoints import LIDS, LIPS
from engines.media import FRAME_SIZE, Motion

GRID: Final = 64
"""Cells on a side of the flow that the networks see."""
MAIN_SIZE: Final = 128
"""Pixels on a side of what the networks see and paint of the whole picture."""
MOUTH_WINDOW: Final = (112, 112)
EYES_WINDOW: Final = (64, 192)
"""Height and width in pixels of what the two heads repaint at native resolution."""


@dataclass(frozen=True)
class Interior:
    """The unlit inside of the mouth: `uv` float32 (D, 2) in [0, 1], v down, of the face's vertices, into `texture`
    uint8 (H, W, 3)."""

    uv: FloatArray
    texture: NDArray[np.uint8]

    @classmethod
    def load(cls, folder: Path) -> "Interior":
        """Read `interior.npz` and `interior.png` from `folder`."""
        with np.load(folder / "interior.npz", allow_pickle=False) as arrays:
            uv = arrays["uv"].astype(np.float32)
        picture = cv2.imread(str(folder / "interior.png"), cv2.IMREAD_COLOR)
        if picture is None:
            raise ValueError(f"{folder / 'interior.png'} is not a picture")
        return cls(uv, np.ascontiguousarray(picture[..., ::-1]))

    def look_up(self, uv: FloatArray) -> FloatArray:
        """Colour in [0, 1] at ``(h, w, 2)`` texture coordinates: float32 (h, w, 3)."""
        height, width = self.texture.shape[:2]
        x, y = uv[..., 0] * width - 0.5, uv[..., 1] * height - 0.5
        colour: FloatArray = cv2.remap(self.texture, x, y, cv2.INTER_LINEAR).astype(np.float32) / np.float32(255)
        return colour


@dataclass(frozen=True)
class SourceGeometry:
    """The head as the source picture shows it: at rest, or with its vertices at `pictured` float32 (V, 3), as a photo
    that smiles shows them."""

    mesh: HeadMesh
    camera: Camera
    interior: Interior
    pictured: FloatArray | None = None

    @cached_property
    def points(self) -> FloatArray:
        """Projection (V, 3) of the mesh in the source."""
        return self.camera.project(self.mesh.pose(Motion()) if self.pictured is None else self.pictured)

    @cached_property
    def depth(self) -> FloatArray:
        """Depth buffer of the source."""
        return source_depth(self.points, self.mesh.triangles, self.mesh.parts)

    @cached_property
    def attributes(self) -> FloatArray:
        """What a target pixel learns of its surface point (V, 5): x, y, depth in the source and texture u, v."""
        beyond = len(self.points) - len(self.interior.uv)
        return np.concatenate([self.points, np.pad(self.interior.uv, ((0, beyond), (0, 0)))], axis=1)

    @cached_property
    def keypoints(self) -> FloatArray:
        """Keypoints (K, 3) of the source; see `FaceGeometry.keypoints`."""
        return self.select_keypoints(self.points)

    def select_keypoints(self, points: FloatArray) -> FloatArray:
        """Keypoints of projected vertices, with the depth centred on the face and scaled to a few tenths."""
        distance = np.linalg.norm(np.subtract(self.camera.at, self.camera.eye))
        keypoints = points[self.mesh.keypoints].copy()
        keypoints[:, 2] = (keypoints[:, 2] - distance) / 3
        return keypoints


@dataclass(frozen=True)
class WindowGeometry:
    """What one head repaints: its `window`; `flow` float32 (h, w, 2) at native resolution; `maps` float32 (h, w, C),
    what the mesh says of each pixel."""

    window: Window
    flow: FloatArray
    maps: FloatArray


@dataclass(frozen=True)
class FaceGeometry:
    """One frame. `keypoints` float32 (K, 3), x and y in [-1, 1]; `flow` float32 (256, 256, 2), displacement from
    target to source in picture units, and `coarse_flow` the same at (64, 64, 2); `seen` float32 (128, 128), 1 where
    the source shows the surface. The maps of `mouth` are seen, teeth, tongue and unlit colour (112, 112, 6), those of
    `eyes` seen and eyeball (64, 192, 2)."""

    keypoints: FloatArray
    flow: FloatArray
    coarse_flow: FloatArray
    seen: FloatArray
    mouth: WindowGeometry
    eyes: WindowGeometry


def face_geometry(source: SourceGeometry, motion: Motion) -> FaceGeometry:
    """Pose, project and z-buffer the head of `source` under `motion`."""
    mesh = source.mesh
    points = source.camera.project(mesh.pose(motion))
    keypoints = source.select_keypoints(points)

    whole = Window.whole(FLOW_SIZE)
    raster = rasterize(points, source.points, mesh.triangles, mesh.parts, whole)
    seen = visibility(raster, source.depth)
    flow = picture_flow(raster, seen, whole)

    window = _window(keypoints, LIPS, *MOUTH_WINDOW)
    raster = rasterize(points, source.attributes, mesh.triangles, mesh.parts, window)
    mouth = WindowGeometry(window, _window_flow(flow, raster, window), _mouth_maps(source, raster))

    window = _window(keypoints, LIDS, *EYES_WINDOW)
    raster = rasterize(points, source.points, mesh.triangles, mesh.parts, window)
    maps = np.empty((*EYES_WINDOW, 2), np.float32)
    maps[..., 0] = visibility(raster, source.depth)
    maps[..., 1] = raster.parts == Part.EYE
    eyes = WindowGeometry(window, _window_flow(flow, raster, window), maps)

    coarse_flow = cv2.resize(flow, (GRID, GRID), interpolation=cv2.INTER_AREA)
    seen = cv2.resize(seen, (MAIN_SIZE, MAIN_SIZE), interpolation=cv2.INTER_AREA)
    return FaceGeometry(keypoints, flow, coarse_flow, seen, mouth, eyes)


def _window(keypoints: FloatArray, group: tuple[int, ...], height: int, width: int) -> Window:
    """A window of whole pixels centred on a group of keypoints, inside the picture."""
    half = FRAME_SIZE / 2
    x, y = (keypoints[list(group), :2].mean(0) + 1) * half
    left = int(np.clip(round(x - width / 2), 0, FRAME_SIZE - width))
    top = int(np.clip(round(y - height / 2), 0, FRAME_SIZE - height))
    return Window(half, left, top, width, height)


def look_up(field: FloatArray, window: Window) -> FloatArray:
    """A field over the whole picture (n, n, 2), interpolated at the pixels of `window`: (height, width, 2)."""
    scale = field.shape[0] / 2 / window.scale
    shift = (scale - 1) / 2
    matrix = np.array([[scale, 0, window.left * scale + shift], [0, scale, window.top * scale + shift]])
    size = (window.width, window.height)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    found: FloatArray = cv2.warpAffine(field, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return found


def _window_flow(flow: FloatArray, raster: Raster, window: Window) -> FloatArray:
    """The mesh's own flow at native resolution, and the picture's where the mesh ends."""
    fine = look_up(flow, window)
    cover_flow(fine, raster, window)
    return fine


def _mouth_maps(source: SourceGeometry, raster: Raster) -> FloatArray:
    maps = np.zeros((*MOUTH_WINDOW, 6), np.float32)
    maps[..., 0] = visibility(raster, source.depth)
    teeth = (raster.parts == Part.UPPER_TEETH) | (raster.parts == Part.LOWER_TEETH)
    maps[..., 1] = teeth
    maps[..., 2] = raster.parts == Part.TONGUE
    inside = teeth | (raster.parts == Part.TONGUE)
    if inside.any():
        maps[inside, 3:] = source.interior.look_up(raster.values[None, inside, 3:])[0]
    return maps
