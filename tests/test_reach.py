import numpy as np
import pytest

from engines.eyes import DEGREE
from engines.idle import DRIFT_RANGE
from engines.media import HeadPose, Motion
from engines.reach import MOST_IN_ALL, PHOTO, RENDERED, Reach

BOTH = pytest.mark.parametrize("reach", [RENDERED, PHOTO], ids=["rendered", "photo"])


def shown(reach: Reach, pose: np.ndarray) -> np.ndarray:
    return reach.bring_within(Motion(pose=HeadPose.from_vector(pose))).pose.vector()


@BOTH
@pytest.mark.parametrize("axis", range(6))
def test_a_head_goes_farther_the_farther_it_is_asked_to_and_never_beyond_its_reach(reach: Reach, axis: int) -> None:
    asked = np.linspace(-1.0, 1.0, 81)
    poses = asked[:, None] * (np.arange(6) == axis)
    went = np.array([shown(reach, pose) for pose in poses])
    assert not np.delete(went, axis, axis=1).any(), "the other axes stay"
    assert (np.diff(went[:, axis]) >= 0).all() and (np.abs(went[:, axis]) <= reach.most[axis]).all()
    assert (np.diff(went[20:61, axis]) > 0).all(), "up to half a radian or decimetre"
    np.testing.assert_allclose(went[:, axis], -went[::-1, axis])
    np.testing.assert_array_equal(
        went[:, axis][np.abs(asked) <= reach.free[axis]], asked[np.abs(asked) <= reach.free[axis]]
    )


@BOTH
def test_turned_about_all_axes_at_once_a_head_goes_no_farther(reach: Reach) -> None:
    went = shown(reach, np.array([0.6, -0.6, 0.6, 0.0, 0.0, 0.0]))
    assert np.linalg.norm((went / reach.most)[:3]) == pytest.approx(MOST_IN_ALL)
    assert went[0] > 0 > went[1]


def test_twenty_degrees_are_twenty_degrees() -> None:
    for pose in np.concatenate([np.diag([20 * DEGREE] * 3 + [0.1, -0.08, 0.5]), [[-0.3, 0.35, 0.3, 0, 0, 0]]]):
        np.testing.assert_array_equal(shown(RENDERED, pose), pose)


def test_a_photo_in_an_ordinary_call_is_as_lively_as_ever() -> None:
    pose = np.array([0.04, 0.05, 0.3, *DRIFT_RANGE[3:6]])
    np.testing.assert_allclose(shown(PHOTO, pose), pose, rtol=0.03)
