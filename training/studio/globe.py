"""Walk around a figure at rest, and unroll what is seen into its globe (`engines.globe`)."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.atlas import fill, widen
from engines.expression import FloatArray
from engines.globe import Globe, outwards, unroll
from engines.head_mesh import Camera, HeadMesh, Part, rotation
from engines.media import FRAME_SIZE, Motion
from engines.raster import Window, rasterize
from engines.source_view import DEPTH_TOLERANCE
from training.studio.scene import Scene

Picture = NDArray[np.uint8]

WALK: Final = ((0, 50), (0, -50), (35, 0), (-35, 0))
"""Where else the camera stands: degrees below the portrait's, and to the side."""
FEATHER: Final = 12
"""Pixels of the globe over which one shot passes into another."""
RIM: Final = 2
"""Pixels at the edge of what a shot shows that do not count."""
BARE: Final = 3e-3
"""How little a shot without hair and garment counts beside one with them, which shows skin as it looks."""
SHADE: Final = 0.95
"""How dark what lies under the hair is beside it: nobody sees scalp there, but more hair."""
DARK: Final = 170
"""Level below which skin beside that lies there, too."""
DARKER: Final = 10
"""Levels by which a strand is darker than skin on which light falls."""


def make_globe(scene: Scene, mesh: HeadMesh) -> Globe:
    """The globe of the figure in `scene`, whose head mesh is `mesh`."""
    body = mesh.parts < Part.HAIR
    skin, worn = _Layer(mesh, body), _Layer(mesh, ~body)
    shots = [(camera, *scene.shot(camera)) for camera in _walk(scene.camera)]
    for camera, dressed, _ in shots:
        skin.gather(camera, dressed, mesh.triangles, 1.0)
        worn.gather(camera, dressed, mesh.triangles, 1.0)
    covered = ~skin.known()
    for camera, _, bare in shots:
        skin.gather(camera, bare, mesh.triangles[body], BARE)
    hair, face = worn.picture(), skin.picture()
    covered |= (widen(covered.astype(np.uint8), FEATHER) > 0) & (face.max(2) < DARK)
    shade = (hair * np.float32(SHADE) * covered[..., None]).astype(np.uint8)
    _, dressed, bare = shots[0]
    strands = (bare.mean(2) - dressed.mean(2) > DARKER).astype(np.uint8)
    return Globe(np.maximum(face, shade), hair, strands)


def _walk(first: Camera) -> list[Camera]:
    """The portrait's camera, and others as far away."""
    away, walk = np.subtract(first.eye, first.at), [first]
    for below, aside in WALK:
        turned = rotation(0.0, float(np.radians(aside)), 0.0) @ rotation(float(np.radians(below)), 0.0, 0.0) @ away
        x, y, z = (turned + first.at).tolist()
        walk.append(Camera((x, y, z), first.at, first.fov_degrees))
    return walk


class _Layer:
    """Some triangles of a head, a mask (T,), as they are gathered on its globe."""

    def __init__(self, mesh: HeadMesh, mask: NDArray[np.bool_]) -> None:
        self._triangles = mesh.triangles[mask & outwards(mesh)]
        self._places = mesh.pose(Motion())
        self._raster = rasterize(unroll(mesh), self._triangles, Window.whole(FRAME_SIZE))
        self._sum = np.zeros((FRAME_SIZE, FRAME_SIZE, 3), np.float32)
        self._weight = np.zeros((FRAME_SIZE, FRAME_SIZE, 1), np.float32)

    def gather(self, camera: Camera, shot: Picture, triangles: NDArray[np.int32], share: float) -> None:
        """Add what a `shot` of `triangles` shows of it: what it shows larger counts more, and what is lighter, for
        dark strands that stand off the skin are elsewhere in the next shot."""
        scene = rasterize(camera.project(self._places), triangles, Window.whole(FRAME_SIZE))
        x, y, depth = cv2.split(self._raster.interpolate(self._triangles, scene.pixels))
        nearest = cv2.erode(scene.depth, np.ones((5, 5), np.uint8))
        seen = depth < cv2.remap(nearest, x, y, cv2.INTER_NEAREST) + DEPTH_TOLERANCE
        size = np.where(seen, self._size(scene.pixels), 0)
        rim = cv2.distanceTransform((size > 0).astype(np.uint8), cv2.DIST_L2, 5)
        picture = cv2.remap(shot, x, y, cv2.INTER_CUBIC).astype(np.float32)
        light = picture.mean(2) / 255 + 0.02
        weight = share * ((size * light) ** 3 * np.clip((rim - RIM) / FEATHER, 0, 1))[..., None]
        self._sum += picture * weight
        self._weight += weight

    def _size(self, pixels: FloatArray) -> FloatArray:
        """Pixels of a shot, in which the vertices lie at `pixels`, per pixel of the globe; 0 where the back shows."""
        there, here = (_areas(places[self._triangles]) for places in (pixels, self._raster.pixels))
        sizes = np.clip(there / np.minimum(here, -1e-3), 0, 4)
        return np.where(self._raster.triangle >= 0, sizes[self._raster.triangle], 0).astype(np.float32)

    def known(self) -> NDArray[np.bool_]:
        """Where anything was gathered."""
        return np.asarray(self._weight[..., 0] > 0)

    def picture(self) -> Picture:
        """What was gathered; beside it the rim goes on."""
        picture = (self._sum / np.maximum(self._weight, 1e-30)).round().clip(0, 255).astype(np.uint8)
        return fill(picture, (~self.known()).astype(np.uint8))


def _areas(corners: FloatArray) -> FloatArray:
    """Twice the areas of triangles (T, 3, 2 or more); negative if their front shows."""
    one, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0], np.float32)
