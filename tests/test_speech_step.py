"""All sessions heard at once on the GPU, against each heard by itself. `tests.fake_gpu` stands for the driver."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx", reason="the stand-in for TensorRT needs onnx: pip install visavis[train]")
pytest.importorskip("onnxruntime", reason="the stand-in for TensorRT needs ONNX Runtime: pip install visavis[train]")

from engines.avatar import list_avatars, load_avatar
from engines.cost import CostCurve
from engines.drawing import Drawing
from engines.ears import AUDIO2EXP, AUDIO_FEATURES, Ears, OwnEars
from engines.gpu_steps import Full
from engines.media import FRAME_TICKS, AudioChunk, MotionFrame, VideoFrame
from engines.openvino_backend import OpenVinoBackend
from engines.pipeline import WEIGHTS, Engine, Pipeline
from engines.plan_files import NoPlan
from engines.scheduler import Outcome, Scheduler, Seat, Step
from engines.speech_step import SpeechStep
from engines.tensorrt_backend import TensorRtBackend
from engines.workers import perform_together
from tests.fake_gpu import FakeGpu, FakeLibrary, write_plan
from tests.fakes import NoPicture


def make_backend(folder: Path, rows: tuple[int, ...], graphs: bool = True) -> TensorRtBackend:
    for name in (AUDIO_FEATURES, AUDIO2EXP):
        for each in rows:
            write_plan(WEIGHTS / name, folder, each)
    try:
        return TensorRtBackend(folder, library=FakeLibrary(), gpu=FakeGpu(graphs=graphs))
    except LookupError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def own() -> OwnEars:
    return OwnEars(OpenVinoBackend("f32"), WEIGHTS)


@pytest.mark.parametrize("graphs", [True, False], ids=["graphs", "no graphs"])
def test_sessions_hear_for_themselves_as_they_come_and_go(own: OwnEars, tmp_path: Path, graphs: bool) -> None:
    step = SpeechStep(make_backend(tmp_path, (1, 4), graphs), WEIGHTS, slots=3)
    assert step.largest == 4
    rng = np.random.default_rng(0)
    lookaheads = (80, 0, 160)
    pairs = [(step.open(each), own.open(each)) for each in lookaheads]
    assert [ear.lookahead_frames for ear, _ in pairs] == [2, 0, 4]
    most = 0.0
    for tick in range(24):
        if tick == 8:  # interrupted
            for ear in pairs[2]:
                ear.forget()
        if tick == 12:  # one goes, and another takes its place
            left = pairs[1][0].slot
            pairs[1][0].close()
            pairs[1] = step.open(80), own.open(80)
        here = [pair for index, pair in enumerate(pairs) if tick % 3 != index][:: -1 if tick % 2 else 1]
        pcm = (rng.standard_normal((len(here), 640)) * 0.2).astype(np.float32)
        bias, want = step.hear([ear for ear, _ in here], pcm), own.hear([ear for _, ear in here], pcm)
        np.testing.assert_allclose(bias, want, atol=2e-4)
        most = max(most, float(np.abs(want).max()))
    assert most > 0.05 and pairs[1][0].slot == left


def test_a_session_hears_once_and_slots_end(tmp_path: Path) -> None:
    step = SpeechStep(make_backend(tmp_path, (2,)), WEIGHTS, slots=1)
    first, second, sound = step.open(0), step.open(0), np.zeros((1, 640), np.float32)
    step.hear([first], sound)
    with pytest.raises(Full, match="all 1 slots"):
        step.hear([second], sound)
    second.close()  # never heard: it has nothing to give back
    first.close()
    first.close()
    step.hear([second], sound)
    with pytest.raises(ValueError, match="hears once"):
        step.hear([second, second], np.zeros((2, 640), np.float32))
    with pytest.raises(ValueError, match="1 to 2 sessions, not 3"):
        step.hear([second] * 3, np.zeros((3, 640), np.float32))
    with pytest.raises(ValueError, match="lookahead must be one of"):
        step.open(100)


def test_networks_without_a_common_bucket_are_told(tmp_path: Path) -> None:
    write_plan(WEIGHTS / AUDIO_FEATURES, tmp_path, 1)
    with pytest.raises(NoPlan, match="audio_features and audio2exp for as many rows"):
        SpeechStep(make_backend_of_two(tmp_path), WEIGHTS, slots=1)


def make_backend_of_two(folder: Path) -> TensorRtBackend:
    write_plan(WEIGHTS / AUDIO2EXP, folder, 2)
    try:
        return TensorRtBackend(folder, library=FakeLibrary(), gpu=FakeGpu())
    except LookupError as error:
        pytest.skip(str(error))


# In the house


class Call:
    """A session in a house, or one that is heard by itself as it goes."""

    def __init__(self, ears: Ears, scheduler: Scheduler | None, seed: int, lookahead_ms: int) -> None:
        engine = Engine(ears, Drawing(NoPicture(), NoPicture))
        self.pipeline: Pipeline = engine.open(AVATAR, seed=seed, lookahead_ms=lookahead_ms)
        self.moved: list[MotionFrame] = []
        self.failure: Exception | None = None
        self.seat: Seat | None = scheduler.join(self.pipeline, self._deliver, draws=False) if scheduler else None

    def _deliver(self, outcome: Outcome) -> None:
        self.moved += outcome.motions
        self.failure = outcome.failure

    def push(self, chunks: tuple[AudioChunk, AudioChunk]) -> None:
        if self.seat is not None:
            self.seat.push(Step(chunks, 1e9))
        else:
            self.moved += [moved for chunk in chunks if (moved := self.pipeline.hear(chunk)) is not None]

    def interrupt(self, epoch: int) -> None:
        (self.seat or self.pipeline).interrupt(epoch)


AVATAR = load_avatar(list_avatars()[0])


def voice(seed: int) -> Iterator[tuple[int, NDArray[np.int16]]]:
    rng = np.random.default_rng(seed)
    for index in range(1000):
        yield index, (rng.standard_normal(640) * 3000).astype(np.int16)


def chunks_of(index: int, pcm: NDArray[np.int16], epoch: int) -> tuple[AudioChunk, AudioChunk]:
    first, second = (
        AudioChunk(pcm[half * 320 : half * 320 + 320], index * FRAME_TICKS + half * FRAME_TICKS // 2, epoch)
        for half in (0, 1)
    )
    return first, second


def test_a_house_that_hears_together_moves_every_face_as_if_it_were_alone(own: OwnEars, tmp_path: Path) -> None:
    """Three calls of different lookaheads; one interrupts, one lags and catches up, one leaves and another comes."""
    step = SpeechStep(make_backend(tmp_path, (1, 2, 4)), WEIGHTS, slots=3)
    scheduler = Scheduler(CostCurve((1, 2, 4), (0.0,) * 3))
    perform = perform_together(step, lambda work: [])
    makes = [partial(Call, seed=seed, lookahead_ms=each) for seed, each in enumerate((80, 160, 0, 80))]
    together, alone = [make(step, scheduler) for make in makes[:3]], [make(own, None) for make in makes[:3]]
    voices, epochs, batches = [voice(seed) for seed in range(4)], [0] * 4, []
    for tick in range(30):
        if tick == 10:
            epochs[0] = 1
            together[0].interrupt(1)
            alone[0].interrupt(1)
        if tick == 15:
            assert together[2].seat is not None
            together[2].seat.leave()
            together.append(makes[3](step, scheduler))
            alone.append(makes[3](own, None))
        for index, call in enumerate(together):
            if index == 2 and tick >= 15:
                continue
            chunks = chunks_of(*next(voices[index]), epochs[index])
            call.push(chunks)
            alone[index].push(chunks)
        if 20 <= tick < 24:  # the workers are stuck, and then find more than one frame
            continue
        turns = scheduler.take(0.0)
        batches.append(len(turns))
        scheduler.finish(turns, perform(turns), 0.0, 0.0)
    assert set(batches) == {3}
    for one, other in zip(together, alone, strict=True):
        assert one.failure is None and len(one.moved) == len(other.moved) >= 15
        for mine, its in zip(one.moved, other.moved, strict=True):
            assert (mine.media_time, mine.epoch, mine.motion.pose) == (its.media_time, its.epoch, its.motion.pose)
            np.testing.assert_allclose(mine.motion.expression, its.motion.expression, atol=3e-4)
        assert np.ptp([moved.motion.expression for moved in one.moved], axis=0).max() > 0.02


def test_who_fails_fails_alone_and_the_others_are_heard(own: OwnEars) -> None:
    scheduler = Scheduler(CostCurve((4,), (0.0,)))
    calls = [Call(own, scheduler, seed, 80) for seed in range(4)]

    def fail(*anything: object) -> None:
        raise ValueError("no ear")

    calls[1].pipeline.take = fail  # type: ignore[method-assign, assignment]
    calls[2].pipeline.move = fail  # type: ignore[method-assign, assignment]
    drawn: list[Pipeline] = []

    def draw_all(work: Any) -> list[VideoFrame]:
        drawn.extend(pipeline for pipeline, _ in work)
        return [VideoFrame(np.zeros((3, 2), np.uint8), 0, 0, moved.motion) for _, moved in work]

    for call in calls:
        call.push(chunks_of(0, np.zeros(640, np.int16), 0))
    turns = scheduler.take(0.0)
    scheduler.finish(turns, perform_together(own, draw_all)(turns), 0.0, 0.0)
    assert [type(call.failure) for call in calls] == [type(None), ValueError, ValueError, type(None)]
    assert [len(call.moved) for call in calls] == [1, 0, 0, 1] and drawn == []
