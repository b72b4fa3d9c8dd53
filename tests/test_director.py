"""Faces that change in the middle of a call, asked for by an aiortc peer over loopback."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.landmarks import Crop
from engines.scene import Scene
from tests.caller import Caller, serve
from tests.fakes import FakeEngine

pytestmark = pytest.mark.usefixtures("no_leaks")

PHOTO = Scene(np.full((360, 640, 3), 90, np.uint8), Crop(300.0, 170.0, 240.0))


async def test_who_is_asked_for_last_is_shown_however_long_the_one_before_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(pack: Path, most_pixels: int) -> Scene:
        time.sleep(0.3)
        return PHOTO

    monkeypatch.setattr(Scene, "load", load)
    engine = FakeEngine()
    async with serve(engine) as (_, client):
        caller = Caller(client)
        await caller.start("?avatar=ben")
        await caller.event("state", state="live")
        caller.send(type="avatar", id="ada", scene=True)
        caller.send(type="avatar", id="ben")
        assert (await caller.event("avatar", id="ada"))["scene"] is True
        assert (await caller.event("avatar", id="ben"))["scene"] is False
        assert [told["id"] for told in caller.events if told["type"] == "avatar"] == ["ada", "ben"]
        assert engine.pipelines[0].avatar.id == "ben" and engine.pipelines[0].scene is None
        await caller.stop()


async def test_a_face_that_cannot_be_read_any_more_does_not_end_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def vanish(self: FakeEngine, avatar: Any) -> None:
        raise FileNotFoundError(2, "No such file or directory", "reel.mp4")

    async with serve(FakeEngine()) as (app, client):
        app.state.sessions.admit(4, photo=4)
        caller = Caller(client)
        await caller.start("?avatar=ada")
        await caller.event("state", state="live")
        monkeypatch.setattr(Scene, "load", lambda pack, most_pixels: PHOTO)
        monkeypatch.setattr(FakeEngine, "prepare", vanish)
        caller.send(type="avatar", id="ben", scene=True)
        assert "ben" in (await caller.event("error", code="unknown_avatar"))["message"]
        assert app.state.sessions.placement.taken == 1, "what it would have taken is given back"
        before = len(caller.pictures)
        await caller.until(lambda: len(caller.pictures) > before + 5)
        await caller.stop()
