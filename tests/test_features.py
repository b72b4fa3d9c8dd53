from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.backend import Tensors
from engines.features import CHUNK_SAMPLES, AudioFeatures
from engines.openvino_backend import OpenVinoBackend
from engines.pipeline import WEIGHTS


class RunningSum:
    """A network whose feature is the sum of all samples so far; like a real one it owns and reuses its outputs."""

    inputs: Mapping[str, tuple[int, ...]] = {"pcm": (1, CHUNK_SAMPLES), "state_0": (1, 1)}

    def __init__(self) -> None:
        self._outputs = {"features": np.zeros((1, 1, 1), np.float32), "next_state_0": np.zeros((1, 1), np.float32)}

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.float32]]:
        total = inputs["state_0"][0, 0] + inputs["pcm"].sum()
        for output in self._outputs.values():
            output[...] = total
        return self._outputs


def speech(seconds: float) -> NDArray[np.float32]:
    rng = np.random.default_rng(1)
    return (rng.standard_normal((int(seconds * 50), CHUNK_SAMPLES)) * 0.05).astype(np.float32)


@pytest.fixture(scope="module")
def real() -> AudioFeatures:
    return AudioFeatures(OpenVinoBackend("f32").load(WEIGHTS / "audio_features.onnx"))


def test_the_state_carries_the_past() -> None:
    features = AudioFeatures(RunningSum())
    state, ones = features.start(), np.ones(CHUNK_SAMPLES, np.float32)
    first, state = features.step(state, ones)
    second, state = features.step(state, ones)
    assert features.dimension == 1
    assert (first[0], second[0]) == (CHUNK_SAMPLES, 2 * CHUNK_SAMPLES), "earlier results survive later runs"


def test_two_voices_through_one_network_keep_apart() -> None:
    features = AudioFeatures(RunningSum())
    ones = np.ones(CHUNK_SAMPLES, np.float32)
    mine, yours = features.start(), features.start()
    _, mine = features.step(mine, ones)
    heard, yours = features.step(yours, -ones)
    assert heard[0] == -CHUNK_SAMPLES
    heard, mine = features.step(mine, ones)
    assert heard[0] == 2 * CHUNK_SAMPLES


def test_a_state_can_be_stepped_from_twice() -> None:
    features = AudioFeatures(RunningSum())
    _, state = features.step(features.start(), np.ones(CHUNK_SAMPLES, np.float32))
    once, _ = features.step(state, np.ones(CHUNK_SAMPLES, np.float32))
    again, _ = features.step(state, np.ones(CHUNK_SAMPLES, np.float32))
    np.testing.assert_array_equal(once, again)


def test_a_chunk_of_another_length_is_refused() -> None:
    features = AudioFeatures(RunningSum())
    with pytest.raises(ValueError, match="expected 320 samples"):
        features.step(features.start(), np.zeros(640, np.float32))


def test_a_network_of_another_kind_is_refused() -> None:
    network = RunningSum()
    network.inputs = {"samples": (1, 400)}
    with pytest.raises(ValueError, match="export it again"):
        AudioFeatures(network)


def test_the_shipped_network_hears_the_present(real: AudioFeatures) -> None:
    state = real.start()
    for chunk in speech(1):
        before, (feature, state) = state, real.step(state, chunk)
        assert feature.shape == (real.dimension,) and np.isfinite(feature).all()
    quiet, _ = real.step(before, np.zeros(CHUNK_SAMPLES, np.float32))
    assert np.abs(quiet - feature).max() > 0.1


def test_the_shipped_network_forgets_within_seconds(real: AudioFeatures) -> None:
    """The receptive field is bounded, so that no session drifts: 3 s of silence erase any voice."""
    silence = np.zeros(CHUNK_SAMPLES, np.float32)
    state, fresh = real.start(), real.start()
    for chunk in speech(1):
        _, state = real.step(state, chunk)
    for _ in range(150):
        feature, state = real.step(state, silence)
        rested, fresh = real.step(fresh, silence)
    np.testing.assert_allclose(feature, rested, atol=1e-4)
