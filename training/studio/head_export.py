"""From a figure to the head mesh that serving poses: bust and eyeballs of the base mesh, teeth and tongue."""

import numpy as np
from numpy.typing import NDArray

from engines.expression import EXPRESSION_SIZE, FloatArray
from engines.head_mesh import HeadMesh, Part
from engines.keypoints import KEYPOINT_NAMES
from training.studio.assets import Face
from training.studio.figure import TEETH, TEETH_DROP, TONGUE, Figure, Wardrobe
from training.studio.landmarks import BASE_VERTICES

SMALLEST_DELTA = 3e-4
"""Decimetres (0.05 pixels) below which a delta is written as 0, so that files compress."""


def _fan(faces: list[Face]) -> NDArray[np.int64]:
    return np.array([(face[0], face[k], face[k + 1]) for face in faces for k in range(1, len(face) - 1)])


def _is_lower(wardrobe: Wardrobe) -> NDArray[np.bool_]:
    """Which vertices of the teeth the jaw carries."""
    skeleton = wardrobe.assets.skeleton
    jaw = skeleton.weights[:, skeleton.names.index("jaw")]
    lower: NDArray[np.bool_] = np.asarray((wardrobe.assets.proxy(TEETH).references @ jaw).todense()).ravel() > 0.5
    return lower


def _keypoints(wardrobe: Wardrobe, place: dict[int, int], teeth_from: int, tongue_from: int) -> NDArray[np.int32]:
    """Vertices of the head mesh for `KEYPOINT_NAMES`; `place` maps base vertices to them."""
    base = wardrobe.reference
    teeth = wardrobe.proxy_vertices(wardrobe.assets.proxy(TEETH), base) + TEETH_DROP
    tongue = wardrobe.proxy_vertices(wardrobe.assets.proxy(TONGUE), base)
    lower = _is_lower(wardrobe)
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
    """The head mesh of `figure`; topology, parts and keypoints are the same for every identity."""
    wardrobe, assets = figure.wardrobe, figure.assets
    base = assets.base
    inside = wardrobe.body_faces(2.2, 3.0)
    skin = [face for index, face in enumerate(base.faces) if inside(index, face)]
    balls = [
        face
        for face, group in zip(base.faces, base.face_groups, strict=True)
        if group in ("helper-l-eye", "helper-r-eye")
    ]
    used = np.unique([vertex for face in skin + balls for vertex in face])
    place = {int(vertex): index for index, vertex in enumerate(used)}
    teeth, tongue = figure.shapes[TEETH], figure.shapes[TONGUE]
    teeth_from = len(used)
    tongue_from = teeth_from + len(teeth.neutral)

    eye_of_vertex = np.zeros(tongue_from + len(tongue.neutral), np.int8)
    for number, side in enumerate("lr", start=1):
        eye_of_vertex[[place[int(vertex)] for vertex in assets.groups[f"helper-{side}-eye"]]] = number

    teeth_triangles = _fan(assets.proxy(TEETH).mesh.faces)
    tooth_parts = np.where(_is_lower(wardrobe)[teeth_triangles[:, 0]], Part.LOWER_TEETH, Part.UPPER_TEETH)
    tongue_triangles = _fan(assets.proxy(TONGUE).mesh.faces)
    own = [np.searchsorted(used, _fan(skin)), np.searchsorted(used, _fan(balls))]
    triangles = np.vstack([*own, teeth_triangles + teeth_from, tongue_triangles + tongue_from])
    parts = [np.full(len(own[0]), Part.SKIN), np.full(len(own[1]), Part.EYE), tooth_parts]
    parts.append(np.full(len(tongue_triangles), Part.TONGUE))

    body = figure.shapes["body"]
    shapes = [(body, used), (teeth, np.arange(len(teeth.neutral))), (tongue, np.arange(len(tongue.neutral)))]
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
    return HeadMesh(
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
