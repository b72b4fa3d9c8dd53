"""Calls over loopback, with a second aiortc peer as the caller."""

import asyncio
import json
import time

import numpy as np
import pytest
from aiortc import MediaStreamTrack
from av import AudioFrame

from engines.controls import Controls
from engines.landmarks import Crop
from engines.scene import Scene
from tests.caller import Caller, ToneTrack, every_other, levels, loudness, serve
from tests.fakes import FakeEngine, level_of
from tests.test_offer import BAD, CANDIDATE, call

pytestmark = pytest.mark.usefixtures("no_leaks")


class MutedTrack(MediaStreamTrack):
    """A microphone that sends nothing at all."""

    kind = "audio"

    async def recv(self) -> AudioFrame:
        await asyncio.sleep(3600)
        raise AssertionError


async def test_a_face_without_a_microphone_lives_in_silence() -> None:
    async with serve(FakeEngine()) as (_, client):
        caller = Caller(client, MutedTrack())
        await caller.start()
        await caller.until(lambda: len(caller.pictures) > 20 and len(caller.sounds) > 20)
        assert max(levels(caller.pictures)) < 0.1
        assert max(loudness(caller.sounds)) < 50
        await caller.stop()


async def test_a_pipeline_that_opens_slowly_is_waited_for() -> None:
    async with serve(FakeEngine(opening=1.5), connect_seconds=0.8) as (_, client):
        caller = Caller(client)
        await caller.start()
        await caller.live()
        await caller.until(lambda: len(caller.pictures) > 5)
        await caller.stop()


async def test_an_interruption_is_silence_within_a_packet_and_then_the_call_goes_on() -> None:
    async with serve(FakeEngine()) as (_, client):
        caller = Caller(client, ToneTrack(lambda seconds: True))
        await caller.start()
        await caller.live()
        await caller.until(lambda: len(caller.pictures) > 15 and level_of(caller.pictures[-1].data) > 0.8)
        asked = time.monotonic()
        caller.send(type="interrupt")
        interrupted = await caller.event("interrupted")
        told = time.monotonic() - asked
        await asyncio.sleep(0.8)
        assert interrupted["epoch"] == 1 and 0.3 < interrupted["position"] < 5
        quiet = [sound for sound in caller.sounds if np.abs(sound.data).max() < 100]
        silent_at = [caller.arrivals["audio"][sound.rtp] for sound in quiet]
        first = min(at for at in silent_at if at > asked)
        assert first - asked < 0.1 and told < 0.1
        assert any(level < 0.1 for level in levels(caller.pictures)[16:])
        assert loudness(caller.sounds[-1:])[0] > 10_000
        assert level_of(caller.pictures[-1].data) > 0.8
        await caller.stop()


async def test_the_photo_around_an_avatar_can_be_seen_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = Scene(np.full((360, 640, 3), 90, np.uint8), Crop(300.0, 170.0, 240.0))
    async with serve(FakeEngine()) as (app, client):
        app.state.sessions.admit(4, photo=4)
        placement = app.state.sessions.placement
        caller = Caller(client, ToneTrack(lambda seconds: True))
        await caller.start("?avatar=ada")
        await caller.event("state", state="live")
        caller.send(type="avatar", id="ben", scene=True)
        await caller.event("error", code="no_scene")
        monkeypatch.setattr(Scene, "load", lambda pack, most_pixels: photo)
        other = placement.reserve()
        caller.send(type="avatar", id="ben", scene=True)
        await caller.event("error", code="full")
        other.release()
        caller.send(type="avatar", id="ben", scene=True)
        assert await caller.event("avatar") == {"type": "avatar", "id": "ben", "scene": True}
        await caller.until(lambda: any(picture.data.shape == (360, 640) for picture in caller.pictures))
        assert placement.taken == 4
        caller.send(type="avatar", id="ben")
        assert (await caller.event("avatar", scene=False))["id"] == "ben"
        assert placement.taken == 1
        await caller.until(lambda: caller.pictures[-1].data.shape == (512, 512))
        await caller.stop()


