import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engines.pictures import BadPicture
from engines.portrait import NoPortrait
from engines.portrait_pack import AvatarMaker
from realtime.maker_process import MakerProcess


@pytest.fixture
def maker(tmp_path: Path) -> Iterator[MakerProcess]:
    maker = MakerProcess(tmp_path, 5)
    yield maker
    maker.close()


def test_it_works_in_the_background_and_its_refusals_come_back(maker: MakerProcess) -> None:
    with pytest.raises(BadPicture, match="JPEG, PNG or WebP") as refused:
        maker.create(b"nonsense", "nobody")
    assert refused.value.code == "not_a_picture"
    with pytest.raises(KeyError):
        maker.refit("nobody", {"chin": (0.5, 0.5)})
    process = maker._work(os.getpid)
    assert process != os.getpid() and maker._work(os.nice, 0) >= max(10, os.nice(0))
    assert maker.list() == []


def test_a_process_that_dies_refuses_and_another_takes_its_place(maker: MakerProcess) -> None:
    process = maker._work(os.getpid)
    with pytest.raises(NoPortrait) as refused:
        maker._work(os.kill, process, signal.SIGKILL)
    assert refused.value.code == "unclear" and str(refused.value).startswith("The file")
    assert maker._work(os.getpid) != process


def test_a_closed_one_begins_anew(maker: MakerProcess) -> None:
    process = maker._work(os.getpid)
    assert maker._work(os.getpid) == process
    maker.close()
    assert maker._work(os.getpid) != process


def _dawdle(folder: Path) -> None:
    with AvatarMaker(folder)._new("half") as (pack, _):
        (pack / "photo.jpg").write_bytes(b"somebody")
        time.sleep(60)


def test_closing_waits_for_nothing_and_leaves_nothing(maker: MakerProcess, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as thread:
        refused = thread.submit(maker._work, _dawdle, tmp_path)
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob(".half-*/photo.jpg")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        begun = time.monotonic()
        maker.close()
        assert time.monotonic() - begun < 10
        with pytest.raises(NoPortrait, match="stopped in the middle"):
            refused.result(timeout=10)
    assert list(tmp_path.iterdir()) == []
    assert maker._work(os.getpid) > 0, "and another may begin"


def test_it_ends_with_the_server_even_if_that_is_killed(tmp_path: Path) -> None:
    server = f"""
import os
from pathlib import Path
from realtime.maker_process import MakerProcess
print(MakerProcess(Path({str(tmp_path)!r}), 5)._work(os.getpid), flush=True)
os.kill(os.getpid(), 9)
"""
    told = subprocess.run([sys.executable, "-c", server], capture_output=True, text=True, timeout=60)
    assert int(told.stdout) > 0, "and what it printed to is closed, for nobody is left who could print"
