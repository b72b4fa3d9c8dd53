from dataclasses import replace

import numpy as np
import pytest

from engines.expression import EXPRESSION_INDEX, EXPRESSION_SIZE, rest_expression
from engines.head_mesh import Camera, HeadMesh, Part, bone_transforms, rotation
from engines.media import HeadPose, Motion


@pytest.fixture
def mesh() -> HeadMesh:
    """A triangle that opens its jaw, a triangle on the left eye and one of the shoulders, which expresses nothing."""
    neutral = np.array(
        [[0, 0, 1], [1, 0, 1], [0, 1, 1], [0.3, 1, 1], [0.4, 1, 1], [0.3, 1.1, 1], [0, -3, 0], [1, -3, 0], [0, -2, 0]],
        np.float32,
    )
    deltas = np.zeros((EXPRESSION_SIZE, 6, 3), np.float32)
    deltas[EXPRESSION_INDEX["jawOpen"], 0] = (0, -0.5, 0)
    skinning = np.zeros((9, 4), np.float32)
    skinning[:6, 3] = 1
    return HeadMesh(
        neutral=neutral,
        deltas=deltas,
        skinning=skinning,
        joints=np.array([[0, -2, 0], [0, -1.5, 0], [0, -1, 0], [0, -0.5, 0]], np.float32),
        eye_centers=np.array([[0.3, 1, 0.9], [-0.3, 1, 0.9]], np.float32),
        eye_of_vertex=np.array([0, 0, 0, 1, 1, 1, 0, 0, 0], np.int8),
        triangles=np.arange(9, dtype=np.int32).reshape(3, 3),
        parts=np.array([Part.SKIN, Part.EYE, Part.SKIN], np.uint8),
        keypoints=np.array([0, 3], np.int32),
    )


def test_rest_is_the_neutral_shape(mesh: HeadMesh) -> None:
    np.testing.assert_allclose(mesh.pose(Motion()), mesh.neutral, atol=1e-6)


def test_expression_adds_its_delta(mesh: HeadMesh) -> None:
    expression = rest_expression()
    expression[EXPRESSION_INDEX["jawOpen"]] = 0.5
    np.testing.assert_allclose(mesh.pose(Motion(expression))[0], [0, -0.25, 1], atol=1e-6)


def test_pose_is_the_formula(mesh: HeadMesh) -> None:
    """K = R (Kc + E) + T, with vertices after the expressive ones, blended bones and eyes that turn."""
    rng = np.random.default_rng(1)
    deltas = rng.normal(0, 0.1, (EXPRESSION_SIZE, 6, 3)).astype(np.float32)
    deltas[rng.random(deltas.shape[:2]) < 0.5] = 0
    skinning = rng.dirichlet(np.ones(5), 9)[:, :4].astype(np.float32)
    mesh = replace(mesh, deltas=deltas, skinning=skinning)
    expression = (rng.random(EXPRESSION_SIZE) * (rng.random(EXPRESSION_SIZE) < 0.6)).astype(np.float32)
    motion = Motion(expression, HeadPose(0.1, -0.3, 0.05, (0.01, 0.02, 0.03)), (0.1, -0.2))
    expected = mesh.neutral.astype(np.float64)
    expected[:6] += np.tensordot(expression, deltas, axes=1)
    expected[3:6] = (expected[3:6] - mesh.eye_centers[0]) @ rotation(0.1, -0.2, 0).T + mesh.eye_centers[0]
    still = (1 - skinning.sum(1))[:, None] * expected
    carried = [expected @ bone[:, :3].T + bone[:, 3] for bone in bone_transforms(mesh.joints, motion.pose)]
    expected = still + (np.stack(carried, 1) * skinning[..., None]).sum(1)
    np.testing.assert_allclose(mesh.pose(motion), expected, atol=1e-5)


def test_gaze_turns_one_eye_about_its_centre_and_nothing_else(mesh: HeadMesh) -> None:
    posed = mesh.pose(Motion(gaze=(0.0, 0.3)))
    np.testing.assert_allclose(posed[[0, 1, 2, 6, 7, 8]], mesh.neutral[[0, 1, 2, 6, 7, 8]], atol=1e-6)
    before, after = (points[3:6] - mesh.eye_centers[0] for points in (mesh.neutral, posed))
    np.testing.assert_allclose(np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1), atol=1e-6)
    assert posed[3, 0] > mesh.neutral[3, 0], "positive yaw looks to the model's left, which is +x"


def test_head_pose_moves_the_head_and_leaves_the_shoulders(mesh: HeadMesh) -> None:
    posed = mesh.pose(Motion(pose=HeadPose(yaw=0.4)))
    np.testing.assert_allclose(posed[6:], mesh.neutral[6:], atol=1e-6)
    np.testing.assert_allclose(posed[0], rotation(0, 0.4, 0) @ mesh.neutral[0], atol=1e-5)


def test_bones_share_the_rotation_and_carry_the_translation(mesh: HeadMesh) -> None:
    transforms = bone_transforms(mesh.joints, HeadPose(pitch=0.3, translation=(0.1, 0.2, 0.3)))
    np.testing.assert_allclose(transforms[3, :, :3], rotation(0.3, 0, 0), atol=1e-6)
    np.testing.assert_allclose(transforms[0, :, :3], rotation(0.06, 0, 0), atol=1e-6)
    np.testing.assert_allclose(transforms[0] @ [*mesh.joints[0], 1], mesh.joints[0] + [0.1, 0.2, 0.3], atol=1e-6)


def test_a_saved_mesh_comes_back(mesh: HeadMesh, tmp_path) -> None:  # type: ignore[no-untyped-def]
    mesh.save(tmp_path / "mesh.npz")
    loaded = HeadMesh.load(tmp_path / "mesh.npz")
    motion = Motion(pose=HeadPose(0.1, 0.2, 0.3), gaze=(0.1, 0.1))
    np.testing.assert_allclose(loaded.pose(motion), mesh.pose(motion), atol=1e-3)


def test_something_else_is_not_a_mesh(tmp_path) -> None:  # type: ignore[no-untyped-def]
    np.savez(tmp_path / "mesh.npz", neutral=np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"not a head mesh: .*deltas"):
        HeadMesh.load(tmp_path / "mesh.npz")


def test_camera_puts_what_it_looks_at_in_the_centre_and_y_down() -> None:
    camera = Camera((0, 0, 10), (0, 0, 0), fov_degrees=90)
    points = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0]], np.float32)
    np.testing.assert_allclose(camera.project(points), [[0, 0, 10], [1, 0, 10], [0, -1, 10]], atol=1e-5)
