"""The avatars that ship: one topology, lips that meet, and coefficients that do what their names say."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.atlas import GLOBE_SKIN
from engines.avatar import AVATARS, list_avatars, load_avatar
from engines.expression import EXPRESSION_INDEX, FloatArray, rest_expression
from engines.eye_making import IRIS_RADIUS
from engines.eyes import LOOK_DOWN_RANGE
from engines.head_mesh import HeadMesh, Part
from engines.keypoints import INNER_LIPS, KEYPOINT_NAMES, LIDS, LIPS, MIRROR, MOUTH
from engines.media import HeadPose, Motion
from engines.raster import Window, rasterize
from engines.source_view import HIDDEN, WHOLE

NAMES = list_avatars()


@pytest.fixture(scope="module", params=NAMES)
def mesh(request: pytest.FixtureRequest) -> HeadMesh:
    return HeadMesh.load(AVATARS / request.param / "mesh.npz")


def expression(**strengths: float) -> FloatArray:
    """Coefficients by name; a name without its side means both."""
    coefficients = rest_expression()
    for name, strength in strengths.items():
        for full in (name, f"{name}Left", f"{name}Right"):
            if full in EXPRESSION_INDEX:
                coefficients[EXPRESSION_INDEX[full]] = strength
    return coefficients


def pose(mesh: HeadMesh, **strengths: float) -> dict[str, FloatArray]:
    """Keypoints by name under coefficients by name."""
    points = mesh.pose(Motion(expression(**strengths)))[mesh.keypoints]
    return dict(zip(KEYPOINT_NAMES, points, strict=True))


PART = {"mouthLowerDown": 1.0, "mouthUpperUp": 1.0}


def lip_gaps(points: dict[str, FloatArray]) -> list[float]:
    """Upper over lower inner lip, decimetres, at five places; negative where they press into each other."""
    places = ("middle", "left_0", "left_1", "right_0", "right_1")
    return [float(points[f"lip_upper_inner_{at}"][1] - points[f"lip_lower_inner_{at}"][1]) for at in places]


def test_eight_avatars_ship_with_all_their_files_in_little_space() -> None:
    assert len(NAMES) == 8
    for name in NAMES:
        files = {path.name: path.stat().st_size for path in (AVATARS / name).iterdir()}
        assert set(files) >= {"avatar.json", "mesh.npz", "source.png", "thumbnail.jpg", "eyeballs.npz"}
        assert set(files) >= {"interior.npz", "interior.png"}
        assert sum(files.values()) < 1_000_000


def test_weights_and_avatars_are_a_small_download() -> None:
    assert sum(path.stat().st_size for path in AVATARS.parent.rglob("*") if path.is_file()) < 40_000_000


@pytest.mark.parametrize("name", [name for name in NAMES if load_avatar(name).geometry.globe])
def test_a_globe_is_of_its_own_avatar_and_goes_beyond_the_portrait(name: str) -> None:
    avatar = load_avatar(name)
    geometry, mesh = avatar.geometry, avatar.geometry.mesh
    assert geometry.globe is not None and geometry.view.unrolled is not None
    on_globe, sight = geometry.view.unrolled.shelf == GLOBE_SKIN, geometry.view.sight

    def colours(picture: NDArray[np.uint8], places: FloatArray, chosen: NDArray[np.bool_]) -> FloatArray:
        x, y = places[mesh.triangles[chosen], :2].mean(1).round().astype(int).T
        return picture[y, x].astype(np.float32)

    inside = (np.abs(geometry.points[mesh.triangles, :2]) < 0.99).all((1, 2))
    shown, hidden = on_globe & (sight == WHOLE).all(0) & inside, on_globe & (sight == HIDDEN).all(0)
    portrait = colours(avatar.picture, geometry.view.pixels, shown)
    globe = colours(geometry.globe.skin, geometry.view.unrolled.pixels, shown)
    assert shown.sum() > 1500 and np.abs(portrait - globe).mean() < 8
    beyond = colours(geometry.globe.skin, geometry.view.unrolled.pixels, hidden)
    assert hidden.sum() > 300 and (beyond[:, 0] >= beyond[:, 2]).mean() > 0.9, "skin or dark hair, not wall"


def test_all_avatars_share_one_topology() -> None:
    meshes = [HeadMesh.load(AVATARS / name / "mesh.npz") for name in NAMES]
    count, triangles = meshes[0].deltas.shape[1], int((meshes[0].parts < Part.HAIR).sum())
    for one, other in pairwise(meshes):
        for name, size in (("triangles", triangles), ("parts", triangles), ("eye_of_vertex", count)):
            np.testing.assert_array_equal(getattr(one, name)[:size], getattr(other, name)[:size])
        np.testing.assert_array_equal(one.keypoints, other.keypoints)
        assert np.abs(one.neutral[:count] - other.neutral[:count]).max() > 0.02


def test_hair_and_garment_come_after_the_face_and_are_few(mesh: HeadMesh) -> None:
    count, triangles = mesh.deltas.shape[1], int((mesh.parts < Part.HAIR).sum())
    assert set(mesh.parts) == set(Part) and (mesh.parts[:triangles] < Part.HAIR).all()
    assert mesh.triangles[:triangles].max() == count - 1 and mesh.triangles[triangles:].min() >= count
    assert (mesh.parts == Part.HAIR).sum() < 4000 and (mesh.parts == Part.CLOTH).sum() < 2500
    hair, cloth = (np.unique(mesh.triangles[mesh.parts == part]) for part in (Part.HAIR, Part.CLOTH))
    assert mesh.skinning[hair].sum(1).mean() > 0.9 and mesh.skinning[cloth].sum(1).mean() < 0.6


def test_the_face_is_wound_towards_the_camera(mesh: HeadMesh) -> None:
    a, b, c = (mesh.neutral[mesh.triangles[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    middle = (a + b + c) / 3
    nose = mesh.neutral[mesh.keypoints[KEYPOINT_NAMES.index("nose_tip")]]
    near_nose = (
        (np.linalg.norm(middle - nose, axis=1) < 0.15) & (mesh.parts == Part.SKIN) & (middle[:, 2] > nose[2] - 0.05)
    )
    assert near_nose.sum() > 5 and (normals[near_nose, 2] > 0).all()
    eyes = mesh.parts == Part.EYE
    ball = mesh.eye_of_vertex[mesh.triangles[eyes, 0]] - 1
    outward = ((middle[eyes] - mesh.eye_centers[ball]) * normals[eyes]).sum(1)
    assert (outward > 0).all()


def inside_seen(name: str, **strengths: float) -> int:
    """Pixels of teeth and tongue that show in the picture of 512 x 512."""
    geometry = load_avatar(name).geometry
    mesh, window = geometry.mesh, Window.whole(512)
    points = geometry.camera.project(mesh.pose(Motion(expression(**strengths))))
    shown = rasterize(points, mesh.triangles, window).parts(mesh.parts)
    return int(np.isin(shown, (Part.UPPER_TEETH, Part.LOWER_TEETH, Part.TONGUE)).sum())


@pytest.mark.parametrize("name", NAMES)
def test_teeth_hide_behind_shut_lips_and_show_in_vowels(name: str) -> None:
    assert inside_seen(name) < 10, "specks at the corners of the unsubdivided lips"
    assert inside_seen(name, mouthClose=1.0) == 0
    assert inside_seen(name, mouthClose=1.0, jawOpen=0.15) < 20
    assert inside_seen(name, mouthSmile=1.0) < 30
    assert inside_seen(name, jawOpen=0.2, mouthStretch=0.75, mouthSmile=0.4, **PART) > 500
    assert inside_seen(name, jawOpen=0.85, **PART) > 1000


def test_lips_meet_at_rest_and_when_pressed(mesh: HeadMesh) -> None:
    assert lip_gaps(pose(mesh))[0] < 0.0
    assert lip_gaps(pose(mesh, mouthClose=1.0))[0] < -0.02
    assert lip_gaps(pose(mesh, mouthClose=1.0, jawOpen=0.15))[0] < 0.008, "under a pixel or so"


def test_the_mouth_opens_for_vowels_and_rounds_for_u(mesh: HeadMesh) -> None:
    wide = pose(mesh, jawOpen=0.85, **PART)
    assert min(lip_gaps(wide)) > 0.06 and lip_gaps(wide)[0] > 0.12
    grin = pose(mesh, jawOpen=0.2, mouthStretch=0.75, mouthSmile=0.4, **PART)
    round_ = pose(mesh, jawOpen=0.2, mouthPucker=0.9, mouthFunnel=0.35, **PART)
    rest = pose(mesh)

    def width(points: dict[str, FloatArray]) -> float:
        return float(points["mouth_corner_left"][0] - points["mouth_corner_right"][0])

    assert width(grin) > 1.05 * width(rest) and width(round_) < 0.85 * width(rest)
    assert lip_gaps(grin)[0] > 0.04 and 0.02 < lip_gaps(round_)[0] < lip_gaps(wide)[0]


def test_the_jaw_carries_the_lower_teeth_and_not_the_upper(mesh: HeadMesh) -> None:
    rest, wide = pose(mesh), pose(mesh, jawOpen=1.0)
    assert np.abs(wide["teeth_upper_middle"] - rest["teeth_upper_middle"]).max() < 1e-3
    assert wide["teeth_lower_middle"][1] < rest["teeth_lower_middle"][1] - 0.08


def test_the_tongue_tip_rises(mesh: HeadMesh) -> None:
    lowered, raised = pose(mesh, jawOpen=0.3), pose(mesh, jawOpen=0.3, tongueUp=1.0)
    below = lowered["teeth_upper_middle"][1] - lowered["tongue_tip"][1]
    assert raised["teeth_upper_middle"][1] - raised["tongue_tip"][1] < below


@pytest.mark.parametrize(
    ("stem", "keypoint"),
    [
        ("mouthSmile", "mouth_corner"),
        ("mouthStretch", "mouth_corner"),
        ("eyeBlink", "lid"),
        ("browDown", "brow"),
        ("browOuterUp", "brow"),
        ("mouthFrown", "mouth_corner"),
        ("noseSneer", "alar"),
    ],
)
def test_one_side_moves_its_own_side(mesh: HeadMesh, stem: str, keypoint: str) -> None:
    for side, other in (("Left", "Right"), ("Right", "Left")):
        rest, moved = pose(mesh), pose(mesh, **{f"{stem}{side}": 1.0})

        def change(on: str, rest: dict[str, FloatArray] = rest, moved: dict[str, FloatArray] = moved) -> float:
            names = [name for name in KEYPOINT_NAMES if name.startswith(f"{keypoint}_{on.lower()}")]
            return max(float(np.linalg.norm(moved[name] - rest[name])) for name in names)

        assert change(side) > 0.01 and change(other) < 0.15 * change(side)


def test_a_blink_shuts_the_eye(mesh: HeadMesh) -> None:
    def opening(points: dict[str, FloatArray]) -> float:
        return float(points["lid_left_2"][1] - points["lid_left_6"][1])

    rest, shut = pose(mesh), pose(mesh, eyeBlinkLeft=1.0)
    assert opening(shut) < 0.25 * opening(rest)


def test_lids_follow_a_look_down_and_keep_the_iris_covered_from_above(mesh: HeadMesh) -> None:
    def shown(share: float) -> tuple[float, float]:
        """How high the eye is open, and how far the iris's middle lies below the upper lid, decimetres."""
        gaze = (share * LOOK_DOWN_RANGE, 0.0)
        points = mesh.pose(Motion(expression(eyeLookDown=share), gaze=gaze))[mesh.keypoints]
        upper, lower, iris = (
            float(points[KEYPOINT_NAMES.index(name), 1]) for name in ("lid_left_2", "lid_left_6", "iris_left")
        )
        return upper - lower, upper - iris

    opening, above = zip(*(shown(share) for share in (0.0, 0.3, 0.6, 1.0)), strict=True)
    assert (np.diff(opening) < 0).all() and opening[-1] > 0.005
    assert max(above) < IRIS_RADIUS, "no white above it"


