from pathlib import Path

import numpy as np
import pytest

from engines.landmarks import CROP_SIZE, TRACKED, TRACKED_NAMES, Crop, LandmarkFinder, cut
from tests.portraits import KnowingBackend, KnowingNetwork, ruled, shipped_points


def finder(*faces: np.ndarray, height: int, width: int) -> LandmarkFinder:
    return LandmarkFinder(KnowingBackend(KnowingNetwork(faces, height, width)), Path())


def test_tracked_keypoints_are_those_that_a_face_shows() -> None:
    assert len(TRACKED) == len(set(TRACKED)) == 122
    assert {"chin", "nose_tip", "lid_left_2", "mouth_corner_right"} <= set(TRACKED_NAMES)
    assert not any(name.startswith(("teeth", "tongue", "shoulder")) for name in TRACKED_NAMES)


def test_a_crop_and_its_picture_agree_on_places() -> None:
    crop = Crop(120.0, 80.0, 64.0, 0.3)
    points = np.array([[120, 80], [130, 95.5]], np.float32)
    inside = crop.to_crop(points)
    np.testing.assert_allclose(inside[0], 0, atol=1e-6)
    np.testing.assert_allclose(crop.to_picture(inside), points, atol=1e-4)
    by_matrix = np.hstack([points, np.ones((2, 1))]) @ crop.matrix(100).T
    np.testing.assert_allclose(by_matrix, (inside + 1) * 50, atol=1e-3)


@pytest.mark.parametrize("side", [100.0, 400.0])
def test_what_is_cut_lies_where_the_crop_says(side: float) -> None:
    picture = ruled(600, 600)
    crop = Crop(310.0, 280.0, side, -0.2)
    inside = cut(picture, crop, CROP_SIZE).astype(np.float64)
    u, v = np.meshgrid(*[(np.arange(CROP_SIZE) + 0.5) / CROP_SIZE * 2 - 1] * 2)
    places = crop.to_picture(np.stack([u, v], 2).astype(np.float32))
    np.testing.assert_allclose(inside[..., 0], 10 + (places[..., 0] - 0.5) * 230 / 600, atol=1.5)
    np.testing.assert_allclose(inside[..., 1], 10 + (places[..., 1] - 0.5) * 230 / 600, atol=1.5)


def test_faces_are_found_the_largest_first() -> None:
    face = shipped_points()
    small = face * np.float32(0.35) + np.array([30, 380], np.float32)
    large = face * np.float32(0.7) + np.array([240, 30], np.float32)
    found = finder(small, large, height=600, width=640).find(ruled(600, 640))
    assert len(found) == 2
    np.testing.assert_allclose(found[0].points, large, atol=2.5)
    np.testing.assert_allclose(found[1].points, small, atol=2.5)
    assert found[0].presence > 0.9 and found[0].vagueness < 0.1


def test_a_tilted_face_is_laid_upright() -> None:
    face = shipped_points() - 256
    tilt = np.radians(20)
    turned = face @ np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]], np.float32)
    face = (turned * 0.8 + 256).astype(np.float32)
    (found,) = finder(face, height=512, width=512).find(ruled(512, 512))
    assert found.roll == pytest.approx(tilt, abs=0.03)
    np.testing.assert_allclose(found.points, face, atol=2.5)


def test_nothing_is_found_where_nothing_is() -> None:
    assert finder(height=300, width=400).find(ruled(300, 400)) == []
    assert finder(height=300, width=400).find(np.zeros((300, 400, 3), np.uint8)) == []
