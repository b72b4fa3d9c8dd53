"""Calls over loopback, with a second aiortc peer as the caller."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from aiortc import MediaStreamTrack
from av import AudioFrame

from engines.controls import Controls
from engines.landmarks import Crop
from engines.scene import Scene
from engines.scheduler import Outcome, Turn
from engines.workers import perform_each
from realtime import encoders
from realtime.session import Session
from tests.caller import SDP, Caller, Received, ToneTrack, serve
from tests.fakes import FakeEngine, level_of
from tests.test_offer import BAD, CANDIDATE, call

pytestmark = pytest.mark.usefixtures("no_leaks")


def every_other(period: float) -> ToneTrack:
    return ToneTrack(lambda seconds: int(seconds / period) % 2 == 1)


def levels(pictures: list[Received]) -> list[float]:
    return [level_of(picture.data) for picture in pictures]


def loudness(sounds: list[Received]) -> list[float]:
    return [float(np.abs(sound.data.astype(int)).max()) for sound in sounds]


def lip_errors(caller: Caller) -> Iterator[float]:
    """Seconds by which each onset is seen after it is heard, by the sender reports, from decoded sound and pixels."""
    heard = []
    for before, after in zip(caller.sounds, caller.sounds[1:], strict=False):
        if np.abs(before.data).max() < 3000 <= np.abs(after.data).max():
            first = int(np.argmax(np.abs(after.data) > 3000))
            heard.append(caller.ntp("audio", after.rtp) + first / 48_000)
    for index in range(1, len(caller.pictures) - 1):
        dark, first_bright, bright = levels(caller.pictures[index - 1 : index + 2])
        if dark < 0.1 and first_bright > 0.2 and bright > 0.7:
            # The first bright picture is darker by the part of it that was silent.
            seen = caller.ntp("video", caller.pictures[index].rtp) + 0.04 * (1 - min(1.0, first_bright / bright))
            nearest = min(heard, key=lambda onset: abs(onset - seen))
            if abs(nearest - seen) < 0.25:
                yield seen - nearest


async def some_lip_errors(caller: Caller) -> list[float]:
    async with asyncio.timeout(30):
        while True:
            await asyncio.sleep(0.5)
            if all(caller.reports.values()) and len(errors := list(lip_errors(caller))) >= 5:
                return errors


def stamp_error(errors: list[float]) -> float:
    """What all onsets have in common. A picture that a busy machine makes late comes on top of that, never below."""
    return float(np.percentile(errors, 20))


@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_lips_and_voice_are_stamped_alike(codec: str) -> None:
    async with serve(FakeEngine(), compute_ms=150) as (_, client):
        caller = Caller(client, every_other(0.3), codec)
        await caller.start()
        assert (await caller.event("state", state="live"))["codec"] == codec
        errors = await some_lip_errors(caller)
        assert abs(stamp_error(errors)) < 0.005
        await caller.stop()


async def test_slow_encoding_does_not_move_the_lips(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = encoders.Vp8Encoder.encode

    def slowly(self: encoders.Vp8Encoder, frame: object, keyframe: bool = False) -> list[bytes]:
        time.sleep(0.015)
        return encode(self, frame, keyframe)

    monkeypatch.setattr(encoders.Vp8Encoder, "encode", slowly)
    async with serve(FakeEngine(), compute_ms=150) as (_, client):
        caller = Caller(client, every_other(0.3))
        await caller.start()
        await caller.live()
        errors = await some_lip_errors(caller)
        assert abs(stamp_error(errors)) < 0.005
        await caller.stop()


async def test_pictures_and_sound_keep_their_rates_and_the_delay_is_the_stated_one() -> None:
    async with serve(FakeEngine(cost=0.005)) as (app, client):
        caller = Caller(client, every_other(0.4))
        await caller.start()
        state = await caller.event("state", state="live")
        assert state["delay_ms"] == 134
        await asyncio.sleep(2.5)
        stats = await caller.event("stats")
        assert 5 <= stats["fps"] <= 27
        steps = np.diff([picture.rtp for picture in caller.pictures])
        assert np.all(steps % 3600 == 0) and np.median(steps) == 3600
        steps = np.diff([sound.rtp for sound in caller.sounds])
        assert np.all(steps % 960 == 0) and np.median(steps) == 960
        assert len(caller.pictures) > 30
        await caller.event("speaking", speaking=True)
        await caller.event("speaking", speaking=False)
        assert "visavis_sessions_started_total 1.0" in (await client.get("/metrics")).text
        assert len(app.state.sessions) == 1
        await caller.stop()
        assert len(app.state.sessions) == 0


async def test_a_worker_that_is_too_slow_costs_pictures_and_never_sound() -> None:
    async with serve(FakeEngine(cost=0.06)) as (_, client):
        caller = Caller(client, every_other(0.4))
        await caller.start()
        await caller.live()

        def stutters() -> bool:
            told = [event for event in caller.events if event["type"] == "stats"]
            return len(told) > 1 and told[-1]["late_frames"] > 10 and told[-1]["undrawn"] > 3

        await caller.until(stutters)
        assert "visavis_late_draws_total 0.0" not in (await client.get("/metrics")).text
        await caller.until(lambda: len(caller.arrivals["audio"]) > 90)
        arrivals = np.array(list(caller.arrivals["audio"].values()))
        assert np.median(np.diff(arrivals)) < 0.03
        assert max(loudness(caller.sounds)) > 10_000
        await caller.stop()


async def test_calls_at_the_same_time_are_drawn_in_batches() -> None:
    sizes: list[int] = []

    def perform(turns: Sequence[Turn]) -> list[Outcome]:
        sizes.append(len(turns))
        time.sleep(0.025)  # meanwhile the others come
        return perform_each(turns)

    async with serve(FakeEngine(), perform=perform, buckets=(1, 2, 4)) as (_, client):
        callers = [Caller(client) for _ in range(3)]
        for caller in callers:
            await caller.start()
        await callers[0].until(lambda: min(len(caller.pictures) for caller in callers) > 10)
        assert 1 < max(sizes) <= 3
        text = (await client.get("/metrics")).text
        assert 'visavis_batch_size_bucket{le="4.0"}' in text and "visavis_batch_size_count 0.0" not in text
        for caller in callers:
            await caller.stop()


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
    async with serve(FakeEngine()) as (_, client):
        caller = Caller(client, ToneTrack(lambda seconds: True))
        await caller.start("?avatar=ada")
        await caller.event("state", state="live")
        caller.send(type="avatar", id="ben", scene=True)
        await caller.event("error", code="no_scene")
        monkeypatch.setattr(Scene, "load", lambda pack, most_pixels: photo)
        caller.send(type="avatar", id="ben", scene=True)
        assert await caller.event("avatar") == {"type": "avatar", "id": "ben", "scene": True}
        await caller.until(lambda: any(picture.data.shape == (360, 640) for picture in caller.pictures))
        caller.send(type="avatar", id="ben")
        assert (await caller.event("avatar", scene=False))["id"] == "ben"
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


async def test_a_caller_may_do_without_pictures() -> None:
    async with serve(FakeEngine()) as (_, client):
        caller = Caller(client, ToneTrack(lambda seconds: True), video=False)
        await caller.start()
        await caller.live()
        await caller.until(lambda: len(caller.sounds) > 20 and loudness(caller.sounds[-1:])[0] > 10_000)
        await caller.stop()
