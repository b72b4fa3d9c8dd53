import time
from itertools import pairwise

import pytest

from engines.cost import BUCKETS, CostCurve

BATCHED = CostCurve(BUCKETS, (0.004, 0.006, 0.010, 0.017, 0.032, 0.063))


def face_by_face(seconds: float) -> CostCurve:
    return CostCurve((1,), (seconds,))


def test_a_batch_costs_what_the_bucket_that_holds_it_does() -> None:
    assert [BATCHED.cost(count) for count in (1, 2, 3, 4, 5, 32)] == [0.004, 0.006, 0.010, 0.010, 0.017, 0.063]


def test_a_lone_picture_waits_for_nobody() -> None:
    assert BATCHED.response(1) == 0.004
    assert face_by_face(0.01).response(1) == 0.01


def test_the_worst_case_is_all_the_others_first() -> None:
    assert face_by_face(0.01).response(4) == pytest.approx(0.04)
    assert face_by_face(0.01).response(4, workers=2) == pytest.approx(0.02)
    assert face_by_face(0.01).response(5, workers=2) == pytest.approx(0.03)
    # Three have just begun when five others come: both go into buckets that they do not fill.
    assert BATCHED.response(8) == pytest.approx(0.010 + 0.017)
    assert BATCHED.response(40) >= 0.063 + BATCHED.cost(8)


def test_capacity_is_where_the_worst_case_still_fits() -> None:
    for curve, workers in ((BATCHED, 1), (face_by_face(0.006), 1), (face_by_face(0.006), 2)):
        capacity = curve.capacity(0.04, workers)
        assert curve.response(capacity, workers) <= 0.8 * 0.04 < curve.response(capacity + 1, workers)
    assert face_by_face(0.006).capacity(0.04, workers=2) == 10


def test_more_time_than_a_frame_lets_no_more_in() -> None:
    assert BATCHED.capacity(0.2) == BATCHED.capacity(0.04) > BATCHED.capacity(0.02)


def test_one_is_always_let_in_and_never_more_than_the_most() -> None:
    assert face_by_face(0.5).capacity(0.04) == 1
    assert face_by_face(0.0).capacity(0.04, most=7) == 7


def test_a_curve_follows_what_batches_take() -> None:
    curve = BATCHED
    for _ in range(60):
        curve = curve.learn(3, 0.02)
    assert curve.cost(4) == pytest.approx(0.02, rel=0.01)
    assert (curve.cost(2), curve.cost(16)) == (0.006, 0.032)
    assert curve.cost(8) == curve.cost(4), "no batch costs less than a smaller one"
    for _ in range(60):
        curve = curve.learn(3, 0.005)
    assert (curve.cost(1), curve.cost(2)) == (0.004, curve.cost(4)) and curve.cost(4) == pytest.approx(0.005, rel=0.01)


def test_measuring_asks_for_every_bucket() -> None:
    asked: list[int] = []
    curve = CostCurve.measure(asked.append, (1, 4), repeats=3)
    assert asked == [1] * 4 + [4] * 4 and curve.buckets == (1, 4)
    assert all(0 <= seconds < 1 for seconds in curve.seconds)


def test_measuring_what_is_slow_ends_soon() -> None:
    asked: list[int] = []

    def draw(count: int) -> None:
        asked.append(count)
        time.sleep(0.6)

    assert CostCurve.measure(draw, (1,), repeats=50).cost(1) >= 0.6 and len(asked) == 3


@pytest.mark.parametrize(("buckets", "seconds"), [((), ()), ((2, 1), (0.1, 0.1)), ((0,), (0.1,)), ((1, 2), (0.1,))])
def test_senseless_curves_are_refused(buckets: tuple[int, ...], seconds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"buckets|costs"):
        CostCurve(buckets, seconds)


def test_response_grows_with_the_house() -> None:
    responses = [BATCHED.response(count) for count in range(1, 100)]
    assert all(before <= after for before, after in pairwise(responses))
