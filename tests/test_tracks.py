import asyncio

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from engines.media import FRAME_SIZE, Motion, VideoFrame
from realtime.tracks import FaceTrack, Sound, VoiceTrack
from tests.test_clock import VirtualTime, virtual_clock

DELAY = 6480


def sound(index: int, epoch: int = 0, value: int = 1000) -> Sound:
    return Sound(np.full(960, value, np.int16), index * 960, epoch)


def picture(index: int, epoch: int = 0) -> VideoFrame:
    planes = np.full((FRAME_SIZE * 3 // 2, FRAME_SIZE), 16 + index, np.uint8)
    return VideoFrame(planes, index * 1920, epoch, Motion())


async def test_sound_leaves_at_its_time_without_a_gap() -> None:
    virtual, track = VirtualTime(lateness=0.002), VoiceTrack()
    track.start(virtual_clock(virtual, DELAY))
    for index in range(100):
        track.push(sound(index))
    for index in range(100):
        frame = await track.recv()
        assert frame.pts == index * 960 and frame.sample_rate == 48000 and frame.samples == 960
        assert virtual.value - (frame.pts + DELAY) / 48000 == pytest.approx(0.002, abs=1e-6)
    assert track.played == 96_000


async def test_sound_that_never_came_is_silence() -> None:
    track = VoiceTrack()
    track.start(virtual_clock(VirtualTime()))
    track.push(sound(0))
    track.push(sound(2))
    levels = [int((await track.recv()).to_ndarray().max()) for _ in range(3)]
    assert levels == [1000, 0, 1000]


async def test_pictures_leave_with_their_sound() -> None:
    told: list[int] = []
    virtual, track = VirtualTime(), FaceTrack(lambda frame, at: told.append(at - frame.media_time))
    track.start(virtual_clock(virtual, DELAY))
    for index in range(25):
        track.push(picture(index))
    for index in range(25):
        frame = await track.recv()
        assert frame.pts == index * 3600
        assert virtual.value == pytest.approx((index * 1920 + DELAY) / 48000)
        assert frame.to_ndarray()[0, 0] == 16 + index
    assert told == [0] * 25


async def test_a_late_picture_is_dropped_and_the_last_repeated() -> None:
    told: list[int] = []
    track = FaceTrack(lambda frame, at: told.append(at - frame.media_time))
    track.start(virtual_clock(VirtualTime()))
    track.push(picture(0))
    await track.recv()
    repeated = await track.recv()
    track.push(picture(1))
    track.push(picture(2))
    newest = await track.recv()
    assert (repeated.pts, repeated.to_ndarray()[0, 0]) == (3600, 16)
    assert (newest.pts, newest.to_ndarray()[0, 0]) == (7200, 18)
    assert told == [0, 1920, 0]


async def test_pictures_from_before_the_start_are_not_shown() -> None:
    track = FaceTrack()
    track.start(virtual_clock(VirtualTime()))
    track.push(picture(-1))
    track.push(picture(0))
    assert (await track.recv()).to_ndarray()[0, 0] == 16


async def test_after_a_stall_both_tracks_skip_ahead_together() -> None:
    virtual, voice, face = VirtualTime(), VoiceTrack(), FaceTrack()
    clock = virtual_clock(virtual)
    voice.start(clock)
    face.start(clock)
    for index in range(60):
        voice.push(sound(index))
        if index % 2 == 0:
            face.push(picture(index // 2))
    virtual.value = 1.0
    heard, seen = await voice.recv(), await face.recv()
    assert heard.pts == 48_000
    assert seen.pts == 90_000 and seen.to_ndarray()[0, 0] == 16 + 25


async def test_an_interruption_is_silence_from_the_next_packet() -> None:
    track = VoiceTrack()
    track.start(virtual_clock(VirtualTime()))
    for index in range(4):
        track.push(sound(index))
    await track.recv()
    assert track.interrupt(1) == 960
    track.push(sound(4, epoch=0))
    track.push(sound(5, epoch=1))
    levels = [int((await track.recv()).to_ndarray().max()) for _ in range(5)]
    assert levels == [0, 0, 0, 0, 1000]
    assert track.played == 960


async def test_pictures_of_an_older_epoch_are_dropped() -> None:
    track = FaceTrack()
    track.start(virtual_clock(VirtualTime()))
    for index in range(3):
        track.push(picture(index))
    await track.recv()
    track.interrupt(1)
    track.push(picture(1, epoch=0))
    track.push(picture(2, epoch=1))
    shown = [(await track.recv()).to_ndarray()[0, 0] for _ in range(2)]
    assert shown == [16, 18]


async def test_a_track_that_never_started_can_be_stopped() -> None:
    track = VoiceTrack()
    waiting = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    track.stop()
    with pytest.raises(MediaStreamError):
        await waiting
    with pytest.raises(MediaStreamError):
        await track.recv()


async def test_release_is_told_with_the_sound_that_left() -> None:
    told: list[Sound] = []
    track = VoiceTrack(told.append)
    track.start(virtual_clock(VirtualTime()))
    track.push(sound(0))
    await track.recv()
    await track.recv()
    assert [int(each.pcm.max()) for each in told] == [1000, 0]