def test_gaze_turns_the_eyeballs_alone(mesh: HeadMesh) -> None:
    rest = mesh.pose(Motion())
    left = mesh.pose(Motion(gaze=(0.0, 0.2)))
    moved = np.abs(left - rest).max(axis=1) > 1e-5
    np.testing.assert_array_equal(moved, (mesh.eye_of_vertex > 0) & moved)
    for side in ("left", "right"):
        iris = mesh.keypoints[KEYPOINT_NAMES.index(f"iris_{side}")]
        assert left[iris, 0] > rest[iris, 0] + 0.02


def test_the_head_turns_to_its_left_and_the_shoulders_stay(mesh: HeadMesh) -> None:
    rest, turned = (mesh.pose(Motion(pose=HeadPose(yaw=angle)))[mesh.keypoints] for angle in (0.0, 0.25))
    nose, shoulder = (KEYPOINT_NAMES.index(name) for name in ("nose_tip", "shoulder_left"))
    assert turned[nose, 0] > rest[nose, 0] + 0.15
    assert np.abs(turned[shoulder] - rest[shoulder]).max() < 0.02


@pytest.mark.parametrize("name", NAMES)
def test_the_camera_frames_head_and_shoulders(name: str) -> None:
    avatar = load_avatar(name)
    keypoints = avatar.geometry.points[avatar.geometry.mesh.keypoints]
    seen = dict(zip(KEYPOINT_NAMES, keypoints, strict=True))
    assert -1 < seen["crown"][1] < -0.6 and -0.35 < seen["iris_left"][1] < 0.1 and seen["collar_left"][1] > 0.5
    assert abs(seen["nose_tip"][0]) < 0.1
    inside = avatar.geometry.interior.uv
    assert inside.shape == (avatar.geometry.mesh.deltas.shape[1], 2) and inside.min() >= 0 and inside.max() <= 1