async def test_the_page_is_answered() -> None:
    engine = FakeEngine()
    async with serve(engine) as (_, client):
        caller = Caller(client, ToneTrack(lambda seconds: True))
        await caller.start("?avatar=ben")
        assert (await caller.event("state", state="live"))["avatar"] == "ben"
        caller.send(type="ping", t=4.5)
        assert (await caller.event("pong"))["t"] == 4.5
        caller.send(type="set", alpha=0.25, pose={"yaw": 0.2})
        pose = {"pitch": 0, "yaw": 0.2, "roll": 0, "x": 0, "y": 0, "z": 0}
        assert await caller.event("set") == {"type": "set", "alpha": 0.25, "pose": pose}
        assert engine.pipelines[0].controls.alpha == 0.25
        caller.send(type="avatar", id="ada")
        assert (await caller.event("avatar"))["id"] == "ada"
        assert engine.pipelines[0].avatar.id == "ada" and engine.prepared[2:] == ["ada"]
        caller.send(type="avatar", id="eve")
        assert "ada, ben" in (await caller.event("error", code="unknown_avatar"))["message"]
        caller.channel.send("{")
        await caller.event("error", code="bad_message")
        caller.send(type="subscribe", expression=True)
        told = await caller.event("expression")
        await caller.until(lambda: any(picture.rtp == told["rtp"] for picture in caller.pictures))
        spoken = [event for event in caller.events if event["type"] == "expression" and event["values"]]
        assert not spoken or 0.0 < spoken[-1]["values"]["jawOpen"] < 0.2  # a quarter of the tone's level
        await caller.stop()


async def test_the_face_is_directed_over_http_too_and_the_page_is_told() -> None:
    engine = FakeEngine()
    async with serve(engine) as (_, client):
        caller = Caller(client, ToneTrack(lambda seconds: True))
        await caller.start()
        await caller.live()
        controls = caller.location + "/controls"
        caller.send(type="set", alpha=0.5)
        await caller.event("set", alpha=0.5)
        answer = await client.patch(controls, json={"emotion": {"happy": 0.6}, "blink": 0.2})
        assert (
            answer.status_code == 200 and answer.json()["alpha"] == 0.5 and answer.json()["emotion"] == {"happy": 0.6}
        )
        await caller.event("set", emotion={"happy": 0.6}, blink=0.2)
        assert engine.pipelines[0].controls == Controls(alpha=0.5, blink=0.2, emotion={"happy": 0.6})
        for body, advice in (('{"alpha": 9}', "choose 0 to 1.5"), ("[]", "JSON object"), ("{", "not JSON")):
            refused = await client.patch(controls, content=body, headers={"Content-Type": "application/json"})
            assert (refused.status_code, refused.json()["error"]) == (400, "bad_message")
            assert advice in refused.json()["message"]
        assert (await client.get(controls)).json() == answer.json()
        await caller.stop()


async def test_a_tracker_drives_the_face_over_the_data_channel_until_it_stops() -> None:
    engine = FakeEngine()
    async with serve(engine) as (_, client):
        caller = Caller(client, ToneTrack(lambda seconds: True))
        await caller.start()
        await caller.live()
        caller.send(type="subscribe", expression=True)
        drive = caller.connection.createDataChannel("drive", ordered=False, maxRetransmits=0)
        await caller.until(lambda: drive.readyState == "open")
        begun = time.monotonic()
        for frame in range(45):
            await asyncio.sleep(max(0.0, begun + frame / 30 - time.monotonic()))
            elapsed = time.monotonic() - begun
            values, pose = {"browInnerUp": 0.5, "jawOpen": 1.0}, {"yaw": min(0.4, 0.25 * elapsed)}
            drive.send(json.dumps({"type": "drive", "t": 1000 * elapsed, "values": values, "pose": pose}))
            if frame == 20:  # what cannot be followed is told and disturbs nothing
                caller.send(type="drive", values={"browUp": 0.5})
        assert "browUp" in (await caller.event("error"))["message"]
        await caller.event("drive", driving=True)
        await caller.event("drive", driving=False)
        await asyncio.sleep(0.5)
        told = {event["media_time"]: event["pose"]["yaw"] for event in caller.events if event["type"] == "expression"}
        times, yaws = np.array(list(told)) / 48_000, np.array(list(told.values()))
        rising = (yaws > 0.02) & (yaws < 0.3)
        assert rising.sum() > 8
        # Steady motion at 30 a second is steady at 25 too: no picture shows a frame of the tracker too early or late.
        slope, start = np.polyfit(times[rising], yaws[rising], 1)
        assert slope == pytest.approx(0.25, rel=0.05)
        assert np.median(np.abs(yaws - slope * times - start)[rising]) < 0.005
        assert yaws[-1] == 0.0, "the fake has no idle motion"
        await caller.stop()


