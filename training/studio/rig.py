"""The rig: every coefficient of the face as a linear delta, evaluated once per identity on MakeHuman's own rig.

A picture is drawn from the same formula that serving uses (`engines.head_mesh.HeadMesh.pose`): neutral + sum of
coefficient * delta, eyeballs turned by the gaze, four head bones skinning the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from engines.expression import EXPRESSION_NAMES, EXPRESSION_SIZE, FloatArray
from engines.head_mesh import HEAD_BONES
from training.studio.assets import Assets, Points
from training.studio.identity import RACES, Identity, shape

SEAL = {"mouth-open": -0.06, "mouth-parling": -0.28}
"""The base mesh's lips stand slightly open: this closes them."""
NEUTRAL = SEAL | {
    "mouth-corner-puller": 0.16,
    "eyebrows-left-inner-up": 0.25,
    "eyebrows-right-inner-up": 0.25,
    "eyebrows-left-extern-up": 0.14,
    "eyebrows-right-extern-up": 0.14,
}
"""Expression targets of the rest: lips touching, friendly (the base mesh looks stern)."""


@dataclass(frozen=True)
class Recipe:
    """What one coefficient adds at strength 1: weights of expression `targets` and of face `poses`, kept to one `side`
    (left, right) and to one `lip` (upper, lower) where given."""

    targets: Mapping[str, float] = field(default_factory=dict)
    poses: Mapping[str, float] = field(default_factory=dict)
    side: str = ""
    lip: str = ""


def _sided() -> dict[str, Recipe]:
    recipes: dict[str, Recipe] = {}
    for side in ("Left", "Right"):
        eye, brow, own = f"eye-{side.lower()}", f"eyebrows-{side.lower()}", side.lower()
        part = {"mouth-parling": 0.35, "mouth-open": 0.06}
        recipes |= {
            f"eyeBlink{side}": Recipe({f"{eye}-closure": 1.0}),
            f"eyeLookDown{side}": Recipe({f"{eye}-closure": 0.55}),
            f"eyeLookUp{side}": Recipe(poses={f"{side}UpperLidOpen": 0.3}),
            f"eyeSquint{side}": Recipe({f"{eye}-slit": 0.6}),
            f"eyeWide{side}": Recipe(poses={f"{side}UpperLidOpen": 0.6}),
            f"mouthSmile{side}": Recipe(
                {"mouth-corner-puller": 0.5, "mouth-upward-retraction": 0.4, "mouth-open": -0.05, f"{eye}-slit": 0.2},
                {f"{side}CheekUp": 0.5},
                own,
            ),
            f"mouthFrown{side}": Recipe({"mouth-depression": 0.85}, {f"Mouth{side}PullDown": 0.68}, own),
            f"mouthDimple{side}": Recipe({"mouth-retraction": 0.3}, {f"Mouth{side}PullSide": 0.3}, own),
            f"mouthStretch{side}": Recipe(
                {"mouth-retraction": 0.5, "mouth-part-later": 0.12, "mouth-upward-retraction": 0.1}, side=own
            ),
            f"mouthPress{side}": Recipe({"mouth-compression": 0.7, "mouth-parling": -0.14}, side=own),
            f"mouthLowerDown{side}": Recipe(part, side=own, lip="lower"),
            f"mouthUpperUp{side}": Recipe(part, side=own, lip="upper"),
            f"browDown{side}": Recipe({f"{brow}-down": 1.15}),
            f"browOuterUp{side}": Recipe({f"{brow}-extern-up": 0.8, f"{brow}-up": 0.24}),
            f"cheekSquint{side}": Recipe({f"{eye}-slit": 0.25}, {f"{side}CheekUp": 0.8}),
            f"noseSneer{side}": Recipe({f"nose-{own}-elevation": 1.2}, {"NoseWrinkler": 0.7}, own),
        }
    return recipes


