"""What the steps of a tick share."""

import threading

import pytest

from engines.gpu_steps import Full, Slots


def test_slots_are_taken_once() -> None:
    slots = Slots(2)
    assert [slots.take(), slots.take()] == [0, 1]
    slots.give_back(0)
    assert slots.take() == 0
    with pytest.raises(Full):
        slots.take()
    slots.give_back(1)
    with pytest.raises(KeyError):
        slots.give_back(1)


def test_threads_never_get_the_same_slot() -> None:
    slots = Slots(400)
    taken: list[int] = []

    def take() -> None:
        for _ in range(100):
            taken.append(slots.take())

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(400))
