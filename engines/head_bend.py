"""Bend a fitted head until its keypoints lie where a picture shows them.

What the space of heads cannot express is left over at the keypoints; it is spread over the head by the smoothest field
that takes those values (the biharmonic spline of three dimensions, whose kernel is the distance itself).
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.expression import EXPRESSION_INDEX, EXPRESSION_SIZE, FloatArray
from engines.face_basis import FaceBasis
from engines.face_fit import FaceFit
from engines.head_mesh import Camera, HeadMesh, Part
from engines.keypoints import KEYPOINT_NAMES
from engines.landmarks import TRACKED

OPEN: Final = 0.028
"""Decimetres between the lips' inner edges from which on a mouth counts as open."""
KEPT_SMILE: Final = 0.5
"""Share of the picture's smile that stays when the face rests."""
YIELD: Final = 0.1
"""How far the field may miss a keypoint that may itself be off by `FAMILIAR`; grows with the square of its doubt."""
FAMILIAR: Final = 0.05
ANCHOR: Final = 0.3
"""The same for shoulders and nape, of which the picture says nothing: they stay."""

_OPENING: Final = ("jawOpen", "mouthUpperUp", "mouthLowerDown", "mouthFunnel", "mouthStretch")
_ROW: Final = {KEYPOINT_NAMES[index]: row for row, index in enumerate(TRACKED)}
_UNTRACKED: Final = [index for index in range(len(KEYPOINT_NAMES)) if index not in TRACKED]
_LIP_PAIRS: Final = tuple(
    (_ROW[f"lip_upper_inner_{at}"], _ROW[f"lip_lower_inner_{at}"])
    for at in ("middle", "left_0", "right_0", "left_1", "right_1")
)


def _rows(stem: str) -> list[int]:
    return [row for name, row in _ROW.items() if name.startswith(stem)]


def bend(basis: FaceBasis, fit: FaceFit, targets: FloatArray, doubt: FloatArray) -> tuple[HeadMesh, FloatArray | None]:
    """The head of `fit` at rest, and its vertices (V, 3) as the picture shows them (None: as at rest).

    `targets` (P, 2), where the tracked keypoints lie in [-1, 1] of the framed picture; `doubt` (P,) in decimetres.
    """
    head = basis.head(fit.shape)
    resting, opening = _split(fit.expression)
    is_open = _lip_gap(targets) > OPEN
    if not is_open:
        resting, opening = resting + opening * _unopened(), np.zeros_like(opening)
    rest = head.neutral + np.tensordot(resting, head.deltas, axes=1).astype(np.float32)
    shown = rest + np.tensordot(opening, head.deltas, axes=1).astype(np.float32)

    places = shown[head.keypoints]
    shifts = _shifts(fit.camera, places[list(TRACKED)], targets)
    sealed = shifts.copy()
    for upper, lower in _LIP_PAIRS:  # lips that touch at rest move alike
        sealed[upper] = sealed[lower] = (shifts[upper] + shifts[lower]) / 2
    if not is_open:
        shown, shifts = rest, sealed
    stiffness = np.concatenate([YIELD * (doubt / FAMILIAR) ** 2, np.full(len(_UNTRACKED), ANCHOR)])
    order = [*TRACKED, *_UNTRACKED]

    def bent(vertices: FloatArray, wanted: FloatArray) -> FloatArray:
        anchors = vertices[head.keypoints[order]]
        values = np.concatenate([wanted, np.zeros((len(_UNTRACKED), 3), np.float32)])
        return _keep_rigid(head, vertices, _field(anchors, values, stiffness, vertices))

    neutral = bent(rest, sealed)
    moved = neutral - rest
    centres = np.stack([moved[head.eye_of_vertex == eye].mean(0) for eye in (1, 2)])
    mesh = replace(
        head,
        neutral=neutral,
        eye_centers=(head.eye_centers + centres).astype(np.float32),
        deltas=_fitting_lids(basis, neutral),
    )
    return mesh, (bent(shown, shifts) if is_open else None)


