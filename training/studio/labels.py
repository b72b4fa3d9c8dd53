"""What is known of a frame without looking at it: keypoints, and masks of lips, teeth, tongue and eyes.

A frame is drawn from the very mesh and motion that are written beside it, so these labels are exact to what the
unsubdivided mesh differs from its picture by (about a pixel at 512).
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.head_mesh import Camera, HeadMesh, Part
from engines.media import FRAME_SIZE, Motion
from engines.raster import Window, rasterize
from training.studio.figure import Wardrobe
from training.studio.head_export import skin_vertices

MASKS = ("lips", "teeth", "tongue", "eyes")


@cache
def lip_vertices(wardrobe: Wardrobe) -> FloatArray:
    """How far each skin vertex of the head mesh lies on the lips, 0 to 1, by the mask of the skin's picture."""
    base, mask = wardrobe.assets.base, wardrobe.assets.skin_mask[..., 0]
    uvs = np.zeros((len(base.vertices), 2))
    for face, face_uv in zip(base.faces, base.face_uvs, strict=True):
        uvs[list(face)] = base.uvs[list(face_uv)]
    x, y = np.clip(uvs[skin_vertices(wardrobe)] * mask.shape[::-1], 0, np.array(mask.shape[::-1]) - 1).astype(int).T
    share: FloatArray = (mask[y, x] / 255).astype(np.float32)
    return share


def keypoints(mesh: HeadMesh, camera: Camera, motion: Motion) -> tuple[FloatArray, FloatArray]:
    """The keypoints (`engines.keypoints`) in space, (K, 3) dm, and in the picture, (K, 2) in [-1, 1], y down."""
    places = mesh.pose(motion)[mesh.keypoints]
    return places, camera.project(places)[:, :2]


def masks(
    wardrobe: Wardrobe, mesh: HeadMesh, camera: Camera, motion: Motion, size: int = FRAME_SIZE
) -> dict[str, NDArray[np.bool_]]:
    """Where the picture shows each of `MASKS`, (size, size)."""
    lips = np.zeros((len(mesh.neutral), 1), np.float32)
    skin = lip_vertices(wardrobe)
    lips[: len(skin), 0] = skin
    raster = rasterize(camera.project(mesh.pose(motion)), mesh.triangles, Window.whole(size))
    parts = raster.parts(mesh.parts)
    return {
        "lips": (parts == Part.SKIN) & (raster.interpolate(mesh.triangles, lips)[..., 0] > 0.5),
        "teeth": np.isin(parts, (Part.UPPER_TEETH, Part.LOWER_TEETH)),
        "tongue": parts == Part.TONGUE,
        "eyes": parts == Part.EYE,
    }
