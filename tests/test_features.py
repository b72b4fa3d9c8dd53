from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.backend import Tensors
from engines.features import FRAME_SAMPLES, AudioFeatures
from engines.openvino_backend import OpenVinoBackend
from engines.pipeline import WEIGHTS


class RunningSum:
    """A network whose features are the sums of all samples so far; like a real one it owns and reuses its outputs."""

    inputs: Mapping[str, tuple[int, ...]] = {"pcm": (1, FRAME_SAMPLES), "state": (1, 1)}

    def __init__(self) -> None:
        self._outputs = {"features": np.zeros((1, 2, 1), np.float32), "next_state": np.zeros((1, 1), np.float32)}

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.float32]]:
        sums = inputs["state"][0, 0] + inputs["pcm"].reshape(2, -1).sum(1).cumsum()
        self._outputs["features"][0, :, 0] = sums
        self._outputs["next_state"][...] = sums[1]
        return self._outputs


def speech(seconds: float) -> NDArray[np.float32]:
    rng = np.random.default_rng(1)
    return (rng.standard_normal((int(seconds * 25), FRAME_SAMPLES)) * 0.05).astype(np.float32)


@pytest.fixture(scope="module")
def real() -> AudioFeatures:
    return AudioFeatures(OpenVinoBackend("f32").load(WEIGHTS / "audio_features.onnx"))


def test_the_state_carries_the_past() -> None:
    features = AudioFeatures(RunningSum())
    state, ones = features.start(), np.ones(FRAME_SAMPLES, np.float32)
    first, state = features.step(state, ones)
    second, state = features.step(state, ones)
    assert features.dimension == 1
    heard = np.concatenate([first, second])[:, 0] / FRAME_SAMPLES
    np.testing.assert_array_equal(heard, [0.5, 1, 1.5, 2], "earlier results survive later runs")


def test_two_voices_through_one_network_keep_apart() -> None:
    features = AudioFeatures(RunningSum())
    ones = np.ones(FRAME_SAMPLES, np.float32)
    mine, yours = features.start(), features.start()
    _, mine = features.step(mine, ones)
    heard, yours = features.step(yours, -ones)
    assert heard[1] == -FRAME_SAMPLES
    heard, mine = features.step(mine, ones)
    assert heard[1] == 2 * FRAME_SAMPLES


def test_a_state_can_be_stepped_from_twice() -> None:
    features = AudioFeatures(RunningSum())
    _, state = features.step(features.start(), np.ones(FRAME_SAMPLES, np.float32))
    once, _ = features.step(state, np.ones(FRAME_SAMPLES, np.float32))
    again, _ = features.step(state, np.ones(FRAME_SAMPLES, np.float32))
    np.testing.assert_array_equal(once, again)


def test_sound_of_another_length_is_refused() -> None:
    features = AudioFeatures(RunningSum())
    with pytest.raises(ValueError, match="expected 640 samples"):
        features.step(features.start(), np.zeros(320, np.float32))


def test_a_network_of_another_kind_is_refused() -> None:
    network = RunningSum()
    network.inputs = {"samples": (1, 400)}
    with pytest.raises(ValueError, match="export it again"):
        AudioFeatures(network)


def test_the_shipped_network_hears_the_present(real: AudioFeatures) -> None:
    state = real.start()
    for sound in speech(1):
        before, (features, state) = state, real.step(state, sound)
        assert features.shape == (2, real.dimension) and np.isfinite(features).all()
    sound[FRAME_SAMPLES // 2 :] = 0
    quiet, _ = real.step(before, sound)
    np.testing.assert_allclose(quiet[0], features[0], atol=1e-5)
    assert np.abs(quiet[1] - features[1]).max() > 0.1


def test_the_shipped_network_forgets_a_voice(real: AudioFeatures) -> None:
    """So that no session drifts: what follows is nearly the same after some seconds of silence, whoever spoke before,
    and the same after some minutes, when the memory of the voice has faded too."""
    silence, said = np.zeros(FRAME_SAMPLES, np.float32), list(speech(1))
    known, fresh = real.start(), real.start()
    for sound in said:
        _, known = real.step(known, sound)
    apart = []
    for frames in (125, 4000):
        for _ in range(frames):
            _, known = real.step(known, silence)
            _, fresh = real.step(fresh, silence)
        one, other, off = known, fresh, 0.0
        for sound in said:
            (features, one), (strange, other) = real.step(one, sound), real.step(other, sound)
            off = max(off, float(np.abs(features - strange).max()))
        apart.append(off)
    assert 1e-4 < apart[0] < 0.5 and apart[1] < 1e-3
