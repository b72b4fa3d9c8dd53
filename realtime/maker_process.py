"""People's own avatars are made in a process of its own.

Fitting is Python, which holds the interpreter's lock. Behind pictures, a thread waits for a core while it holds it, and
all calls wait with it: beside a browser on two cores 39 % of the pictures came late while a clip was fitted, and now
under 1 % do. Besides, what a file does to its decoder it does to a process that serves nobody.
"""

import os
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Lock, Thread, Timer
from typing import Any, Final, TypeVar

from engines.avatar import Avatar
from engines.portrait import NoPortrait
from engines.portrait_pack import AvatarMaker, Made
from realtime.priority import work_in_background

IDLE_SECONDS: Final = 60.0
"""After which the process ends and gives its memory back. It takes some seconds to start."""
Result = TypeVar("Result")


class MakerProcess:
    """An `AvatarMaker` that fits in another process, in the background. `create` and `refit` are for one thread at a
    time; close it at the end."""

    most_bytes: int = AvatarMaker.most_bytes
    handles: tuple[str, ...] = AvatarMaker.handles

    def __init__(self, folder: Path, most: int) -> None:
        self._maker, self._begin = AvatarMaker(folder, most), (folder, most)
        self._pool: ProcessPoolExecutor | None = None
        self._process: BaseProcess | None = None
        self._working: Future[Any] = Future()
        self._idle: Timer | None = None
        self._changing = Lock()

    def list(self) -> list[str]:
        """See `AvatarMaker`, as for all that follow."""
        return self._maker.list()

    def load(self, id: str) -> Avatar:
        return self._maker.load(id)

    def points(self, id: str) -> Made:
        return self._maker.points(id)

    def delete(self, id: str) -> None:
        self._maker.delete(id)

    def create(self, data: bytes, name: str) -> Made:
        return self._work(_create, data, name)

    def refit(self, id: str, moved: Mapping[str, tuple[float, float]]) -> Made:
        return self._work(_refit, id, dict(moved))

    def close(self) -> None:
        """End the process. What it has begun is refused, and nothing of it is left."""
        with self._changing:
            pool, self._pool = self._pool, None
            if self._idle is not None:
                self._idle.cancel()
            if self._process is not None and not self._working.done():
                self._process.terminate()
        if pool is not None:
            pool.shutdown()

    def _rest(self) -> None:
        """Close, unless there is something to do again."""
        if self._working.done():
            self.close()

    def _work(self, job: Callable[..., Result], *given: Any) -> Result:
        with self._changing:
            if self._idle is not None:
                self._idle.cancel()
            if self._pool is None:
                self._pool = ProcessPoolExecutor(1, get_context("spawn"), _start, self._begin)
                others = active_children()
                self._working = working = self._pool.submit(_do, job, *given)
                self._process = next(child for child in active_children() if child not in others)
            else:
                self._working = working = self._pool.submit(_do, job, *given)
        try:
            return working.result()
        except SystemExit as error:
            raise NoPortrait("unclear", "The server was stopped in the middle of it.") from error
        except BrokenProcessPool as error:
            self.close()
            raise NoPortrait("unclear", "The file broke what reads it: save it anew.") from error
        finally:
            self._idle = Timer(IDLE_SECONDS, self._rest)
            self._idle.daemon = True
            self._idle.start()


# In the other process

_makers: list[AvatarMaker] = []
_jobs: list[Callable[..., Any]] = []
"""What is being done, if anything is."""


def _start(folder: Path, most: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server says when it is time
    signal.signal(signal.SIGTERM, _stop)
    work_in_background()
    Thread(target=_end_with_server, daemon=True).start()
    _makers.append(AvatarMaker(folder, most))


def _end_with_server() -> None:
    """Whatever ends it: nobody else would tell this process."""
    server = parent_process()
    assert server is not None
    server.join()
    os._exit(1)


def _do(job: Callable[..., Result], *given: Any) -> Result:
    _jobs.append(job)
    try:
        return job(*given)
    finally:
        _jobs.clear()


def _stop(number: int, frame: object) -> None:
    """Whatever is half done is tidied up on the way out of it."""
    if _jobs:
        raise SystemExit
    os._exit(0)


def _create(data: bytes, name: str) -> Made:
    return _makers[0].create(data, name)


def _refit(id: str, moved: Mapping[str, tuple[float, float]]) -> Made:
    return _makers[0].refit(id, moved)
