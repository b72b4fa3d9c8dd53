"""From a figure to the head mesh that serving poses: bust and eyeballs of the base mesh, teeth, tongue, outfit."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from engines.expression import EXPRESSION_SIZE, FloatArray
from engines.head_mesh import HeadMesh, Part
from engines.keypoints import KEYPOINT_NAMES
from training.studio.assets import Face
from training.studio.decimation import decimate
from training.studio.figure import TEETH, TEETH_DROP, TONGUE, Figure, Wardrobe
from training.studio.landmarks import BASE_VERTICES
from training.studio.outfit import dress

SMALLEST_DELTA = 3e-4
"""Decimetres (0.05 pixels) below which a delta is written as 0, so that files compress."""
TEETH_TRIANGLES = 1600
"""Of 7120: each is rasterised three times per frame, and a tooth is at most 15 pixels wide."""


def _fan(faces: list[Face]) -> NDArray[np.int64]:
    return np.array([(face[0], face[k], face[k + 1]) for face in faces for k in range(1, len(face) - 1)])


def is_lower(wardrobe: Wardrobe) -> NDArray[np.bool_]:
    """Which vertices of the teeth the jaw carries."""
    skeleton = wardrobe.assets.skeleton
    jaw = skeleton.weights[:, skeleton.names.index("jaw")]
    lower: NDArray[np.bool_] = np.asarray((wardrobe.assets.proxy(TEETH).references @ jaw).todense()).ravel() > 0.5
    return lower


def _bust(wardrobe: Wardrobe) -> tuple[list[Face], list[Face]]:
    """Faces of the base mesh that the head mesh carries: skin, and eyeballs."""
    base = wardrobe.assets.base
    inside = wardrobe.body_faces(2.2, 3.0)
    skin = [face for index, face in enumerate(base.faces) if inside(index, face)]
    eyes = ("helper-l-eye", "helper-r-eye")
    balls = [face for face, group in zip(base.faces, base.face_groups, strict=True) if group in eyes]
    return skin, balls


@cache
def skin_vertices(wardrobe: Wardrobe) -> NDArray[np.int64]:
    """The base vertices, in order, that the head mesh begins with: bust and eyeballs."""
    skin, balls = _bust(wardrobe)
    return np.unique([vertex for face in skin + balls for vertex in face])


@cache
def teeth_topology(wardrobe: Wardrobe) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The vertices (N,) and triangles (T, 3), as rows of those, of the teeth that the head mesh carries."""
    proxy = wardrobe.assets.proxy(TEETH)
    places = wardrobe.proxy_vertices(proxy, wardrobe.reference)
    kept, triangles = np.unique(decimate(places, _fan(proxy.mesh.faces), TEETH_TRIANGLES), return_inverse=True)
    return kept, triangles.reshape(-1, 3)


def _keypoints(wardrobe: Wardrobe, place: dict[int, int], teeth_from: int, tongue_from: int) -> NDArray[np.int32]:
    """Vertices of the head mesh for `KEYPOINT_NAMES`; `place` maps base vertices to them."""
    base = wardrobe.reference
    kept, _ = teeth_topology(wardrobe)
    teeth = (wardrobe.proxy_vertices(wardrobe.assets.proxy(TEETH), base) + TEETH_DROP)[kept]
    tongue = wardrobe.proxy_vertices(wardrobe.assets.proxy(TONGUE), base)
    lower = is_lower(wardrobe)[kept]
    keypoints = []
    for name in KEYPOINT_NAMES:
        vertex = BASE_VERTICES[name]
        if name.startswith("teeth"):
            allowed = lower if "lower" in name else ~lower
            distance = np.linalg.norm(teeth - (base[vertex] + TEETH_DROP), axis=1) + np.where(allowed, 0, 1e3)
            keypoints.append(teeth_from + int(distance.argmin()))
        elif name.startswith("tongue"):
            keypoints.append(tongue_from + int(np.linalg.norm(tongue - base[vertex], axis=1).argmin()))
        else:
            keypoints.append(place[vertex])
    return np.array(keypoints, np.int32)


def head_mesh(figure: Figure) -> HeadMesh:
    """The head mesh of `figure`. The face's topology, parts and keypoints are the same for every identity; its hair
    and garment come after."""
    wardrobe, assets = figure.wardrobe, figure.assets
    skin, balls = _bust(wardrobe)
    used = skin_vertices(wardrobe)
    place = {int(vertex): index for index, vertex in enumerate(used)}
    teeth, tongue = figure.shapes[TEETH], figure.shapes[TONGUE]
    teeth_from = len(used)
    kept, teeth_triangles = teeth_topology(wardrobe)
    tongue_from = teeth_from + len(kept)

    eye_of_vertex = np.zeros(tongue_from + len(tongue.neutral), np.int8)
    for number, side in enumerate("lr", start=1):
        eye_of_vertex[[place[int(vertex)] for vertex in assets.groups[f"helper-{side}-eye"]]] = number

    tooth_parts = np.where(is_lower(wardrobe)[kept][teeth_triangles[:, 0]], Part.LOWER_TEETH, Part.UPPER_TEETH)
    tongue_triangles = _fan(assets.proxy(TONGUE).mesh.faces)
    own = [np.searchsorted(used, _fan(skin)), np.searchsorted(used, _fan(balls))]
    triangles = np.vstack([*own, teeth_triangles + teeth_from, tongue_triangles + tongue_from])
    parts = [np.full(len(own[0]), Part.SKIN), np.full(len(own[1]), Part.EYE), tooth_parts]
    parts.append(np.full(len(tongue_triangles), Part.TONGUE))

    body = figure.shapes["body"]
    shapes = [(body, used), (teeth, kept), (tongue, np.arange(len(tongue.neutral)))]
    deltas: FloatArray = np.concatenate(
        [
            np.zeros((EXPRESSION_SIZE, *shape.neutral[rows].shape), np.float32)
            if shape.deltas is None
            else shape.deltas[:, rows]
            for shape, rows in shapes
        ],
        axis=1,
    )
    deltas[:, eye_of_vertex > 0] = 0.0
    deltas[np.abs(deltas) < SMALLEST_DELTA] = 0.0
    face = HeadMesh(
        neutral=np.concatenate([shape.neutral[rows] for shape, rows in shapes]),
        deltas=deltas,
        skinning=np.concatenate([shape.skinning[rows] for shape, rows in shapes]),
        joints=figure.joints,
        eye_centers=figure.eye_centers,
        eye_of_vertex=eye_of_vertex,
        triangles=triangles.astype(np.int32),
        parts=np.concatenate(parts).astype(np.uint8),
        keypoints=_keypoints(wardrobe, place, teeth_from, tongue_from),
    )
    return dress(face, figure)