RECIPES: dict[str, Recipe] = _sided() | {
    "jawOpen": Recipe({"mouth-parling": 0.25, "mouth-depression-retraction": 0.12}, {"JawDrop": 0.65}),
    "jawForward": Recipe(poses={"ChinForward": 0.8}),
    "jawLeft": Recipe(poses={"ChinLeft": 0.8}),
    "jawRight": Recipe(poses={"ChinRight": 0.8}),
    "mouthClose": Recipe(
        {"mouth-open": -0.05, "mouth-parling": -0.25, "mouth-compression": 0.25, "mouth-elevation": 0.10}
    ),
    "mouthFunnel": Recipe({"mouth-pursing": 0.35, "mouth-protusion": 0.15, "mouth-parling": 0.30, "mouth-open": 0.06}),
    "mouthPucker": Recipe({"mouth-pursing": 1.0, "mouth-protusion": 0.10, "mouth-parling": -0.30, "mouth-open": -0.12}),
    "mouthLeft": Recipe(poses={"MouthMoveLeft": 0.7}),
    "mouthRight": Recipe(poses={"MouthMoveRight": 0.7}),
    "mouthRollLower": Recipe(
        {"mouth-elevation": 0.12, "mouth-upward-retraction": 0.14},
        {"lowerLipBackward": 0.9, "lowerLipUp": 0.30, "UpperLipUp": 0.22},
    ),
    "mouthRollUpper": Recipe(poses={"UpperLipBackward": 0.8}),
    "mouthShrugLower": Recipe({"mouth-elevation": 0.65}, {"lowerLipUp": 0.32}),
    "mouthShrugUpper": Recipe(poses={"UpperLipUp": 0.4}),
    "browInnerUp": Recipe({"eyebrows-left-inner-up": 1.3, "eyebrows-right-inner-up": 1.3}),
    "cheekPuff": Recipe(poses={"CheeksPump": 0.7}),
    "tongueOut": Recipe({"mouth-parling": 0.3}, {"TongueOut": 0.8}),
    "tongueUp": Recipe(poses={"TonguePointUp": 0.35, "TongueOut": 0.22, "JawDrop": 0.13}),
}
"""Coefficient -> recipe. `eyeLookIn*` and `eyeLookOut*` move nothing: the eyeballs themselves turn, by the gaze."""


@dataclass(frozen=True)
class Binding:
    """A mesh that follows the base mesh: sparse `references` (N, base vertices) and `offsets` (N, 3). A binding that
    is not `expressive` keeps its neutral shape (hair, clothes, eyeballs)."""

    references: sparse.csr_matrix
    offsets: Points
    expressive: bool = True


@dataclass(frozen=True)
class Blendshape:
    """`neutral` (N, 3), `skinning` (N, 4), `deltas` (EXPRESSION_SIZE, N, 3) or None where nothing is expressed."""

    neutral: FloatArray
    deltas: FloatArray | None
    skinning: FloatArray

    def express(self, expression: FloatArray) -> FloatArray:
        """Vertices (N, 3) under `expression`, before the head bones."""
        if self.deltas is None:
            return self.neutral.copy()
        used = np.nonzero(expression)[0]
        moved: FloatArray = self.neutral + np.tensordot(expression[used], self.deltas[used], axes=1)
        return moved

    def skin(self, vertices: FloatArray, transforms: FloatArray) -> FloatArray:
        """Carry `vertices` along with the head bones' `transforms` (4, 3, 4)."""
        still = np.eye(3, 4, dtype=np.float32)
        blended = np.tensordot(self.skinning, transforms - still, axes=1) + still
        carried: FloatArray = np.einsum("vij,vj->vi", blended[:, :, :3], vertices) + blended[:, :, 3]
        return carried


def head_skinning(assets: Assets) -> sparse.csr_matrix:
    """Weights (base vertices, 4) of `HEAD_BONES`: every bone counts for its nearest ancestor among them."""
    skeleton = assets.skeleton
    fold = np.zeros((len(skeleton.names), len(HEAD_BONES)))
    for bone in range(len(skeleton.names)):
        at = bone
        while at >= 0 and skeleton.names[at] not in HEAD_BONES:
            at = skeleton.parents[at]
        if at >= 0:
            fold[bone, HEAD_BONES.index(skeleton.names[at])] = 1.0
    return skeleton.weights @ sparse.csr_matrix(fold)


def _bone_matrices(assets: Assets, base: Points, poses: Mapping[str, float]) -> Points:
    """World matrices (bones, 4, 4) of weighted face poses on the resting identity `base`."""
    skeleton = assets.skeleton
    turns: dict[str, Points] = {}
    for pose, weight in poses.items():
        for bone, vector in assets.face_poses[pose].items():
            turns[bone] = turns.get(bone, np.zeros(3)) + weight * vector
    world = np.tile(np.eye(4), (len(skeleton.names), 1, 1))
    for index, name in enumerate(skeleton.names):
        parent = skeleton.parents[index]
        if parent >= 0:
            world[index] = world[parent]
        if name in turns:
            local, head = np.eye(4), base[skeleton.heads[index]].mean(0)
            local[:3, :3] = cv2.Rodrigues(turns[name])[0]
            local[:3, 3] = head - local[:3, :3] @ head
            world[index] = world[index] @ local
    return world


