"""Everything about a frame that the mesh alone decides: keypoints, flow, and what the mouth and eye windows show.

Training and serving both build their inputs here, so the network meets in a call exactly what it learnt from.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.atlas import Atlas, make_atlas
from engines.compiled import compiled
from engines.expression import FloatArray
from engines.flow import Flow, flow_to_source
from engines.globe import Globe
from engines.head_mesh import Camera, HeadMesh, Part
from engines.keypoints import LIDS, LIPS
from engines.media import FRAME_SIZE, Motion
from engines.raster import Raster, Window, barycentric
from engines.shading import skin_normals
from engines.source_view import SourceView, view_source

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


@dataclass(frozen=True)
class SourceGeometry:
    """The head as the source picture shows it: at rest, or with its vertices at `pictured` float32 (V, 3), as a photo
    that smiles shows them; with its `globe`, if somebody walked around it."""

    mesh: HeadMesh
    camera: Camera
    interior: Interior
    pictured: FloatArray | None = None
    globe: Globe | None = None

    @cached_property
    def vertices(self) -> FloatArray:
        """The mesh (V, 3) as the source shows it."""
        return self.mesh.pose(Motion()) if self.pictured is None else self.pictured

    @cached_property
    def points(self) -> FloatArray:
        """Projection (V, 3) of the mesh in the source."""
        return self.camera.project(self.vertices)

    @cached_property
    def skin(self) -> NDArray[np.int32]:
        """Triangles (S, 3) of the skin."""
        return self.mesh.triangles[self.mesh.parts == Part.SKIN]

    @cached_property
    def normals(self) -> FloatArray:
        """Normals (V, 3) of the skin in the source."""
        return skin_normals(self.vertices, self.skin)

    @cached_property
    def view(self) -> SourceView:
        """What of the mesh the source picture shows."""
        view = view_source(self.points, self.mesh.triangles, self.mesh.parts, FRAME_SIZE)
        return replace(view, unrolled=self.globe.unrolled(self.mesh, view)) if self.globe else view

    def atlas(self, picture: NDArray[np.uint8]) -> Atlas:
        """The source `picture` (512, 512, 3), taken apart for look-up."""
        atlas = make_atlas(picture, self.view.covered, self.view.skin)
        return replace(atlas, globe=(self.globe.skin, self.globe.worn)) if self.globe else atlas

    @cached_property
    def keypoints(self) -> FloatArray:
        """Keypoints (K, 3) of the source; see `FaceGeometry.keypoints`."""
        return self.select_keypoints(self.points)

    def trace(self, points: FloatArray, *windows: Window) -> tuple[Raster, Flow]:
        """Draw the head with its vertices at `points` (V, 3), as projected, and find all of it in the source. A raster
        that leaves out what has not moved shows the `windows` nevertheless."""
        return flow_to_source(points, self.mesh.triangles, Window.whole(FRAME_SIZE), self.view)

    def select_keypoints(self, points: FloatArray) -> FloatArray:
        """Keypoints of projected vertices, with the depth centred on the face and scaled to a few tenths."""
        keypoints: FloatArray = points.take(self.mesh.keypoints, 0)
        keypoints[:, 2] = (keypoints[:, 2] - self.camera.distance) / 3
        return keypoints


@dataclass(frozen=True)
class FaceGeometry:
    """One frame. `vertices` float32 (V, 3) of the posed mesh; `keypoints` (K, 3), x and y in [-1, 1]; the `raster` of
    the head, and its `flow`, of the whole picture at 512 x 512. `mouth_maps` (112, 112, 6) are seen, teeth, tongue and
    the unlit colour of both; `eyes_maps` (64, 192, 2) seen and eyeball."""

    vertices: FloatArray
    keypoints: FloatArray
    raster: Raster
    flow: Flow
    mouth: Window
    mouth_maps: FloatArray
    eyes: Window
    eyes_maps: FloatArray


def face_geometry(source: SourceGeometry, motion: Motion) -> FaceGeometry:
    """Pose, project and z-buffer the head of `source` under `motion`."""
    mesh = source.mesh
    vertices = mesh.pose(motion)
    points = source.camera.project(vertices)
    keypoints = source.select_keypoints(points)
    mouth, eyes = _window(keypoints, LIPS, *MOUTH_WINDOW), _window(keypoints, LIDS, *EYES_WINDOW)
    raster, flow = source.trace(points, mouth, eyes)
    eyes_maps = np.empty((*EYES_WINDOW, 2), np.float32)
    shown = eyes.within(raster.window).cut(raster.triangle)
    _mark_eyes(shown, mesh.parts, eyes.cut(flow.seen), eyes_maps)
    mouth_maps = _mouth_maps(source, raster, flow.seen, mouth)
    return FaceGeometry(vertices, keypoints, raster, flow, mouth, mouth_maps, eyes, eyes_maps)


def _window(keypoints: FloatArray, group: tuple[int, ...], height: int, width: int) -> Window:
    """A window of whole pixels centred on a group of keypoints, inside the picture."""
    half = FRAME_SIZE / 2
    x, y, _ = ((keypoints.take(group, 0).sum(0) / len(group) + 1) * half).tolist()
    left = min(max(round(x - width / 2), 0), FRAME_SIZE - width)
    top = min(max(round(y - height / 2), 0), FRAME_SIZE - height)
    return Window(half, left, top, width, height)


@compiled()
def _mark_eyes(nearest: Any, parts: Any, seen: Any, maps: Any) -> None:
    """Mark in `maps` what the source camera saw, and the eyeballs."""
    for y in range(nearest.shape[0]):
        for x in range(nearest.shape[1]):
            t = nearest[y, x]
            maps[y, x, 0] = 1 if seen[y, x] else 0
            maps[y, x, 1] = 1 if t >= 0 and parts[t] == np.uint8(Part.EYE) else 0


def _mouth_maps(source: SourceGeometry, raster: Raster, seen: NDArray[np.uint8], window: Window) -> FloatArray:
    maps = np.zeros((*MOUTH_WINDOW, 6), np.float32)
    maps[..., 0] = window.cut(seen) > 0
    mesh, interior, window = source.mesh, source.interior, window.within(raster.window)
    _draw_interior(
        window.cut(raster.triangle), window.left, window.top, raster.pixels, mesh.triangles, mesh.parts,
        interior.uv, interior.texture, maps,
    )  # fmt: skip
    return maps


@compiled(fastmath=True)
def _draw_interior(
    nearest: Any, left: int, top: int, pixels: Any, triangles: Any, parts: Any, uv: Any, texture: Any, maps: Any
) -> None:
    """Mark teeth and tongue in `maps`, and look their colour up in `texture`, bilinearly."""
    upper, tongue = np.uint8(Part.UPPER_TEETH), np.uint8(Part.TONGUE)
    height, width = texture.shape[:2]
    right, bottom = np.float32(width - 1.001), np.float32(height - 1.001)
    for y in range(nearest.shape[0]):
        for x in range(nearest.shape[1]):
            t = nearest[y, x]
            if t < 0 or parts[t] < upper or parts[t] > tongue:
                continue
            maps[y, x, 2 if parts[t] == tongue else 1] = 1.0
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            wb, wc = barycentric(pixels, a, b, c, left + x, top + y)
            u = uv[a, 0] + wb * (uv[b, 0] - uv[a, 0]) + wc * (uv[c, 0] - uv[a, 0])
            v = uv[a, 1] + wb * (uv[b, 1] - uv[a, 1]) + wc * (uv[c, 1] - uv[a, 1])
            u = min(max(u * width - np.float32(0.5), np.float32(0)), right)
            v = min(max(v * height - np.float32(0.5), np.float32(0)), bottom)
            column, row = int(u), int(v)
            u, v = u - np.float32(column), v - np.float32(row)
            for k in range(3):
                above = texture[row, column, k] * (1 - u) + texture[row, column + 1, k] * u
                below = texture[row + 1, column, k] * (1 - u) + texture[row + 1, column + 1, k] * u
                maps[y, x, 3 + k] = (above * (1 - v) + below * v) * np.float32(1 / 255)
