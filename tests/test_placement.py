import pytest

from realtime.placement import Full, Placement


def test_places_run_out_and_come_back() -> None:
    placement = Placement(2, retry_after=7)
    first, _second = placement.reserve(), placement.reserve()
    with pytest.raises(Full) as caught:
        placement.reserve()
    assert caught.value.retry_after == 7
    first.release()
    first.release()
    assert placement.taken == 1
    placement.reserve()


def test_a_draining_house_takes_nobody() -> None:
    with pytest.raises(Full):
        Placement(2, draining=True).reserve()
