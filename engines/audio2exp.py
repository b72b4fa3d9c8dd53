"""From audio features to the lips, one 40 ms frame at a time, in the context of the past 16 expressions.

The network predicts a bias on the source's expression (ControlTalk, Zhao et al. 2024, section 3.2) from the voice and
a ring of past expressions (RealTalk, Ji et al. 2024, section 3.2).
"""

from typing import Final, Self

import numpy as np

from engines.backend import Network
from engines.expression import LIP_SIZE, FloatArray

HISTORY: Final = 16
"""Past expressions that the network sees."""
LOOKAHEADS_MS: Final = (0, 80, 160)
"""What the network has a head for, in the order of its output's rows."""
FRAME_MS: Final = 40


def lookahead_row(lookahead_ms: int) -> int:
    """The row of the network's output that speaks of this lookahead. Raises ValueError if there is none."""
    if lookahead_ms not in LOOKAHEADS_MS:
        raise ValueError(f"lookahead must be one of {LOOKAHEADS_MS} ms, not {lookahead_ms}")
    return LOOKAHEADS_MS.index(lookahead_ms)


class ExpressionHistory:
    """A ring of the past `HISTORY` lip expressions, at rest to begin with."""

    def __init__(self) -> None:
        self._ring = np.zeros((HISTORY, LIP_SIZE), np.float32)
        self._oldest = 0

    def push(self, lips: FloatArray) -> None:
        """Let `lips` float32 ``(9,)`` take the place of the oldest expression."""
        self._ring[self._oldest] = lips
        self._oldest = (self._oldest + 1) % HISTORY

    def window(self) -> FloatArray:
        """A copy, oldest first: float32 ``(16, 9)``."""
        return np.concatenate([self._ring[self._oldest :], self._ring[: self._oldest]])

    def copy(self) -> Self:
        twin = type(self)()
        twin._ring, twin._oldest = self._ring.copy(), self._oldest
        return twin


class Audio2Exp:
    """The network of `audio2exp.onnx` at one lookahead; what the face did is in the caller's `ExpressionHistory`.

    After the features of frame k, `step` speaks of frame k - `lookahead_frames`. Raises ValueError for a lookahead
    that is not in `LOOKAHEADS_MS`, or for a network with other inputs.
    """

    def __init__(self, network: Network, lookahead_ms: int = 80) -> None:
        self._row = lookahead_row(lookahead_ms)
        shapes = dict(network.inputs)
        if shapes.get("history") != (1, HISTORY, LIP_SIZE) or set(shapes) != {"features", "history"}:
            raise ValueError(
                f"Audio2Exp needs inputs features (1, 2, D) and history (1, {HISTORY}, {LIP_SIZE}), this network has "
                f"{shapes}: export it again with `python -m build_trt.export audio`"
            )
        self._network = network
        self._features = shapes["features"][1:]
        self.lookahead_frames = lookahead_ms // FRAME_MS

    def start(self) -> ExpressionHistory:
        """A face that has been at rest."""
        return ExpressionHistory()

    def step(self, features: FloatArray, history: ExpressionHistory) -> FloatArray:
        """The lips' bias float32 ``(9,)`` after `features` float32 ``(2, D)`` of one frame; pushed into `history`.

        Raises ValueError for features of another shape.
        """
        if features.shape != self._features:
            raise ValueError(f"expected the features of one frame, {self._features}, got shape {features.shape}")
        outputs = self._network.run({"features": features[None], "history": history.window()[None]})
        bias: FloatArray = outputs["bias"][0, self._row].copy()
        history.push(bias)
        return bias
