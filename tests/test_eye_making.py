import cv2
import numpy as np
import pytest

from engines.eye_making import eye_paint, find_iris
from engines.keypoints import KEYPOINT_NAMES
from tests.photos import photo

LUMA = np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize(("x", "y", "radius"), [(30.0, 17.0, 9.0), (25.5, 15.0, 8.2), (35.0, 18.5, 10.0)])
def test_the_iris_is_found_though_lids_cover_some_of_it(x: float, y: float, radius: float) -> None:
    light = np.full((36, 60), 190.0, np.float32)
    rows, columns = np.mgrid[:36, :60]
    light[np.hypot(columns - x, rows - y) < radius] = 70
    light[np.hypot(columns - x, rows - y) < 3] = 20
    light[int(y) - 4 : int(y) - 1, int(x) + 2 : int(x) + 5] = 255  # a highlight
    light += np.random.default_rng(0).normal(0, 6, light.shape).astype(np.float32)
    open_ = np.zeros((36, 60), np.uint8)
    cv2.ellipse(open_, (30, 17), (22, 8), 0, 0, 360, 1, -1)
    found = find_iris(cv2.GaussianBlur(light, (0, 0), 0.8), open_ > 0, 9.0)
    np.testing.assert_allclose(found, (x, y, radius), atol=1.0)


def test_behind_the_lids_there_is_eyeball_and_not_skin() -> None:
    picture, geometry = photo()
    paint = eye_paint(picture, geometry)
    pixels = (geometry.keypoints[:, :2] + 1) * 256 - 0.5

    def at(name: str, up: float, across: float = 0.0) -> tuple[int, int]:
        x, y = pixels[KEYPOINT_NAMES.index(name)]
        return round(float(y) - up) - paint.top, round(float(x) + across) - paint.left

    for side, outwards in (("left", 1), ("right", -1)):
        iris = at(f"iris_{side}", -4)
        np.testing.assert_allclose(
            paint.eyeballs[iris], picture[iris[0] + paint.top, iris[1] + paint.left], atol=12, err_msg="seen, so kept"
        )
        hidden = at(f"lid_{side}_2", 4, 13 * outwards)
        skin = picture[hidden[0] + paint.top, hidden[1] + paint.left].astype(float)
        white = paint.eyeballs[hidden].astype(float)
        assert np.ptp(white) / white.max() < 0.6 * np.ptp(skin) / skin.max(), "white is paler than skin"


def test_shut_lids_are_skin_with_a_line_of_lashes() -> None:
    picture, geometry = photo()
    paint = eye_paint(picture, geometry)
    lid = paint.lids[..., 3] > 250
    assert 300 < lid.sum() < 4000
    light = paint.lids[..., :3] @ LUMA
    cheek = (geometry.keypoints[KEYPOINT_NAMES.index("cheek_left"), :2] + 1) * 256
    x, y = cheek.round().astype(int)
    skin = float((picture[y - 4 : y + 5, x - 4 : x + 5] @ LUMA).mean())
    assert np.median(light[lid]) > 0.5 * skin
    assert light[lid].min() < 0.6 * np.median(light[lid])
    above = lid[: lid.shape[0] // 3]
    assert not above.any() or light[: lid.shape[0] // 3][above].min() > 0.5 * np.median(light[lid]), "no lashes there"
