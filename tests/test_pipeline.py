from collections.abc import Iterator

import numpy as np
import pytest

from engines.avatar import list_avatars, load_avatar
from engines.drive import UNDRIVEN, Drive
from engines.expression import EXPRESSION_INDEX
from engines.media import FRAME_TICKS, MEDIA_RATE, SPEECH_RATE, AudioChunk, HeadPose, VideoFrame
from engines.openvino_backend import OpenVinoBackend
from engines.pipeline import Engine, Pipeline

CHUNK = SPEECH_RATE // 50
CHUNK_TICKS = MEDIA_RATE // 50


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(backend=OpenVinoBackend("f32"))


def chunks(seconds: float, level: float = 0.0, epoch: int = 0, start: int = 0) -> Iterator[AudioChunk]:
    rng = np.random.default_rng(0)
    for index in range(round(seconds * 50)):
        pcm = (rng.standard_normal(CHUNK) * level * 32767).clip(-32768, 32767).astype(np.int16)
        yield AudioChunk(pcm, start + index * CHUNK_TICKS, epoch)


def run(pipeline: Pipeline, stream: Iterator[AudioChunk]) -> list[VideoFrame]:
    return [frame for chunk in stream if (frame := pipeline.push(chunk)) is not None]


@pytest.mark.parametrize("lookahead_ms", [0, 80, 160])
def test_every_second_chunk_completes_a_frame_stamped_with_its_audio(engine: Engine, lookahead_ms: int) -> None:
    pipeline = engine.open(load_avatar(list_avatars()[0]), lookahead_ms=lookahead_ms)
    frames = run(pipeline, chunks(0.4))
    ahead = lookahead_ms * MEDIA_RATE // 1000
    assert pipeline.lookahead_ticks == ahead
    assert [frame.media_time for frame in frames] == [index * FRAME_TICKS - ahead for index in range(10)]
    assert frames[0].planes.shape == (768, 512) and frames[0].planes.dtype == np.uint8


def test_equal_seeds_and_voices_give_equal_frames(engine: Engine) -> None:
    avatar = load_avatar(list_avatars()[0])
    first, second = (run(engine.open(avatar, seed=7), chunks(0.4, 0.05)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.planes, other.planes)


def test_two_sessions_do_not_disturb_each_other(engine: Engine) -> None:
    names = list_avatars()
    alone = run(engine.open(load_avatar(names[0]), seed=1), chunks(0.4, 0.05))
    one, other = engine.open(load_avatar(names[0]), seed=1), engine.open(load_avatar(names[1]), seed=2)
    together = []
    for chunk in chunks(0.4, 0.05):
        other.push(chunk)
        if (frame := one.push(chunk)) is not None:
            together.append(frame)
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a.planes, b.planes)


def test_a_tracker_is_asked_for_the_media_time_of_every_frame_drawn_or_not(engine: Engine) -> None:
    pipeline = engine.open(load_avatar(list_avatars()[0]), seed=2)
    asked: list[int] = []

    def drive(media_time: int) -> Drive:
        asked.append(media_time)
        return Drive(pose=HeadPose(yaw=0.2)) if media_time >= 0 else UNDRIVEN

    pipeline.drive = drive
    moved = [motion for chunk in chunks(2.0) if (motion := pipeline.hear(chunk)) is not None]
    assert asked == [motion.media_time for motion in moved] and len(moved) == 50
    assert moved[-1].motion.pose.yaw == pytest.approx(0.2, abs=1e-3)
    frame = pipeline.draw(moved[-1])
    assert (frame.media_time, frame.epoch, frame.motion) == (moved[-1].media_time, 0, moved[-1].motion)


def test_silence_is_alive_with_the_mouth_shut(engine: Engine) -> None:
    pipeline = engine.open(load_avatar(list_avatars()[0]), seed=3)
    motions = [frame.motion for frame in run(pipeline, chunks(6))]
    jaw = max(motion.expression[EXPRESSION_INDEX["jawOpen"]] for motion in motions)
    assert jaw < 0.06
    assert len({motion.pose for motion in motions}) > 100, "the head never stands still"


def test_an_interruption_drops_older_audio_and_eases_to_rest(engine: Engine) -> None:
    pipeline = engine.open(load_avatar(list_avatars()[0]))
    run(pipeline, chunks(0.4, 0.05))
    pipeline.interrupt(1)
    assert run(pipeline, chunks(0.2, 0.05, epoch=0, start=20 * CHUNK_TICKS)) == []
    frames = run(pipeline, chunks(0.4, 0.0, epoch=1, start=20 * CHUNK_TICKS))
    assert {frame.epoch for frame in frames} == {1}
    assert frames[-1].motion.expression[EXPRESSION_INDEX["jawOpen"]] < 0.06


def test_an_avatar_can_be_changed_during_the_call(engine: Engine) -> None:
    first, second = (load_avatar(name) for name in list_avatars()[:2])
    pipeline = engine.open(first)
    before = run(pipeline, chunks(0.08))[-1]
    pipeline.avatar = second
    after = run(pipeline, chunks(0.08, start=4 * CHUNK_TICKS))[-1]
    assert np.abs(before.planes.astype(int) - after.planes.astype(int)).mean() > 5


def test_a_lookahead_without_a_head_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="lookahead"):
        engine.open(load_avatar(list_avatars()[0]), lookahead_ms=100)
