import numpy as np
import pytest

from engines.face_geometry import face_geometry
from engines.media import Motion
from engines.mouth_making import mouth_paint
from engines.mouth_paint import MouthPainter
from tests.photos import parted_photo, photo
from training.studio.sampler import states


def drawn(motion: Motion, opened: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The mouth's window of a picture that was green, and its maps."""
    picture, geometry = parted_photo() if opened else photo()
    face = face_geometry(geometry, motion)
    out = np.zeros_like(picture)
    out[..., 1] = 200
    MouthPainter(mouth_paint(picture, geometry), geometry.mesh).draw(out, face)
    beside = out.copy()
    face.mouth.cut(beside)[:] = (0, 200, 0)
    assert (beside == (0, 200, 0)).all(), "nothing but the window is drawn"
    return face.mouth.cut(out), face.mouth_maps


def test_a_shut_mouth_is_left_alone() -> None:
    assert (drawn(Motion())[0] == (0, 200, 0)).all()


@pytest.mark.parametrize("state", ["A", "E", "I", "O", "F", "L", "happy"])
def test_teeth_are_lighter_than_the_tongue_and_none_is_blue(state: str) -> None:
    out, maps = drawn(states()[state])
    teeth, tongue = (np.asarray(maps[..., channel] > 0) for channel in (1, 2))
    solid = out[..., 1] != 200
    assert solid[teeth].all() and solid[tongue].all()
    front = out[teeth].astype(int)
    light = front[front.sum(1) > np.quantile(front.sum(1), 0.6)]
    assert (light[:, 0] + 3 >= light[:, 2]).all()
    if tongue.sum() > 50:
        assert np.median(front, axis=0).sum() > 1.1 * np.median(out[tongue].astype(int), axis=0).sum()


def test_the_rim_is_soft() -> None:
    out, maps = drawn(states()["A"])
    inside = (maps[..., 1:3] > 0).any(2)
    beside = ~inside & (np.roll(inside, 1, 0) | np.roll(inside, -1, 0))
    green = out[beside][:, 1].astype(int)
    assert ((green > 20) & (green < 195)).mean() > 0.8