async def test_a_caller_without_pictures_may_have_the_expression_of_every_frame() -> None:
    engine = FakeEngine()
    async with serve(engine) as (_, client):
        caller = Caller(client, ToneTrack(lambda seconds: True), video=False)
        await caller.start()
        await caller.live()
        caller.send(type="subscribe", expression=True)
        await caller.until(lambda: sum(event["type"] == "expression" for event in caller.events) > 20)
        told = [event for event in caller.events if event["type"] == "expression"]
        assert set(np.diff([event["media_time"] for event in told])) == {1920}
        assert told[-1]["rtp"] is None and told[-1]["values"]["jawOpen"] > 0.3
        assert engine.pipelines[0].drawn == 0
        await caller.stop()


async def test_a_second_data_channel_is_refused() -> None:
    async with serve(FakeEngine()) as (_, client):
        caller = Caller(client)
        await caller.start()
        await caller.live()
        told: list[str] = []
        second = caller.connection.createDataChannel("control")
        second.on("message", told.append)
        await caller.until(lambda: bool(told))
        assert "second_channel" in told[0]
        await caller.stop()


async def test_bad_input_disturbs_nobody() -> None:
    async with serve(FakeEngine(cost=0.005)) as (app, client):
        caller = Caller(client, every_other(0.3))
        await caller.start("?client=page-one-1")
        await caller.live()
        await caller.until(lambda: len(caller.pictures) > 10)
        before = len(caller.pictures)
        bodies = [*BAD.values(), call() + b"a=x\r\n" * 60_000, call(*[CANDIDATE] * 5000)]
        attempts = [("", body, "application/sdp") for body in bodies]
        attempts += [("", call(), "text/plain"), ("?avatar=eve", call(), "application/sdp")]
        attempts += [("", call().replace(b"opus", b"none"), "application/sdp")]
        attempts += [("?client=page-one-1", call(), "application/sdp")]
        slowest = 0.0
        for query, body, kind in attempts:
            begun = time.thread_time()  # of the event loop, the live call included; a busy machine does not count
            response = await client.post("/v1/sessions" + query, content=body, headers={"Content-Type": kind})
            slowest = max(slowest, time.thread_time() - begun)
            assert 400 <= response.status_code < 500 and len(response.json()["message"]) > 20
            for message in ("{", '{"type": "start"}', '{"type": "set", "alpha": 99}', "x" * 5000):
                caller.channel.send(message)
            await asyncio.sleep(0.04)
        assert slowest < 0.1
        await caller.until(lambda: len(caller.pictures) > before + 20)
        steps = np.diff([picture.rtp for picture in caller.pictures[before:]]) // 3600
        assert np.mean(steps > 1) < 0.2  # none on a calm machine
        assert app.state.sessions.resources.monitor.worst < 0.5
        await caller.stop()


async def test_an_interruption_before_the_call_is_live_is_remembered() -> None:
    async with serve(FakeEngine(opening=0.5)) as (_, client):
        caller = Caller(client, ToneTrack(lambda seconds: True))
        await caller.start()
        await caller.event("state", state="connecting")
        caller.send(type="interrupt")
        caller.send(type="set", alpha=1.2)
        await caller.event("interrupted", position=0.0)
        await caller.event("error", code="not_live")
        await caller.live()
        await caller.until(lambda: len(caller.pictures) > 10 and level_of(caller.pictures[-1].data) > 0.8)
        await caller.stop()


async def test_a_caller_may_do_without_pictures() -> None:
    async with serve(FakeEngine()) as (_, client):
        caller = Caller(client, ToneTrack(lambda seconds: True), video=False)
        await caller.start()
        await caller.live()
        await caller.until(lambda: len(caller.sounds) > 20 and loudness(caller.sounds[-1:])[0] > 10_000)
        await caller.stop()
