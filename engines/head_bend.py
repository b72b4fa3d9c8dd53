"""Bend a fitted head until its keypoints lie where a picture shows them.

What the space of heads cannot express is left over at the keypoints; it is spread over the head by the smoothest field
that takes those values (the biharmonic spline of three dimensions, whose kernel is the distance itself).
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

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
OPENING: Final = np.array([1.0 if name.startswith(_OPENING) else 0.0 for name in EXPRESSION_INDEX], np.float32)
"""1 for the coefficients that only an open mouth shows."""
_MEETING: Final = 1.5
"""Share of the travel to shut, in that of the mean head, from which on lids that follow a look down would meet."""
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
        resting, opening = resting + opening * (1 - OPENING), np.zeros_like(opening)
    rest = head.neutral + np.tensordot(resting, head.deltas, axes=1).astype(np.float32)
    shown = rest + np.tensordot(opening, head.deltas, axes=1).astype(np.float32)

    places = shown[head.keypoints]
    shifts = _shifts(fit.camera, places[list(TRACKED)], targets)
    sealed = _sealed(shifts)
    if not is_open:
        shown, shifts = rest, sealed
    neutral = Field(head, rest, doubt).bent(rest, sealed)
    mesh = replace(
        head,
        neutral=neutral,
        eye_centers=_eye_centres(head, rest, neutral),
        deltas=_fitting_lids(basis, neutral),
    )
    return mesh, (Field(head, shown, doubt).bent(shown, shifts) if is_open else None)


@dataclass(frozen=True)
class Bent:
    """A head in one frame of a clip: `rest` float32 (V, 3), its vertices but for what opens the mouth, lips sealed;
    `shown` (V, 3), as the frame shows them; `eye_centers` (2, 3)."""

    rest: FloatArray
    shown: FloatArray
    eye_centers: FloatArray


def bend_frame(field: "Field", expression: FloatArray, camera: Camera, targets: FloatArray) -> Bent:
    """As `bend`, for one of many frames: nothing here jumps, so that lips may part from one frame to the next."""
    head = field.head
    opening = expression * OPENING
    rest = head.neutral + np.tensordot(expression - opening, head.deltas, axes=1).astype(np.float32)
    shown = rest + np.tensordot(opening, head.deltas, axes=1).astype(np.float32)
    shifts = _shifts(camera, shown[head.keypoints[list(TRACKED)]], targets)
    bent = field.bent(rest, _sealed(shifts))
    return Bent(bent, field.bent(shown, shifts), _eye_centres(head, rest, bent))


def _sealed(shifts: FloatArray) -> FloatArray:
    """Lips that touch at rest move alike."""
    sealed = shifts.copy()
    for upper, lower in _LIP_PAIRS:
        sealed[upper] = sealed[lower] = (shifts[upper] + shifts[lower]) / 2
    return sealed


def _eye_centres(head: HeadMesh, before: FloatArray, after: FloatArray) -> FloatArray:
    moved = after - before
    centres = np.stack([moved[head.eye_of_vertex == eye].mean(0) for eye in (1, 2)])
    return np.asarray(head.eye_centers + centres, np.float32)


class Field:
    """The smoothest field over `head` that takes given values at its keypoints, where `places` (V, 3) are its vertices.

    It may miss a tracked keypoint as far as that is in `doubt` (P,), in decimetres.
    """

    def __init__(self, head: HeadMesh, places: FloatArray, doubt: FloatArray) -> None:
        self.head = head
        anchors = places[head.keypoints[[*TRACKED, *_UNTRACKED]]]
        count = len(anchors)
        system = np.ones((count + 1, count + 1))
        system[:count, :count] = -np.linalg.norm(anchors[:, None] - anchors[None], axis=2)
        system[count, count] = 0.0
        stiffness = np.concatenate([YIELD * (doubt / FAMILIAR) ** 2, np.full(len(_UNTRACKED), ANCHOR)])
        system[np.arange(count), np.arange(count)] = stiffness
        self._weights = np.linalg.inv(system)[:, : len(TRACKED)]
        self._reach = np.empty((len(places), count), np.float32)
        for start in range(0, len(places), 1024):
            part = places[start : start + 1024]
            self._reach[start : start + 1024] = -np.linalg.norm(part[:, None] - anchors[None], axis=2)

    def bent(self, vertices: FloatArray, wanted: FloatArray) -> FloatArray:
        """`vertices` (V, 3) with the tracked keypoints moved by `wanted` (P, 3), and shoulders and nape staying."""
        weights = self._weights @ wanted
        moved = np.asarray(self._reach @ weights[:-1].astype(np.float32) + weights[-1], np.float32)
        return _keep_rigid(self.head, vertices, moved)


def _split(expression: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The part of an expression that stays at rest, and the part that only the picture shows."""
    share = np.zeros(EXPRESSION_SIZE, np.float32)
    for name, index in EXPRESSION_INDEX.items():
        if name.startswith(_OPENING):
            share[index] = 1.0
        elif name.startswith("mouthSmile"):
            share[index] = 1 - KEPT_SMILE
    return expression * (1 - share), expression * share


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
    """The mean's deltas with lids that travel as far as these eyes are open; a look down they follow as far as any,
    unless they would meet."""
    mean = basis.mean
    deltas = mean.deltas.copy()
    for side in ("left", "right"):
        upper, lower = (mean.keypoints[KEYPOINT_NAMES.index(f"lid_{side}_{number}")] for number in (2, 6))
        blink = EXPRESSION_INDEX[f"eyeBlink{side.capitalize()}"]
        travel = float(mean.deltas[blink, lower, 1] - mean.deltas[blink, upper, 1])
        wider = float((neutral[upper, 1] - neutral[lower, 1]) - (mean.neutral[upper, 1] - mean.neutral[lower, 1]))
        scale = float(np.clip(1 + wider / travel, 0.5, 1.8))
        for name, share in (("eyeBlink", scale), ("eyeSquint", scale), ("eyeLookDown", min(1.0, _MEETING * scale))):
            deltas[EXPRESSION_INDEX[f"{name}{side.capitalize()}"]] *= np.float32(share)
    return deltas
