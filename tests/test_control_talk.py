from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.avatar import list_avatars, load_avatar
from engines.backend import Tensors
from engines.control_talk import (
    ALPHA,
    FEATURES,
    WIDTH,
    ControlTalkEngine,
    ControlTalkLips,
    ControlTalkPipeline,
    behind,
    without_speech,
)
from engines.controls import Controls
from engines.drawing import Drawing
from engines.ears import OwnEars
from engines.expression import EXPRESSION_INDEX
from engines.hubert import FINE, StreamingHubert
from engines.media import FRAME_TICKS, AudioChunk, Motion, MotionFrame, Voice
from engines.openvino_backend import OpenVinoBackend
from engines.pipeline import WEIGHTS
from tests.fakes import NoPicture
from tests.test_hubert import stream

HOP_TICKS = FRAME_TICKS // 2


class Linear:
    """A bias that is what was heard first, less a tenth of the expression."""

    inputs: Mapping[str, tuple[int, ...]] = {}

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.float32]]:
        return {"bias": inputs["audio"][:, :1, :1] - np.float32(0.1) * inputs["exp"]}


def load() -> StreamingHubert:
    return stream(FINE, keeps=True)


@pytest.fixture(scope="module")
def engine() -> ControlTalkEngine:
    return ControlTalkEngine(OwnEars(OpenVinoBackend("f32"), WEIGHTS), Drawing(NoPicture(), NoPicture), load)


@pytest.fixture
def pipeline(engine: ControlTalkEngine) -> ControlTalkPipeline:
    return engine.open(load_avatar(list_avatars()[0]))


def speak(pipeline: ControlTalkPipeline, hops: range, epoch: int = 0) -> list[MotionFrame]:
    """Hops of which each holds its own number."""
    heard = [
        pipeline.hear(AudioChunk(np.full(320, hop - hops.start + 1, np.int16), hop * HOP_TICKS, epoch)) for hop in hops
    ]
    return [moved for moved in heard if moved is not None]


def hops_heard(moved: MotionFrame) -> list[int]:
    assert moved.motion.voice is not None and moved.motion.voice.features.shape[0] == FEATURES
    return [round(float(value) * 32768) for value in moved.motion.voice.features[:, 0]]