def test_keypoint_groups_mirror_themselves() -> None:
    assert all(MIRROR[MIRROR[index]] == index for index in range(len(KEYPOINT_NAMES)))
    for group in (LIPS, INNER_LIPS, LIDS, MOUTH):
        assert {MIRROR[index] for index in group} == set(group)
    mesh = HeadMesh.load(Path(AVATARS) / NAMES[0] / "mesh.npz")
    assert len(set(mesh.keypoints.tolist())) == len(KEYPOINT_NAMES)


def test_the_mouths_inside_has_white_teeth_and_a_red_tongue() -> None:
    geometry = load_avatar(NAMES[0]).geometry
    keypoints = dict(zip(KEYPOINT_NAMES, geometry.mesh.keypoints, strict=True))
    names = [name for name in KEYPOINT_NAMES if name.startswith(("teeth", "tongue"))]
    texture = geometry.interior.texture / 255
    at = (geometry.interior.uv[[keypoints[name] for name in names]] * texture.shape[1::-1]).astype(int)
    colours = dict(zip(names, texture[at[:, 1], at[:, 0]], strict=True))
    red, green, blue = colours.pop("tongue_tip")
    assert red > 1.3 * max(green, blue)
    for colour in colours.values():
        assert colour.min() > 0.5 and colour.max() - colour.min() < 0.15
