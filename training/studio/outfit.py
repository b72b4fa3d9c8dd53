"""Hair and garment as the head mesh carries them: of the proxies' own triangles, those that a camera can see.

Hair is drawn as cards with soft edges, in many layers; the flow needs one closed-looking surface. So cards that are
mostly transparent go, and of the rest stays what shows in the picture while the head turns, wound as it is seen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.head_mesh import Camera, HeadMesh, Part
from engines.media import FRAME_SIZE, HeadPose, Motion
from engines.raster import Window, rasterize
from training.studio.camera import portrait_camera
from training.studio.figure import GARMENT_GAP, Figure
from training.studio.subdivision import vertex_normals

OPAQUE = 0.45
"""Mean alpha from which a card of hair counts as surface."""
SEEN_PIXELS = 2
"""Pixels, over all turns, that a triangle must show."""
TURNS = [HeadPose(np.radians(p), np.radians(y)) for p in (-12.0, 0.0, 12.0) for y in (-25.0, -12.0, 0.0, 12.0, 25.0)]
"""Heads that the seen triangles are chosen on."""

_SPOTS = np.array([[4, 4, 4], [8, 2, 2], [2, 8, 2], [2, 2, 8], [6, 5, 1], [1, 6, 5], [5, 1, 6]]) / 12
"""Where a triangle's texture is sampled, barycentric."""


@dataclass(frozen=True)
class Garment:
    """Vertices at rest (N, 3), weights of the head bones (N, 4), triangles (T, 3)."""

    neutral: FloatArray
    skinning: FloatArray
    triangles: NDArray[np.int64]


def _hair(figure: Figure) -> Garment:
    folder = f"hair/{figure.identity.hair}"
    shape, mesh = figure.shapes[folder], figure.assets.proxy(folder).mesh
    fans = [(i, k) for i, face in enumerate(mesh.faces) for k in range(1, len(face) - 1)]
    triangles = np.array([[mesh.faces[i][at] for at in (0, k, k + 1)] for i, k in fans])
    uvs = mesh.uvs[[[mesh.face_uvs[i][at] for at in (0, k, k + 1)] for i, k in fans]]
    alpha = figure.diffuse(folder)[..., 3]
    height, width = alpha.shape
    x, y = np.moveaxis(np.einsum("st,ntc->nsc", _SPOTS, uvs) % 1, 2, 0)
    opaque = alpha[(y * height).astype(int), (x * width).astype(int)].mean(1) / 255 > OPAQUE
    smooth = figure.wardrobe.proxy(folder).refine[: len(mesh.vertices)]
    return Garment(
        (smooth @ shape.neutral).astype(np.float32), (smooth @ shape.skinning).astype(np.float32), triangles[opaque]
    )


def _cloth(figure: Figure) -> Garment:
    """The garment's own vertices, where its subdivision puts them, standing off the skin as drawn."""
    folder = f"clothes/{figure.identity.garment}"
    shape, mesh = figure.shapes[folder], figure.assets.proxy(folder).mesh
    smooth = figure.wardrobe.proxy(folder).refine[: len(mesh.vertices)]
    triangles = np.array([(face[0], face[k], face[k + 1]) for face in mesh.faces for k in range(1, len(face) - 1)])
    neutral = smooth @ shape.neutral
    neutral = neutral + GARMENT_GAP * vertex_normals(neutral, triangles)
    return Garment(neutral.astype(np.float32), (smooth @ shape.skinning).astype(np.float32), triangles)


def _seen(mesh: HeadMesh, camera: Camera, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the `chosen` triangles show while the head turns (all others only hide them)."""
    pixels = np.zeros(len(mesh.triangles), np.int64)
    for turn in TURNS:
        raster = rasterize(camera.project(mesh.pose(Motion(pose=turn))), mesh.triangles, Window.whole(FRAME_SIZE))
        pixels += np.bincount(raster.triangle[raster.triangle >= 0], minlength=len(pixels))
    return (pixels >= SEEN_PIXELS) & chosen


def dress(face: HeadMesh, figure: Figure) -> HeadMesh:
    """`face` with what can be seen of the hair and the garment of `figure`, after its own vertices and triangles."""
    worn = {Part.HAIR: _hair(figure), Part.CLOTH: _cloth(figure)}
    neutral, skinning, eyes = [face.neutral], [face.skinning], [face.eye_of_vertex]
    triangles, parts = [face.triangles], [face.parts]
    count = len(face.neutral)
    for part, garment in worn.items():
        neutral.append(garment.neutral)
        skinning.append(garment.skinning)
        eyes.append(np.zeros(len(garment.neutral), np.int8))
        both = np.concatenate([garment.triangles, garment.triangles[:, ::-1]]) + count
        triangles.append(both.astype(np.int32))
        parts.append(np.full(len(both), part, np.uint8))
        count += len(garment.neutral)

    def joined(keep: NDArray[np.bool_] | slice, rows: NDArray[np.bool_] | slice) -> HeadMesh:
        place = np.cumsum(np.ones(count, int) if isinstance(rows, slice) else rows) - 1
        return HeadMesh(
            neutral=np.concatenate(neutral)[rows],
            deltas=face.deltas,
            skinning=np.concatenate(skinning)[rows],
            joints=face.joints,
            eye_centers=face.eye_centers,
            eye_of_vertex=np.concatenate(eyes)[rows],
            triangles=place[np.concatenate(triangles)[keep]].astype(np.int32),
            parts=np.concatenate(parts)[keep],
            keypoints=face.keypoints,
        )

    everything = joined(slice(None), slice(None))
    camera = portrait_camera(figure.eye_centers.mean(0), figure.identity)
    own = np.arange(len(everything.triangles)) < len(face.triangles)
    keep = _seen(everything, camera, ~own) | own
    rows = np.arange(count) < len(face.neutral)
    rows[everything.triangles[keep]] = True
    return joined(keep, rows)
