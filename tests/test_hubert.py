"""The stream around a network that is made up: its features tell which samples they were made of."""

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.backend import Tensors
from engines.hubert import COARSE, FINE, OVERLAP, HearingState, StreamingHubert, Window

SMALL = Window(2, 1, 1)


class Front:
    """Each feature holds the last sample it was made of, and the sum of all."""

    def __init__(self, samples: int) -> None:
        self.inputs: Mapping[str, tuple[int, ...]] = {"pcm": (1, samples)}

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.float32]]:
        assert inputs["pcm"].shape[1:] == self.inputs["pcm"][1:]
        rows = [
            [(pcm[i + 399], pcm[i : i + 400].sum()) for i in range(0, len(pcm) - OVERLAP, 320)] for pcm in inputs["pcm"]
        ]
        return {"heard": np.array(rows, np.float32)}


class Encoder:
    """Each feature holds its own row, and the sum of the whole window."""

    def __init__(self, window: Window) -> None:
        self.inputs: Mapping[str, tuple[int, ...]] = {"heard": (1, window.features, 2)}

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.float32]]:
        heard = inputs["heard"]
        assert heard.shape[1:] == self.inputs["heard"][1:]
        return {"features": np.concatenate([heard, np.broadcast_to(heard.sum(1, keepdims=True), heard.shape)], 2)}


def stream(window: Window, keeps: bool, normalise: bool = False) -> StreamingHubert:
    return StreamingHubert(Front(window.front_samples(keeps)), Encoder(window), window, normalise)


@pytest.mark.parametrize(("window", "frames", "samples"), [(FINE, 28, 18_000), (COARSE, 10, 6_480)])
def test_presets(window: Window, frames: int, samples: int) -> None:
    assert (window.frames, window.front_samples(keeps=False)) == (frames, samples)
    assert window.lookahead_seconds == pytest.approx(0.08)
    assert window.asked == (slice(48, 52) if window is FINE else slice(6, 16))


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("window", [SMALL, FINE, COARSE])
def test_features_are_about_what_was_heard_a_lookahead_ago(window: Window, keeps: bool) -> None:
    hubert = stream(window, keeps)
    count = window.step_samples * 3
    features, _ = hubert.hear(hubert.start(), np.arange(1, count + 1, dtype=np.float32))
    last_samples = 320 * (np.arange(len(features)) + 1 - 2 * window.future)
    assert len(features) == 6 * window.present and features.shape[1] == hubert.width == 4
    assert np.array_equal(features[:, 0], np.maximum(last_samples, 0))


@pytest.mark.parametrize("window", [SMALL, COARSE])
def test_what_is_kept_is_what_would_be_heard_again(window: Window) -> None:
    pcm = np.random.default_rng(0).standard_normal(window.step_samples * 6).astype(np.float32)
    kept, again = (stream(window, keeps) for keeps in (True, False))
    np.testing.assert_allclose(kept.hear(kept.start(), pcm)[0], again.hear(again.start(), pcm)[0], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("chunk", [1, 160, 320, 641, 5000])
def test_chunks_of_any_length_make_the_same_features(chunk: int, keeps: bool) -> None:
    hubert = stream(SMALL, keeps, normalise=True)
    pcm = (np.random.default_rng(0).standard_normal(640 * 8 + 100) * 0.1).astype(np.float32)
    whole, end = hubert.hear(hubert.start(), pcm)
    state, pieces = hubert.start(), []
    for begin in range(0, len(pcm), chunk):
        features, state = hubert.hear(state, pcm[begin : begin + chunk])
        pieces.append(features)
    assert np.array_equal(np.concatenate(pieces), whole) and len(whole) == 16
    assert len(end.waiting) == 100 and np.array_equal(state.samples, end.samples) and state.level == end.level


def test_a_state_can_be_gone_back_to() -> None:
    hubert = stream(SMALL, keeps=True, normalise=True)
    rng = np.random.default_rng(0)
    pcm, other = (rng.standard_normal(1280).astype(np.float32) for _ in range(2))
    _, state = hubert.hear(hubert.start(), pcm)
    first, _ = hubert.hear(state, other)
    hubert.hear(state, pcm * 3)
    again, _ = hubert.hear(state, other)
    assert np.array_equal(first, again)


def test_a_stream_begins_in_silence() -> None:
    hubert = stream(SMALL, keeps=True)
    state = hubert.start()
    assert isinstance(state, HearingState) and not state.heard.any() and not state.samples.any()
    features, _ = hubert.hear(state, np.zeros(640, np.float32))
    assert not features.any()


def test_networks_of_another_window_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pcm \(1, 720\) or \(1, 2640\)"):
        StreamingHubert(Front(1000), Encoder(SMALL), SMALL)
    with pytest.raises(ValueError, match=r"heard \(1, 8, channels\)"):
        StreamingHubert(Front(720), Encoder(COARSE), SMALL)
