"""How calls end, and what stays of the others."""

import pytest

from realtime.session import Session
from tests.caller import SDP, Caller, serve
from tests.fakes import FakeEngine
from tests.test_offer import CANDIDATE, call

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_a_page_that_leaves_is_forgotten_at_once() -> None:
    async with serve(FakeEngine()) as (app, client):
        caller = Caller(client)
        await caller.start()
        await caller.live()
        await caller.vanish()
        await caller.until(lambda: len(app.state.sessions) == 0, timeout=2)
        assert 'reason="disconnected"' in (await client.get("/metrics")).text


async def test_a_line_that_is_cut_is_noticed() -> None:
    async with serve(FakeEngine(), silence_seconds=1.0) as (app, client):
        caller = Caller(client)
        await caller.start()
        await caller.live()
        transport = caller.connection.getSenders()[0].transport.transport

        async def nowhere(data: bytes) -> None:
            pass

        transport._send = transport._connection.send = nowhere
        await caller.until(lambda: len(app.state.sessions) == 0, timeout=5)
        assert 'reason="nothing arrives"' in (await client.get("/metrics")).text
        await caller.vanish()


async def test_no_call_lasts_forever() -> None:
    async with serve(FakeEngine(), max_age_seconds=0.5) as (app, client):
        caller = Caller(client)
        await caller.start()
        closed = await caller.event("state", state="closed", timeout=5)
        assert closed["reason"] == "maximum age"
        await caller.until(lambda: len(app.state.sessions) == 0)
        await caller.vanish()


async def test_a_house_that_closes_says_goodbye() -> None:
    async with serve(FakeEngine()) as (app, client):
        caller = Caller(client)
        await caller.start()
        await caller.live()
        await app.state.sessions.close()
        assert (await caller.event("state", state="closed"))["reason"] == "server stopped"
        refused = await client.post("/v1/sessions", content=call(CANDIDATE), headers=SDP)
        assert (refused.status_code, refused.json()["error"]) == (503, "draining")
        await caller.vanish()


async def test_a_face_that_breaks_ends_its_own_call_only() -> None:
    engine = FakeEngine()
    async with serve(engine) as (app, client):
        broken, whole = Caller(client), Caller(client)
        await broken.start()
        await whole.start()
        await broken.live()
        await whole.live()

        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("a network broke")

        engine.pipelines[0].hear = fail  # type: ignore[method-assign]
        assert (await broken.event("state", state="closed"))["reason"] == "internal error"
        await whole.until(lambda: len(app.state.sessions) == 1 and len(whole.pictures) > 5)
        await broken.vanish()
        await whole.stop()


async def test_a_page_that_lost_its_call_may_start_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(FakeEngine(), max_sessions=1) as (_, client):
        lost, again = Caller(client), Caller(client)
        await lost.start("?client=page-one-1")
        await lost.live()
        with monkeypatch.context() as patch:
            patch.setattr(Session, "quiet_seconds", property(lambda session: 5.0))
            assert (await again.start("?client=page-one-1")).status_code == 201
        assert (await lost.event("state", state="closed"))["reason"] == "replaced"
        await again.live()