def _carry(points: Points, weights: sparse.csr_matrix, world: Points) -> Points:
    """Linear blend skinning; what is bound to nothing stays."""
    blended = np.asarray(weights @ world.reshape(len(world), 16)).reshape(-1, 4, 4)
    carried = np.einsum("nij,nj->ni", blended[:, :3, :3], points) + blended[:, :3, 3]
    bound = blended[:, 3, 3:4]
    posed: Points = carried + (1 - bound) * points
    return posed


def _masks(assets: Assets, base: Points) -> dict[str, Points]:
    """Per base vertex, the share (0 to 1) of each side and lip. The halves of a face blend over 3 cm; the lower lip is
    what the jaw carries."""
    x = np.clip(base[:, 0] / 0.30 + 0.5, 0, 1)
    left = x * x * (3 - 2 * x)
    jaw = assets.skeleton.names.index("jaw")
    world = _bone_matrices(assets, base, {"JawDrop": 1.0})
    opened = _carry(base, assets.skeleton.weights, world) - base
    rigid = base @ world[jaw, :3, :3].T + world[jaw, :3, 3] - base
    lower = np.clip((opened * rigid).sum(1) / np.maximum((rigid * rigid).sum(1), 1e-9), 0, 1)
    return {"left": left, "right": 1 - left, "lower": lower, "upper": 1 - lower, "": np.ones(len(base))}


def blendshapes(assets: Assets, identity: Identity, bindings: Mapping[str, Binding]) -> dict[str, Blendshape]:
    """Evaluate neutral and all coefficients for each binding of `identity`: fitted to the expressed but unposed base
    mesh, then carried by the face bones."""
    base = shape(assets, identity)
    races = np.array(identity.race) / sum(identity.race)
    weights = {name: binding.references @ assets.skeleton.weights for name, binding in bindings.items()}
    masks = _masks(assets, base)
    head = head_skinning(assets)

    def evaluate(targets: Mapping[str, float], poses: Mapping[str, float], expressive: bool) -> dict[str, Points]:
        expressed = base.copy()
        for target, weight in targets.items():
            for race, share in zip(RACES, races, strict=True):
                if share > 1e-6:
                    index, offsets = assets.target(f"expression/units/{race}/{target}")
                    expressed[index] += weight * share * offsets
        world = _bone_matrices(assets, base, poses)
        return {
            name: _carry(binding.references @ expressed + binding.offsets, weights[name], world)
            for name, binding in bindings.items()
            if binding.expressive or not expressive
        }

    rest = evaluate(NEUTRAL, {}, False)
    deltas = {
        name: np.zeros((EXPRESSION_SIZE, *rest[name].shape), np.float32)
        for name, binding in bindings.items()
        if binding.expressive
    }
    for row, coefficient in enumerate(EXPRESSION_NAMES):
        recipe = RECIPES.get(coefficient)
        if recipe is None:
            continue
        targets = dict(NEUTRAL)
        for target, weight in recipe.targets.items():
            targets[target] = targets.get(target, 0.0) + weight
        mask = masks[recipe.side] * masks[recipe.lip]
        for name, moved in evaluate(targets, recipe.poses, True).items():
            deltas[name][row] = (moved - rest[name]) * (bindings[name].references @ mask)[:, None]
    return {
        name: Blendshape(
            rest[name].astype(np.float32),
            deltas.get(name),
            np.asarray((binding.references @ head).todense(), np.float32),
        )
        for name, binding in bindings.items()
    }


def head_joints(assets: Assets, base: Points) -> FloatArray:
    """Heads (4, 3) of `HEAD_BONES` on the resting identity `base`."""
    return np.stack([assets.skeleton.joint(name, base) for name in HEAD_BONES]).astype(np.float32)


def eye_centers(assets: Assets, base: Points) -> FloatArray:
    """Centres (2, 3) of the eyeballs, left then right."""
    return np.stack([base[assets.groups[f"joint-{side}-eye"]].mean(0) for side in "lr"]).astype(np.float32)


def side_of_vertex(vertices: NDArray[np.floating]) -> NDArray[np.int8]:
    """1 for the model's left (x > 0), 2 for the right."""
    return np.where(vertices[:, 0] > 0, 1, 2).astype(np.int8)
