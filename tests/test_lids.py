"""Lids that come down: streaks of lashes go, the eye and all else stay."""

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.avatar import load_avatar
from engines.expression import EXPRESSION_INDEX, rest_expression
from engines.face_geometry import FaceGeometry, face_geometry
from engines.lids import smooth_lids
from engines.media import Motion


def blinking(strength: float) -> FaceGeometry:
    expression = rest_expression()
    for side in ("Left", "Right"):
        expression[EXPRESSION_INDEX[f"eyeBlink{side}"]] = strength
    return face_geometry(load_avatar("mira").geometry, Motion(expression))


def streaks() -> NDArray[np.uint8]:
    """Upright lines a pixel wide, on grey."""
    picture = np.full((512, 512, 3), 120, np.uint8)
    picture[:, ::4] = 60
    return picture


def test_streaks_vanish_from_shut_lids_alone() -> None:
    geometry = blinking(1.0)
    picture = streaks()
    smooth_lids(picture, geometry)
    changed = (picture != streaks()).any(2)
    window = np.zeros((512, 512), bool)
    geometry.eyes.cut(window)[:] = True
    assert 600 < changed.sum() < 0.3 * window.sum() and not (changed & ~window).any()
    lid = geometry.eyes.cut(changed)
    inner = lid & np.roll(lid, 6, 1) & np.roll(lid, -6, 1)
    assert geometry.eyes.cut(picture)[inner].std() < 0.3 * geometry.eyes.cut(streaks())[inner].std()


def test_plain_skin_keeps_its_colour() -> None:
    picture = np.full((512, 512, 3), (200, 150, 120), np.uint8)
    smooth_lids(picture, blinking(1.0))
    assert np.abs(picture.astype(int) - (200, 150, 120)).max() <= 1


@pytest.mark.parametrize("strength", [0.0, 0.1])
def test_open_eyes_stay_as_they_are(strength: float) -> None:
    picture = streaks()
    smooth_lids(picture, blinking(strength))
    np.testing.assert_array_equal(picture, streaks())


def test_the_eye_behind_half_shut_lids_stays_as_it_is() -> None:
    geometry = blinking(0.5)
    picture = streaks()
    smooth_lids(picture, geometry)
    eye = geometry.eyes_maps[..., 1] > 0
    np.testing.assert_array_equal(geometry.eyes.cut(picture)[eye], geometry.eyes.cut(streaks())[eye])
    assert (picture != streaks()).any()
