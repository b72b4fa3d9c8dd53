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


def test_a_whole_photo_takes_more_and_gives_it_back() -> None:
    placement = Placement(4, photo=3)
    first, second = placement.reserve(), placement.reserve()
    first.show_photo(True)
    first.show_photo(True)
    assert placement.taken == 4
    with pytest.raises(Full):
        second.show_photo(True)
    assert placement.taken == 4
    first.show_photo(False)
    second.show_photo(True)
    assert placement.taken == 4
    second.release()
    assert placement.taken == 1


def test_a_draining_house_takes_nobody() -> None:
    with pytest.raises(Full):
        Placement(2, draining=True).reserve()
