import cv2
import numpy as np
import pytest

from engines.eye_making import eye_paint, find_highlights, find_iris
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


def drawn_iris() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A brown iris with a black pupil, float32 (24, 24, 3), where it is, and how far from its middle."""
    rows, columns = np.mgrid[:24, :24].astype(np.float32)
    away = np.hypot(columns - 12, rows - 12)
    photo = np.where((away < 3.5)[..., None], 15.0, (90.0, 55.0, 30.0)).astype(np.float32)
    return photo, away < 10, away


def test_a_highlight_is_told_from_the_iris_below_it() -> None:
    plain, iris, away = drawn_iris()
    wet = plain.copy()
    wet[6:9, 8:11] += 120.0
    shine = find_highlights(wet, iris, away)
    np.testing.assert_allclose(shine[6:9, 8:11], 120.0, atol=2.0)
    assert np.abs(wet - shine - plain).max() < 12


def test_neither_a_dry_iris_nor_a_pale_half_is_a_highlight() -> None:
    plain, iris, away = drawn_iris()
    assert not find_highlights(plain, iris, away).any()
    plain[:, 13:] += 120.0
    assert not find_highlights(plain, iris, away).any()


def test_behind_the_lids_there_is_eyeball_and_not_skin() -> None:
    picture, geometry = photo()
    balls = eye_paint(picture, geometry).eyeballs
    pixels = (geometry.keypoints[:, :2] + 1) * 256 - 0.5

    def at(name: str, up: float, across: float = 0.0) -> tuple[int, int]:
        x, y = pixels[KEYPOINT_NAMES.index(name)]
        return round(float(y) - up) - balls.top, round(float(x) + across) - balls.left

    for side, outwards in (("left", 1), ("right", -1)):
        iris = at(f"iris_{side}", -4)
        together = balls.bare[iris][:3].astype(int) + balls.shine[iris]
        seen = picture[iris[0] + balls.top, iris[1] + balls.left]
        np.testing.assert_allclose(together, seen, atol=12, err_msg="seen, so kept")
        assert balls.bare[iris][3] == 255, "behind the cornea"
        hidden = at(f"lid_{side}_2", 4, 13 * outwards)
        skin = picture[hidden[0] + balls.top, hidden[1] + balls.left].astype(float)
        white = balls.bare[hidden][:3].astype(float)
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
