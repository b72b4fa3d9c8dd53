from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.audio2exp import HISTORY, LOOKAHEADS_MS, Audio2Exp, ExpressionHistory
from engines.backend import Tensors
from engines.expression import LIP_SIZE
from engines.openvino_backend import OpenVinoBackend
from engines.pipeline import WEIGHTS


class Counter:
    """A network that answers, in row j, with j plus the sum of the past expressions' first channel."""

    inputs: Mapping[str, tuple[int, ...]] = {"features": (1, 2, 4), "history": (1, HISTORY, LIP_SIZE)}

    def __init__(self) -> None:
        self.seen: list[NDArray[np.float32]] = []
        self._bias = np.zeros((1, 3, LIP_SIZE), np.float32)

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.float32]]:
        self.seen.append(inputs["history"][0].copy())
        self._bias[0] = np.arange(3)[:, None] + inputs["history"][0, :, :1].sum()
        return {"bias": self._bias}


def lips(value: float) -> NDArray[np.float32]:
    return np.full(LIP_SIZE, value, np.float32)


def test_the_history_starts_at_rest() -> None:
    window = ExpressionHistory().window()
    assert window.shape == (HISTORY, LIP_SIZE) and window.dtype == np.float32 and not window.any()


def test_the_history_keeps_the_newest_oldest_first() -> None:
    history = ExpressionHistory()
    for value in range(2 * HISTORY + 5):
        history.push(lips(value))
    np.testing.assert_array_equal(history.window()[:, 0], np.arange(HISTORY + 5, 2 * HISTORY + 5))


def test_a_copy_of_the_history_goes_its_own_way() -> None:
    history = ExpressionHistory()
    history.push(lips(1))
    twin = history.copy()
    twin.push(lips(2))
    assert history.window()[-1, 0] == 1 and twin.window()[-2:, 0].tolist() == [1, 2]


def test_a_window_is_not_changed_by_later_pushes() -> None:
    history = ExpressionHistory()
    window = history.window()
    history.push(lips(3))
    assert not window.any()


@pytest.mark.parametrize(("lookahead_ms", "frames", "row"), [(0, 0, 0), (80, 2, 1), (160, 4, 2)])
def test_each_lookahead_has_its_row(lookahead_ms: int, frames: int, row: int) -> None:
    head = Audio2Exp(Counter(), lookahead_ms)
    bias = head.step(np.zeros((2, 4), np.float32), head.start())
    assert head.lookahead_frames == frames
    np.testing.assert_array_equal(bias, lips(row))


def test_what_is_spoken_becomes_history() -> None:
    network = Counter()
    head = Audio2Exp(network, 80)
    history = head.start()
    spoken = [head.step(np.zeros((2, 4), np.float32), history) for _ in range(4)]
    assert [float(bias[0]) for bias in spoken] == [1, 2, 4, 8], "earlier results survive later runs"
    np.testing.assert_array_equal(network.seen[3][-3:, 0], [1, 2, 4])


def test_an_unknown_lookahead_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one of \(0, 80, 160\) ms, not 100"):
        Audio2Exp(Counter(), 100)


def test_a_network_of_another_kind_is_refused() -> None:
    network = Counter()
    network.inputs = {"features": (1, 2, 4), "history": (1, 8, LIP_SIZE)}
    with pytest.raises(ValueError, match="export it again"):
        Audio2Exp(network)


def test_features_of_another_shape_are_refused() -> None:
    head = Audio2Exp(Counter())
    with pytest.raises(ValueError, match="features of one frame"):
        head.step(np.zeros(4, np.float32), head.start())


@pytest.mark.parametrize("lookahead_ms", LOOKAHEADS_MS)
def test_the_shipped_network_answers_within_range(lookahead_ms: int) -> None:
    network = OpenVinoBackend("f32").load(WEIGHTS / "audio2exp.onnx")
    head, rng = Audio2Exp(network, lookahead_ms), np.random.default_rng(0)
    history = head.start()
    for _ in range(40):
        bias = head.step(rng.standard_normal(network.inputs["features"][1:]).astype(np.float32), history)
        assert bias.shape == (LIP_SIZE,)
        assert bias.min() > -0.03 and bias.max() <= 1.0
