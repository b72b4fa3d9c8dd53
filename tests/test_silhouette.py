import cv2
import numpy as np
import pytest

from engines.face_basis import FaceBasis
from engines.face_fit import camera_around
from engines.head_mesh import Part
from engines.keypoints import KEYPOINT_NAMES
from engines.media import HeadPose, Motion
from engines.raster import Window, rasterize
from engines.silhouette import dressed


@pytest.fixture(scope="module")
def basis() -> FaceBasis:
    return FaceBasis.load()


def raster_of(basis: FaceBasis) -> np.ndarray:
    """1 where the mean head covers the picture."""
    points = camera_around(basis, 0.0, 0.0).project(basis.mean.neutral)
    return rasterize(points, basis.mean.triangles, Window.whole(512)).covered()


@pytest.fixture(scope="module")
def hairy(basis: FaceBasis) -> tuple[np.ndarray, np.ndarray]:
    """A picture of the mean head with a dark cap of hair before a bright wall, and where the hair is."""
    points = camera_around(basis, 0.0, 0.0).project(basis.mean.neutral)
    covered = raster_of(basis) > 0
    hair = np.zeros((512, 512), np.uint8)
    crown = ((points[basis.mean.keypoints[66], :2] + 1) * 256).astype(int)
    cv2.ellipse(hair, (int(crown[0]), int(crown[1]) + 60), (125, 100), 0, 180, 360, 1, -1)
    picture = np.full((512, 512, 3), (200, 220, 240), np.uint8)
    picture[hair > 0] = (50, 30, 20)
    forehead = int((points[basis.mean.keypoints[67], 1] + 1) * 256)
    covered[:forehead] &= hair[:forehead] == 0  # the scalp is as dark as the hair around it
    picture[covered] = (190, 140, 110)
    covered |= raster_of(basis) > 0
    noise = np.random.default_rng(0).integers(-8, 8, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8), (hair > 0) & ~covered


def test_hair_around_the_mesh_moves_with_the_head(basis: FaceBasis, hairy: tuple[np.ndarray, np.ndarray]) -> None:
    picture, hair = hairy
    camera = camera_around(basis, 0.0, 0.0)
    mesh, pictured = dressed(basis.mean, None, camera, picture)
    assert pictured is None
    assert len(mesh.neutral) > len(basis.mean.neutral) and mesh.deltas.shape == basis.mean.deltas.shape
    np.testing.assert_array_equal(mesh.triangles[: len(basis.mean.triangles)], basis.mean.triangles)
    points = camera.project(mesh.pose(Motion()))
    found = rasterize(points, mesh.triangles, Window.whole(512)).parts(mesh.parts) == Part.HAIR
    assert (found & hair).sum() > 0.85 * hair.sum()
    assert (found & ~hair).sum() < 0.6 * hair.sum()  # the grid is coarse, and reaches a little beyond

    turned = camera.project(mesh.pose(Motion(pose=HeadPose(yaw=np.radians(15)))))
    shell = np.unique(mesh.triangles[mesh.parts == Part.HAIR])
    rim = mesh.keypoints[66]
    moved = (turned - points)[:, 0]
    top = shell[points[shell, 1] < points[mesh.keypoints[KEYPOINT_NAMES.index("nose_base")], 1]]
    assert abs(float(np.median(moved[top])) - float(moved[rim])) < 0.05


def test_what_the_picture_shows_gets_the_same_shell(basis: FaceBasis, hairy: tuple[np.ndarray, np.ndarray]) -> None:
    mesh, pictured = dressed(basis.mean, basis.mean.neutral + 0.01, camera_around(basis, 0.0, 0.0), hairy[0])
    assert pictured is not None and pictured.shape == mesh.neutral.shape
    np.testing.assert_array_equal(pictured[len(basis.mean.neutral) :], mesh.neutral[len(basis.mean.neutral) :])


def test_a_collar_beside_the_chin_stays_when_the_head_turns(basis: FaceBasis) -> None:
    camera = camera_around(basis, 0.0, 0.0)
    points = camera.project(basis.mean.neutral)
    picture = np.full((512, 512, 3), (200, 220, 240), np.uint8)
    x, y = ((points[basis.mean.keypoints[KEYPOINT_NAMES.index("chin")], :2] + 1) * 256).astype(int).tolist()
    collar = np.zeros((512, 512), np.uint8)
    cv2.ellipse(collar, (x, y + 90), (190, 120), 0, 180, 360, 1, -1)
    picture[collar > 0] = (40, 30, 60)
    picture[raster_of(basis) > 0] = (190, 140, 110)
    noise = np.random.default_rng(0).integers(-8, 8, picture.shape)
    mesh, _ = dressed(basis.mean, None, camera, np.clip(picture + noise, 0, 255).astype(np.uint8))
    shell = np.arange(len(basis.mean.neutral), len(mesh.neutral))
    before, after = (camera.project(mesh.pose(Motion(pose=HeadPose(yaw=yaw))))[shell, 0] for yaw in (0.0, 0.2))
    places = (camera.project(mesh.neutral)[shell, :2] + 1) * 256
    beside = (np.abs(places[:, 0] - x) > 110) & (places[:, 1] > y - 40)
    assert beside.sum() > 20
    assert np.abs(after - before)[beside].max() * 256 < 1.0