def _split(expression: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The part of an expression that stays at rest, and the part that only the picture shows."""
    share = np.zeros(EXPRESSION_SIZE, np.float32)
    for name, index in EXPRESSION_INDEX.items():
        if name.startswith(_OPENING):
            share[index] = 1.0
        elif name.startswith("mouthSmile"):
            share[index] = 1 - KEPT_SMILE
    return expression * (1 - share), expression * share


def _unopened() -> FloatArray:
    """1 for what a shut mouth may show."""
    return np.array([0.0 if name.startswith(_OPENING) else 1.0 for name in EXPRESSION_INDEX], np.float32)


def _lip_gap(targets: FloatArray) -> float:
    """Decimetres between the inner edges of the lips in their middle."""
    gaps = [targets[lower, 1] - targets[upper, 1] for upper, lower in _LIP_PAIRS[:3]]
    return float(np.mean(gaps)) * 1.6


def _shifts(camera: Camera, places: FloatArray, targets: FloatArray) -> FloatArray:
    """By how much keypoints at `places` (P, 3) must move, across the line of sight, to be seen at `targets` (P, 2)."""
    right, up, _ = camera.axes
    seen = camera.project(places)
    away = (targets - seen[:, :2]) * seen[:, 2:] * camera.reach
    return np.asarray(away[:, :1] * right - away[:, 1:] * up, np.float32)


def _field(
    anchors: FloatArray, values: FloatArray, stiffness: NDArray[np.floating], vertices: FloatArray
) -> FloatArray:
    """Spread `values` (n, 3) at `anchors` (n, 3) over `vertices` (V, 3)."""
    count = len(anchors)
    system = np.zeros((count + 1, count + 1))
    system[:count, :count] = -np.linalg.norm(anchors[:, None] - anchors[None], axis=2)
    system[np.arange(count), np.arange(count)] = stiffness
    system[count, :count] = system[:count, count] = 1.0
    weights = np.linalg.solve(system, np.vstack([values, np.zeros((1, 3))]))
    spread = np.empty_like(vertices)
    for start in range(0, len(vertices), 1024):
        part = vertices[start : start + 1024]
        spread[start : start + 1024] = -np.linalg.norm(part[:, None] - anchors[None], axis=2) @ weights[:count]
    return np.asarray(spread + weights[count], np.float32)


def _keep_rigid(head: HeadMesh, vertices: FloatArray, moved: FloatArray) -> FloatArray:
    """`vertices` moved by `moved`, but each eyeball, the upper teeth, and lower teeth with tongue as one piece."""
    moved = moved.copy()
    keypoints = moved[head.keypoints[list(TRACKED)]]
    for eye, stem in ((1, "lid_left"), (2, "lid_right")):
        moved[head.eye_of_vertex == eye] = keypoints[_rows(stem)].mean(0)
    for parts, stem in (((Part.UPPER_TEETH,), "lip_upper"), ((Part.LOWER_TEETH, Part.TONGUE), "lip_lower")):
        used = np.unique(head.triangles[np.isin(head.parts, parts)])
        moved[used] = keypoints[_rows(stem)].mean(0)
    return vertices + moved


def _fitting_lids(basis: FaceBasis, neutral: FloatArray) -> FloatArray:
    """The mean's deltas with lids that travel as far as these eyes are open."""
    mean = basis.mean
    deltas = mean.deltas.copy()
    for side in ("left", "right"):
        upper, lower = (mean.keypoints[KEYPOINT_NAMES.index(f"lid_{side}_{number}")] for number in (2, 6))
        blink = EXPRESSION_INDEX[f"eyeBlink{side.capitalize()}"]
        travel = float(mean.deltas[blink, lower, 1] - mean.deltas[blink, upper, 1])
        wider = float((neutral[upper, 1] - neutral[lower, 1]) - (mean.neutral[upper, 1] - mean.neutral[lower, 1]))
        scale = np.float32(np.clip(1 + wider / travel, 0.5, 1.8))
        for name in ("eyeBlink", "eyeLookDown", "eyeSquint"):
            deltas[EXPRESSION_INDEX[f"{name}{side.capitalize()}"]] *= scale
    return deltas
