"""The inside of the mouth, unlit: one small texture for teeth and tongue, and where each vertex lies in it.

The renderer rasterises it at native resolution; its network only has to light it.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.head_mesh import HeadMesh, Part
from training.studio.assets import Assets
from training.studio.figure import TEETH, TONGUE

ATLAS_SIZE = 256
"""Texels on a side: teeth in the left half, tongue in the right one."""


def _vertex_uvs(assets: Assets, folder: str) -> FloatArray:
    """One texture coordinate per vertex of a proxy (N, 2), v up; at a seam one of the two."""
    mesh = assets.proxy(folder).mesh
    uvs = np.zeros((len(mesh.vertices), 2), np.float32)
    for face, face_uv in zip(mesh.faces, mesh.face_uvs, strict=True):
        uvs[list(face)] = mesh.uvs[list(face_uv)]
    return uvs


def _crop(texture: NDArray[np.uint8], uvs: FloatArray) -> tuple[NDArray[np.uint8], FloatArray]:
    """The used part of `texture` (v up) at the size of half the atlas (v down), and the coordinates in it."""
    low, high = uvs.min(0), uvs.max(0)
    height, width = texture.shape[:2]
    left, right = int(low[0] * width), int(np.ceil(high[0] * width))
    bottom, top = int(low[1] * height), int(np.ceil(high[1] * height))
    part = texture[bottom:top, left:right, :3][::-1]
    inside = (uvs * (width, height) - (left, bottom)) / (right - left, top - bottom)
    inside[:, 1] = 1 - inside[:, 1]
    half = cv2.resize(part, (ATLAS_SIZE // 2, ATLAS_SIZE), interpolation=cv2.INTER_AREA)
    return half.astype(np.uint8), inside.astype(np.float32)


def write_interior(assets: Assets, mesh: HeadMesh, folder: Path) -> None:
    """Write `interior.png` and `interior.npz` (`uv` float16 (V, 2), v down) for the topology of `mesh`."""
    teeth_texture, teeth_uvs = _crop(assets.texture("teeth/materials/teeth.png"), _vertex_uvs(assets, TEETH))
    tongue_texture, tongue_uvs = _crop(assets.texture(f"{TONGUE}/tongue01_diffuse.png"), _vertex_uvs(assets, TONGUE))
    uv = np.zeros((len(mesh.neutral), 2), np.float32)
    toothed = (mesh.parts == Part.UPPER_TEETH) | (mesh.parts == Part.LOWER_TEETH)
    first_tooth = int(mesh.triangles[toothed].min())
    first_tongue = int(mesh.triangles[mesh.parts == Part.TONGUE].min())
    uv[first_tooth:first_tongue] = teeth_uvs * (0.5, 1)
    uv[first_tongue:] = tongue_uvs * (0.5, 1) + (0.5, 0)
    np.savez_compressed(folder / "interior.npz", uv=uv.astype(np.float16))
    cv2.imwrite(str(folder / "interior.png"), np.hstack([teeth_texture, tongue_texture])[..., ::-1])
