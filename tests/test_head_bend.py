import numpy as np
import pytest

from engines.expression import EXPRESSION_INDEX, FloatArray
from engines.face_basis import FaceBasis
from engines.face_fit import camera_around, fit_face
from engines.head_bend import bend
from engines.head_mesh import Part
from engines.keypoints import KEYPOINT_NAMES
from engines.landmarks import TRACKED, Crop
from engines.media import Motion

LIPS = [[KEYPOINT_NAMES.index(f"lip_{lip}_inner_middle") for lip in ("upper", "lower")]]


@pytest.fixture(scope="module")
def basis() -> FaceBasis:
    return FaceBasis.load()


def portrait(basis: FaceBasis, **expression: float) -> tuple[FloatArray, FloatArray]:
    """Keypoints (P, 2) in pixels of a head that the space of heads does not hold exactly, and how sure they are."""
    coefficients = np.zeros(53, np.float32)
    for name, value in expression.items():
        coefficients[EXPRESSION_INDEX[name]] = value
    seen = camera_around(basis, 0.05, 0.0).project(basis.mean.pose(Motion(coefficients)))
    points = Crop(256, 256, 512).to_picture(seen[basis.mean.keypoints[list(TRACKED)], :2])
    points[:, 0] += 3 * np.sin(points[:, 1] / 30)  # a face as nobody in the studio has it
    return points, np.full(len(TRACKED), 0.3, np.float32)


def test_keypoints_lie_where_the_picture_shows_them(basis: FaceBasis) -> None:
    points, doubt = portrait(basis)
    fit = fit_face(basis, points, doubt, 0.0)
    targets = fit.crop.to_crop(points)
    mesh, pictured = bend(basis, fit, targets, doubt / np.float32(fit.pixels_per_decimetre))
    assert pictured is None
    seen = fit.camera.project(mesh.pose(Motion()))[mesh.keypoints[list(TRACKED)], :2]
    irises = [row for row, index in enumerate(TRACKED) if KEYPOINT_NAMES[index].startswith("iris")]
    off = np.delete(np.linalg.norm(seen - targets, axis=1), irises) * 256
    assert off.mean() < 0.7 and off.max() < 3
    unbent = fit.camera.project(basis.head(fit.shape).pose(Motion(fit.expression)))[mesh.keypoints[list(TRACKED)], :2]
    assert off.mean() < 0.5 * np.linalg.norm(unbent - targets, axis=1).mean() * 256


def test_an_open_mouth_belongs_to_the_picture_and_not_to_the_person(basis: FaceBasis) -> None:
    sides = {
        f"{name}{side}": 0.7 for name in ("mouthUpperUp", "mouthLowerDown", "mouthSmile") for side in ("Left", "Right")
    }
    points, doubt = portrait(basis, jawOpen=0.4, **sides)
    fit = fit_face(basis, points, doubt, 0.0)
    mesh, pictured = bend(basis, fit, fit.crop.to_crop(points), doubt / np.float32(fit.pixels_per_decimetre))
    assert pictured is not None
    upper, lower = mesh.keypoints[LIPS[0]]
    sealed = basis.mean.neutral[upper, 1] - basis.mean.neutral[lower, 1]
    assert pictured[upper, 1] - pictured[lower, 1] > 0.06
    assert mesh.neutral[upper, 1] - mesh.neutral[lower, 1] == pytest.approx(sealed, abs=0.02)
    seen = fit.camera.project(pictured)[mesh.keypoints[list(TRACKED)], :2]
    assert np.linalg.norm(seen - fit.crop.to_crop(points), axis=1).mean() * 256 < 1.0


def test_eyeballs_and_teeth_keep_their_shape(basis: FaceBasis) -> None:
    points, doubt = portrait(basis)
    fit = fit_face(basis, points, doubt, 0.0)
    mesh, _ = bend(basis, fit, fit.crop.to_crop(points), doubt / np.float32(fit.pixels_per_decimetre))
    head = basis.head(fit.shape)
    for part in (Part.UPPER_TEETH, Part.LOWER_TEETH):
        used = np.unique(head.triangles[head.parts == part])
        moved = mesh.neutral[used] - head.neutral[used]
        # What an expression at rest moves is little; the bend itself moves all alike.
        assert moved.std(0).max() < 0.02
    ball = head.eye_of_vertex == 1
    np.testing.assert_allclose((mesh.neutral - head.neutral)[ball].std(0), 0, atol=1e-3)


def test_lids_close_over_wide_eyes(basis: FaceBasis) -> None:
    names = [f"lid_left_{number}" for number in (2, 6)]
    rows = [list(TRACKED).index(KEYPOINT_NAMES.index(name)) for name in names]
    points, doubt = portrait(basis)
    points[rows[0], 1] -= 5  # the upper lid, five pixels higher
    fit = fit_face(basis, points, doubt, 0.0)
    mesh, _ = bend(basis, fit, fit.crop.to_crop(points), doubt / np.float32(fit.pixels_per_decimetre))
    upper, lower = (mesh.keypoints[KEYPOINT_NAMES.index(name)] for name in names)
    blink = np.zeros(53, np.float32)
    blink[EXPRESSION_INDEX["eyeBlinkLeft"]] = 1.0
    gaps = [posed[upper, 1] - posed[lower, 1] for posed in (basis.mean.pose(Motion(blink)), mesh.pose(Motion(blink)))]
    assert gaps[1] == pytest.approx(gaps[0], abs=0.02)
