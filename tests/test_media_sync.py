"""Pictures beside the sound of a call: media times, rates, and who waits for whom."""

import asyncio
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from engines.scheduler import Outcome, Turn
from engines.workers import perform_each
from realtime import encoders
from tests.caller import Caller, every_other, levels, loudness, serve
from tests.fakes import FakeEngine

pytestmark = pytest.mark.usefixtures("no_leaks")


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
