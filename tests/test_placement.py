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
    first.make_room(clip=False, photo=True)
    first.make_room(clip=False, photo=False)
    assert placement.taken == 4
    with pytest.raises(Full):
        second.make_room(clip=False, photo=True)
    assert placement.taken == 4
    first.settle(clip=False, photo=False)
    second.make_room(clip=False, photo=True)
    assert placement.taken == 4
    second.release()
    assert placement.taken == 1


def test_a_clip_takes_what_it_costs_and_its_whole_scene_comes_on_top() -> None:
    placement = Placement(5, photo=3, clip=2)
    moving = placement.reserve(clip=True)
    assert placement.taken == 2
    moving.make_room(clip=True, photo=True)
    assert placement.taken == 4
    with pytest.raises(Full):
        placement.reserve(clip=True)
    placement.reserve()


def test_a_machine_for_one_call_shows_whatever_is_asked_for() -> None:
    placement = Placement(1, photo=3, clip=2)
    placement.reserve(clip=True).make_room(clip=True, photo=True)
    assert placement.taken == 1


def test_a_draining_house_takes_nobody() -> None:
    with pytest.raises(Full):
        Placement(2, draining=True).reserve()
