import numpy as np
import pytest

from engines.eye_making import eye_paint
from engines.eye_paint import EyePainter
from engines.face_geometry import FaceGeometry, face_geometry
from engines.media import Motion
from engines.warp import warp
from tests.photos import photo
from training.studio.sampler import lips_of, motion

LUMA = np.array([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def painter() -> EyePainter:
    picture, geometry = photo()
    return EyePainter(eye_paint(picture, geometry), geometry)


def drawn(painter: EyePainter, motion: Motion) -> tuple[np.ndarray, np.ndarray, FaceGeometry]:
    """The eyes' window of a grey picture in which the eyes were drawn, the same of the warp, and the geometry."""
    picture, geometry = photo()
    face = face_geometry(geometry, motion)
    warped = warp(geometry.atlas(picture), face)
    out = np.full_like(warped, 128)
    painter.draw(out, warped, face)
    outside = out.copy()
    face.eyes.cut(outside)[:] = 128
    assert (outside == 128).all(), "nothing but the window is drawn"
    return face.eyes.cut(out)[8:-8, 8:-8], face.eyes.cut(warped)[8:-8, 8:-8], face


def test_eyes_at_rest_are_the_photos(painter: EyePainter) -> None:
    out, warped, face = drawn(painter, Motion())
    rim = face.eyes_maps[8:-8, 8:-8, 1]
    calm = np.abs(np.diff(rim, axis=0, prepend=rim[:1])) + np.abs(np.diff(rim, axis=1, prepend=rim[:, :1])) == 0
    assert np.abs(out.astype(int) - warped)[calm].mean() < 0.5


def test_eyes_look_where_they_are_told(painter: EyePainter) -> None:
    def middle_of_dark(yaw: float) -> float:
        out, _, face = drawn(painter, motion(lips_of("neutral"), gaze=(0.0, yaw)))
        dark = (out @ LUMA < 70) & (face.eyes_maps[8:-8, 8:-8, 1] > 0)
        return float(np.nonzero(dark)[1].mean())

    assert middle_of_dark(0.22) - middle_of_dark(-0.22) > 4, "to the model's left is to the picture's right"


def test_looking_down_shows_one_iris_and_no_skin_on_the_eye(painter: EyePainter) -> None:
    out, _, face = drawn(painter, motion(lips_of("neutral"), gaze=(0.26, 0.0)))
    eye = face.eyes_maps[8:-8, 8:-8, 1] > 0
    red = out[..., 0].astype(int) - out[..., 2]
    beside = red[~eye].mean()
    assert np.quantile(red[eye], 0.9) < beside, "skin is redder than anything on an eye"


def test_shut_eyes_show_neither_iris_nor_white(painter: EyePainter) -> None:
    out, warped, _ = drawn(painter, motion(lips_of("neutral"), blink=(1.0, 1.0)))
    light = out @ LUMA
    assert (light < 45).sum() < 0.5 * (drawn(painter, Motion())[0] @ LUMA < 45).sum()
    streaks = np.abs(np.diff(light, axis=1)).mean()
    assert streaks < np.abs(np.diff(warped @ LUMA, axis=1)).mean(), "lashes are not stretched over the lids"
