import asyncio
import gc
import weakref

import psutil
import pytest

from realtime import sessions as module
from realtime.session import Session
from tests.caller import SDP, Caller, serve
from tests.fakes import FakeEngine
from tests.test_offer import CANDIDATE, call

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_twenty_calls_leave_nothing_behind() -> None:
    sessions: weakref.WeakSet[Session] = weakref.WeakSet()
    async with serve(FakeEngine(), connect_seconds=0.5) as (app, client):
        settled: tuple[int, int] | None = None
        for number in range(20):
            caller = Caller(client)
            await caller.start()
            sessions.update(app.state.sessions._by_secret.values())
            if number % 4:
                await caller.live()
            await (caller.stop() if number % 2 else caller.vanish())
            await caller.until(lambda: len(app.state.sessions) == 0)
            if number == 3:
                gc.collect()
                settled = (psutil.Process().num_fds(), len(asyncio.all_tasks()))
        del caller
        for _ in range(20):
            gc.collect()
            await asyncio.sleep(0.05)
        assert settled is not None
        assert psutil.Process().num_fds() <= settled[0]
        assert len(asyncio.all_tasks()) <= settled[1]
        assert len(sessions) == 0
        text = (await client.get("/metrics")).text
        assert "visavis_sessions 0.0" in text


async def test_a_page_that_calls_twice_at_once_has_one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(FakeEngine()) as (app, client):

        async def start() -> int:
            url = "/v1/sessions?client=one-page-1"
            return (await client.post(url, content=call(CANDIDATE), headers=SDP)).status_code

        assert await start() == 201
        monkeypatch.setattr(module, "_LOST", -1.0)  # as if it had been quiet for long
        assert sorted(await asyncio.gather(start(), start(), start())) == [201, 409, 409]
        assert len(app.state.sessions) == 1
