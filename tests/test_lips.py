import cv2
import numpy as np
import pytest

from engines.expression import FloatArray
from engines.landmarks import TRACKED_NAMES
from engines.lips import settle_lips
from tests.portraits import shipped_points

MIDDLE = [TRACKED_NAMES.index(f"lip_{lip}_inner_middle") for lip in ("upper", "lower")]
RIMS = [TRACKED_NAMES.index(f"lip_{lip}_outer_middle") for lip in ("upper", "lower")]


def mouth(gap: float, inside: tuple[int, int, int], light: float = 1.0) -> tuple[np.ndarray, FloatArray]:
    """Lips drawn at the keypoints of an avatar, `gap` (of their height) apart, and the keypoints."""
    points = shipped_points()
    picture = np.full((512, 512, 3), (205, 160, 140), np.uint8)
    names = ["mouth_corner_left", "lip_upper_outer_left_1", "lip_upper_outer_middle", "lip_upper_outer_right_1"]
    names += ["mouth_corner_right", "lip_lower_outer_right_1", "lip_lower_outer_middle", "lip_lower_outer_left_1"]
    outline = points[[TRACKED_NAMES.index(name) for name in names]]
    cv2.fillPoly(picture, [np.round(outline).astype(np.int32)], (170, 85, 85))
    top, bottom = points[RIMS]
    middle = (top + bottom) / 2
    if gap:
        axes = (0.33 * float(outline[0, 0] - outline[4, 0]), gap * float(bottom[1] - top[1]) / 2)
        cv2.ellipse(picture, (middle.tolist(), (2 * axes[0], 2 * axes[1]), 0.0), inside, -1)
    noise = np.random.default_rng(0).normal(0, 4, picture.shape)
    return np.clip(picture * light + noise, 0, 255).astype(np.uint8), points


@pytest.mark.parametrize(
    "inside", [(235, 230, 220), (112, 100, 96), (30, 10, 10)], ids=["teeth", "teeth in the shadow", "dark"]
)
@pytest.mark.parametrize("light", [1.0, 0.5])
def test_lips_that_are_apart_are_seen_where_they_part(inside: tuple[int, int, int], light: float) -> None:
    picture, points = mouth(0.5, inside, light)
    settled, apart = settle_lips(picture, points)
    height = float(points[RIMS[1], 1] - points[RIMS[0], 1])
    assert apart
    assert settled[MIDDLE[1], 1] - settled[MIDDLE[0], 1] == pytest.approx(0.5 * height, abs=0.15 * height)
    untouched = np.delete(settled, [row for row, name in enumerate(TRACKED_NAMES) if "inner" in name], axis=0)
    np.testing.assert_array_equal(
        untouched, np.delete(points, [row for row, name in enumerate(TRACKED_NAMES) if "inner" in name], axis=0)
    )


def test_lips_that_touch_are_laid_on_one_line() -> None:
    picture, points = mouth(0.06, (80, 30, 30))
    points[MIDDLE[1], 1] += 3  # as the network sees them
    settled, apart = settle_lips(picture, points)
    assert not apart
    np.testing.assert_array_equal(settled[MIDDLE[0]], settled[MIDDLE[1]])


def test_lips_that_the_network_sees_far_apart_stay_so() -> None:
    picture, points = mouth(0.0, (0, 0, 0))
    points[MIDDLE[1], 1] += 0.6 * (points[RIMS[1], 1] - points[RIMS[0], 1])
    settled, apart = settle_lips(picture, points)
    assert apart
    np.testing.assert_array_equal(settled, points)


def test_a_grey_picture_of_a_shut_mouth_stays_shut() -> None:
    picture, points = mouth(0.0, (0, 0, 0))
    grey = np.dstack([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)] * 3)
    assert not settle_lips(grey, points)[1]


def test_teeth_are_told_from_dark_lips_in_warm_light() -> None:
    picture, points = mouth(0.5, (235, 230, 220))
    lips, teeth = (np.abs(picture.astype(int) - colour).max(2) < 25 for colour in ((170, 85, 85), (235, 230, 220)))
    picture[:], picture[lips], picture[teeth] = (120, 76, 48), (98, 62, 44), (205, 158, 110)
    assert settle_lips(cv2.GaussianBlur(picture, (0, 0), 1.0), points)[1]


def test_a_gloss_on_the_lower_lip_parts_nothing() -> None:
    picture, points = mouth(0.06, (80, 30, 30))
    x, y = (points[RIMS[1]] * 0.55 + points[RIMS[0]] * 0.45).tolist()
    cv2.ellipse(picture, ((x, y), (26, 4), 0.0), (230, 200, 200), -1)
    assert not settle_lips(picture, points)[1]


def test_a_grey_picture_of_a_smile_is_seen_as_open() -> None:
    picture, points = mouth(0.5, (235, 230, 220))
    grey = np.dstack([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)] * 3)
    assert settle_lips(grey, points)[1]
