import numpy as np
import pytest

from engines.expression import EXPRESSION_INDEX
from engines.face_basis import FaceBasis
from engines.face_fit import DISTANCE, FRAME_HEIGHT, camera_around, fit_face
from engines.landmarks import TRACKED, Crop
from engines.media import Motion


@pytest.fixture(scope="module")
def basis() -> FaceBasis:
    return FaceBasis.load()


def test_the_basis_holds_heads_of_the_shared_topology(basis: FaceBasis) -> None:
    shape = np.zeros(len(basis.components), np.float32)
    np.testing.assert_array_equal(basis.head(shape).neutral, basis.mean.neutral)
    shape[0] = 2.0
    head = basis.head(shape)
    moved = np.linalg.norm(head.neutral - basis.mean.neutral, axis=1)
    assert 0.02 < moved.max() < 1.0
    np.testing.assert_allclose(head.joints - basis.mean.joints, 2 * basis.components[0, -6:-2], atol=1e-6)


def test_a_basis_of_another_shape_is_refused(basis: FaceBasis, tmp_path) -> None:  # type: ignore[no-untyped-def]
    basis.mean.save(tmp_path / "mesh.npz")
    with pytest.raises(ValueError, match="components"):
        FaceBasis.load(tmp_path / "mesh.npz")


def test_a_head_is_found_again_from_its_keypoints(basis: FaceBasis) -> None:
    rng = np.random.default_rng(0)
    shape = rng.normal(0, 0.8, len(basis.components)).astype(np.float32)
    expression = np.zeros(53, np.float32)
    expression[EXPRESSION_INDEX["jawOpen"]] = 0.3
    expression[EXPRESSION_INDEX["mouthSmileLeft"]] = expression[EXPRESSION_INDEX["mouthSmileRight"]] = 0.6
    head = basis.head(shape)
    yaw, pitch, crop = 0.15, -0.08, Crop(700.0, 500.0, 640.0, 0.12)
    seen = camera_around(basis, yaw, pitch).project(head.pose(Motion(expression)))
    points = crop.to_picture(seen[head.keypoints[list(TRACKED)], :2])

    fit = fit_face(basis, points, np.full(len(TRACKED), 0.5, np.float32), 0.1)
    assert fit.misfit < 0.01
    assert fit.yaw == pytest.approx(yaw, abs=0.06) and fit.pitch == pytest.approx(pitch, abs=0.06)
    assert fit.crop.roll == pytest.approx(crop.roll, abs=0.03)
    assert fit.crop.side == pytest.approx(crop.side, rel=0.06)
    assert fit.pixels_per_decimetre == pytest.approx(fit.crop.side / FRAME_HEIGHT)
    assert fit.expression[EXPRESSION_INDEX["mouthSmileLeft"]] > 0.25
    assert fit.expression[EXPRESSION_INDEX["jawOpen"]] > 0.1
    assert np.linalg.norm(np.subtract(fit.camera.eye, fit.camera.at)) == pytest.approx(DISTANCE)


def test_one_point_far_off_does_not_carry_the_head_away(basis: FaceBasis) -> None:
    seen = camera_around(basis, 0.0, 0.0).project(basis.mean.neutral)
    points = Crop(256, 256, 512).to_picture(seen[basis.mean.keypoints[list(TRACKED)], :2])
    spoilt = points.copy()
    spoilt[5] += 60
    doubt = np.full(len(TRACKED), 1.0, np.float32)
    fit = fit_face(basis, spoilt, doubt, 0.0)
    assert abs(fit.yaw) < 0.06 and fit.crop.side == pytest.approx(512, rel=0.03)
