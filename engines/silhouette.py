"""What a person in a photo wears and what grows on the head: a shell of triangles around the fitted mesh.

The picture is parted into person and background by colour (GrabCut), beginning from the head that was fitted. What is
person but not mesh (hair, hat, collar) becomes a thin shell at the depth of the head's rim, so that it moves with
the head and not with the wall. `Part.HAIR` follows the head, `Part.CLOTH` the trunk.
"""

from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.head_mesh import Camera, HeadMesh, Part
from engines.keypoints import KEYPOINT_NAMES
from engines.media import Motion
from engines.raster import Window, rasterize

SIZE: Final = 256
"""Pixels on a side of the picture in which person and background are told apart."""
CELL: Final = 4
"""Pixels (of `SIZE`) between the shell's vertices."""
TUCKED: Final = 12
"""Pixels by which the shell reaches behind the mesh."""
NEAR, FAR = 14, 72
"""Pixels around the mesh that are probably person, and beyond which all is background."""
LOOSE: Final = 0.12
"""Distance from the skin, in [-1, 1] of the picture, at which what is as low as the chin is no longer the head's."""
RIM: Final = tuple(KEYPOINT_NAMES.index(f"outline_{side}_{number}") for side in ("left", "right") for number in (0, 1))


def dressed(
    mesh: HeadMesh, pictured: FloatArray | None, camera: Camera, picture: NDArray[np.uint8]
) -> tuple[HeadMesh, FloatArray | None]:
    """`mesh` and `pictured` (V, 3) with a shell of what else of the person `picture` uint8 RGB (512, 512, 3) shows."""
    shown = mesh.pose(Motion()) if pictured is None else pictured
    points = camera.project(shown)
    raster = rasterize(points, mesh.triangles, Window.whole(SIZE))
    covered = raster.covered()
    person = _person(picture, covered)
    inner = cv2.erode(covered, np.ones((3, 3), np.uint8), iterations=TUCKED, borderValue=1)
    wanted = (person > 0) & (inner == 0)

    count = SIZE // CELL + 1
    places = (np.arange(count) * CELL - (count - 1) * CELL / 2) / (SIZE / 2)
    grid = np.stack(np.meshgrid(places, places), axis=2).reshape(-1, 2).astype(np.float32)
    columns, rows = ((grid.T + 1) * SIZE / 2).round().astype(int).clip(0, SIZE - 1)
    thick = cv2.dilate(wanted.astype(np.uint8), np.ones((CELL + 1, CELL + 1), np.uint8))
    used = thick[rows, columns] > 0
    corner = np.arange(count * count).reshape(count, count)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]
    triangles = np.concatenate([np.stack(three, 2).reshape(-1, 3) for three in ((a, c, b), (b, c, d))])
    triangles = triangles[used[triangles].all(1)]
    kept, triangles = np.unique(triangles, return_inverse=True)
    if len(kept) == 0:
        return mesh, pictured

    depth = float(shown[mesh.keypoints[list(RIM)], 2].mean())
    shell = _on_plane(camera, grid[kept], depth)
    skinning = _nearest_skinning(mesh, points, grid[kept])
    skinning *= _following(points[mesh.keypoints, :2], grid[kept], _distance(points[_skin(mesh), :2], grid[kept]))
    triangles = triangles.reshape(-1, 3) + len(mesh.neutral)
    head = skinning.sum(1)[triangles[:, 0] - len(mesh.neutral)] > 0.5
    dressed_mesh = replace(
        mesh,
        neutral=np.concatenate([mesh.neutral, shell]),
        skinning=np.concatenate([mesh.skinning, skinning]),
        eye_of_vertex=np.concatenate([mesh.eye_of_vertex, np.zeros(len(shell), np.int8)]),
        triangles=np.concatenate([mesh.triangles, triangles.astype(np.int32)]),
        parts=np.concatenate([mesh.parts, np.where(head, Part.HAIR, Part.CLOTH).astype(np.uint8)]),
    )
    return dressed_mesh, (None if pictured is None else np.concatenate([pictured, shell]))


def _person(picture: NDArray[np.uint8], covered: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 where `picture` shows the person, uint8 (256, 256); `covered`, where the fitted mesh does."""
    small = cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    away = cv2.distanceTransform(1 - covered, cv2.DIST_L2, 5)
    labels = np.full((SIZE, SIZE), cv2.GC_PR_BGD, np.uint8)
    labels[away < NEAR] = cv2.GC_PR_FGD
    labels[away > FAR] = cv2.GC_BGD
    labels[cv2.erode(covered, np.ones((3, 3), np.uint8), iterations=3, borderValue=1) > 0] = cv2.GC_FGD
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(np.ascontiguousarray(small[..., ::-1]), labels, (0, 0, SIZE, SIZE), *models, 4, cv2.GC_INIT_WITH_MASK)
    person = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    person = np.asarray(cv2.morphologyEx(person, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)), np.uint8) | covered
    _, pieces = cv2.connectedComponents(person)
    main = np.bincount(pieces[covered > 0]).argmax()
    whole = (pieces == main).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(whole, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)), np.uint8)


def _on_plane(camera: Camera, places: FloatArray, depth: float) -> FloatArray:
    """Where the lines of sight through `places` (N, 2) in [-1, 1] meet the plane z = `depth`, (N, 3)."""
    right, up, forward = camera.axes
    rays = forward + places[:, :1] * camera.reach * right - places[:, 1:] * camera.reach * up
    eye = np.array(camera.eye)
    return np.asarray(eye + rays * ((depth - eye[2]) / rays[:, 2:]), np.float32)


def _skin(mesh: HeadMesh) -> NDArray[np.int32]:
    """Some vertices of the skin, spread all over it."""
    return np.asarray(np.unique(mesh.triangles[mesh.parts == Part.SKIN])[::3], np.int32)


def _distance(points: FloatArray, places: FloatArray) -> FloatArray:
    """From `places` (N, 2) to the nearest of `points` (M, 2)."""
    return np.asarray(np.linalg.norm(places[:, None] - points, axis=2).min(1), np.float32)


def _following(keypoints: FloatArray, places: FloatArray, distance: FloatArray) -> FloatArray:
    """How far what is seen at `places` (N, 2), at a `distance` (N,) from the skin, follows the head, (N, 1): hats and
    hair all the way, but collars, and hair as far down, less and less."""
    nose, chin, neck = (float(keypoints[KEYPOINT_NAMES.index(name), 1]) for name in ("nose_base", "chin", "neck_front"))
    low = ((places[:, 1] - nose) / (chin - nose)).clip(0, 1)
    lower = ((places[:, 1] - chin) / max(neck - chin, 1e-3)).clip(0, 1)
    follows = (1 - low * (distance / LOOSE).clip(0, 1)) * (1 - lower)
    return np.asarray(follows[:, None], np.float32)


def _nearest_skinning(mesh: HeadMesh, points: FloatArray, places: FloatArray) -> FloatArray:
    """Skin weights (N, 4) at `places` (N, 2) in the picture: those of the skin nearest there, blended over 3 cm."""
    skin = _skin(mesh)
    distance = np.linalg.norm(places[:, None] - points[skin, :2], axis=2)
    distance -= distance.min(1, keepdims=True)
    weight = np.exp(-((distance / 0.1) ** 2))
    return np.asarray((weight @ mesh.skinning[skin]) / weight.sum(1, keepdims=True), np.float32)
