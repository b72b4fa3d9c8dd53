import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from realtime.priority import make_pictures, work_in_background


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux alone")
def test_threads_stand_back_one_by_one() -> None:
    def own() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def priority_in(prepare: Callable[[], None]) -> int:
        with ThreadPoolExecutor(1, initializer=prepare) as executor:
            return executor.submit(own).result()

    assert own() <= priority_in(make_pictures) < priority_in(work_in_background)
