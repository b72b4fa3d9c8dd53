import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.pictures import BadPicture
from engines.portrait import NoPortrait
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