def test_every_frame_hears_the_360_ms_that_begin_with_it(pipeline: ControlTalkPipeline) -> None:
    assert pipeline.lookahead_ticks == behind(FINE) * FRAME_TICKS == 11 * FRAME_TICKS
    count = 40
    frames = speak(pipeline, range(2 * count))
    assert [moved.media_time // FRAME_TICKS for moved in frames] == list(range(-2, count - 11))
    for moved in frames:
        first = 2 * (moved.media_time // FRAME_TICKS)
        assert hops_heard(moved) == [max(0, hop + 1) for hop in range(first, first + FEATURES)]


def test_an_interruption_leaves_no_gap_and_nothing_of_what_was_said(pipeline: ControlTalkPipeline) -> None:
    before = speak(pipeline, range(60))
    pipeline.interrupt(1)
    assert pipeline.hear(AudioChunk(np.ones(320, np.int16), 60 * HOP_TICKS, 0)) is None
    after = speak(pipeline, range(60, 120), epoch=1)
    times = [moved.media_time for moved in (*before, *after)]
    assert times == [times[0] + index * FRAME_TICKS for index in range(len(times))]
    assert {moved.epoch for moved in after} == {1}
    for moved in after:
        first = 2 * (moved.media_time // FRAME_TICKS) - 60
        assert hops_heard(moved) == [max(0, hop + 1) for hop in range(first, first + FEATURES)]


def test_sessions_that_are_heard_together_hear_what_each_would_alone(engine: ControlTalkEngine) -> None:
    """One a frame ahead of the other: their steps of two frames fall together, or not."""
    avatar, rng = load_avatar(list_avatars()[0]), np.random.default_rng(3)
    together, alone = ([engine.open(avatar, seed=seed) for seed in (1, 2)] for _ in range(2))
    speech = rng.integers(-9999, 9999, (2, 30, 2, 320), np.int16)
    for frame in range(30):
        here = [0, 1] if frame else [0]
        if frame == 15:
            for pipeline in (together[1], alone[1]):
                pipeline.interrupt(1)
        chunks = {
            index: [
                AudioChunk(pcm, (2 * frame + half) * HOP_TICKS, together[index].epoch)
                for half, pcm in enumerate(speech[index, frame])
            ]
            for index in here
        }
        taken = [(index, [together[index].take(chunk) for chunk in chunks[index]][-1]) for index in here]
        said = [(index, each) for index, each in taken if each is not None]
        heard = engine.ears.hear([together[index].ear for index in here], np.stack([each.pcm for _, each in said]))
        for (index, each), bias in zip(said, heard, strict=True):
            moved = together[index].move(each, bias)
            (wanted,) = [alone[index].hear(chunk) for chunk in chunks[index]][-1:]
            assert (moved is None) == (wanted is None) == (frame < 9 + index)
            if moved is not None and wanted is not None:
                assert moved.media_time == wanted.media_time and moved.epoch == wanted.epoch
                assert moved.motion.voice is not None and wanted.motion.voice is not None
                np.testing.assert_array_equal(moved.motion.voice.features, wanted.motion.voice.features)
                np.testing.assert_array_equal(moved.motion.expression, wanted.motion.expression)


def test_the_mouth_opens_as_far_as_it_is_told(pipeline: ControlTalkPipeline) -> None:
    pipeline.controls = Controls(alpha=1.3)
    voice = speak(pipeline, range(60))[-1].motion.voice
    assert voice is not None and voice.alpha == 1.3


def test_silence_shuts_the_mouth_before_speech_opens_it() -> None:
    silence, exp = np.full((FEATURES, 4), -0.2, np.float32), np.full((15, 3), 0.5, np.float32)
    lips = ControlTalkLips(Linear(), silence)
    shut = lips.shut(exp)
    closed = 0.5 + (-0.2 - 0.1 * 0.5)
    np.testing.assert_allclose(shut, closed, rtol=1e-6)
    said = ((0.6, 1.0), (0.6, 0.5), (-0.1, 1.5))
    voices = [Voice(np.full((FEATURES, 4), heard, np.float32), alpha) for heard, alpha in said]
    for (heard, alpha), spoken in zip(said, lips.speak(np.stack([shut] * 3), voices), strict=True):
        np.testing.assert_allclose(spoken, closed + ALPHA * alpha * (heard - 0.1 * closed), rtol=1e-5)


def test_it_is_the_published_two_passes() -> None:
    torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install visavis[train]")
    from networks import control_talk

    assert (control_talk.WINDOW, control_talk.FEATURES, control_talk.ALPHA) == (FEATURES, WIDTH, ALPHA)
    torch.manual_seed(0)
    network = control_talk.ControlTalk().eval()
    torch.nn.init.normal_(network.out_fc.weight, std=0.02)

    class Exported:
        inputs: Mapping[str, tuple[int, ...]] = {}

        def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
            with torch.no_grad():
                return {"bias": network(torch.from_numpy(inputs["audio"]), torch.from_numpy(inputs["exp"])).numpy()}

    audio, silence = torch.randn(1, 18, 1024), torch.randn(1, 18, 1024)
    exp = torch.randn(1, 15, 3) * 0.1
    with torch.no_grad():
        wanted = network.speak(exp, audio, silence)[0].numpy()
    lips = ControlTalkLips(Exported(), silence[0].numpy())
    found = lips.speak(lips.shut(exp[0].numpy())[None], [Voice(audio[0].numpy(), 1.0)])
    np.testing.assert_allclose(found[0], wanted, atol=1e-5)


def test_lips_rest_where_the_voice_has_its_own() -> None:
    expression = np.linspace(0.1, 0.9, len(Motion().expression)).astype(np.float32)
    calm = without_speech(Motion(expression)).expression
    for name in ("jawOpen", "mouthPucker", "mouthUpperUpLeft", "tongueUp"):
        assert calm[EXPRESSION_INDEX[name]] == 0
    for name in ("mouthSmileLeft", "eyeBlinkLeft", "browInnerUp", "cheekPuff"):
        assert calm[EXPRESSION_INDEX[name]] == expression[EXPRESSION_INDEX[name]]
