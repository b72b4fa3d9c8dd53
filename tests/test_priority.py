import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from realtime.priority import make_pictures, work_in_background

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux alone")


def own() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def priority_in(prepare: Callable[[], None]) -> int:
    with ThreadPoolExecutor(1, initializer=prepare) as executor:
        return executor.submit(own).result()


def test_threads_stand_back_one_by_one() -> None:
    assert own() <= priority_in(make_pictures) <= priority_in(work_in_background) >= 10


@pytest.mark.parametrize("stand_back", [make_pictures, work_in_background])
def test_nobody_pushes_forward(stand_back: Callable[[], None]) -> None:
    """Of a server that was started by `nice`: that may be forbidden, and nobody asked for it."""

    def prepare() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)
        stand_back()

    assert priority_in(prepare) == 15
