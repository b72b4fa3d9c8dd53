"""Streaming audio features: HuBERT's contract, 16 kHz speech in and 50 features a second out, a frame at a time."""

from typing import Final

import numpy as np

from engines.backend import Network
from engines.expression import FloatArray

FRAME_SAMPLES: Final = 640
"""Samples of a video frame, 40 ms: two features. One run for both costs little more than one for each."""


class AudioFeatures:
    """The network of `audio_features.onnx`; what it heard is in the caller's state, which is never changed in place.

    Raises ValueError if the network has other inputs than `pcm` ``(1, 640)`` and `state` ``(1, N)``.
    """

    def __init__(self, network: Network) -> None:
        shapes = dict(network.inputs)
        if set(shapes) != {"pcm", "state"} or shapes["pcm"] != (1, FRAME_SAMPLES):
            raise ValueError(
                f"audio features need inputs pcm (1, {FRAME_SAMPLES}) and state (1, N), this network has {shapes}: "
                "export it again with `python -m build_trt.export audio`"
            )
        self._network = network
        self._state = shapes["state"]
        features, _ = self.step(self.start(), np.zeros(FRAME_SAMPLES, np.float32))
        self.dimension = features.shape[1]

    def start(self) -> FloatArray:
        """The state before anything was heard: zeros, as in training."""
        return np.zeros(self._state, np.float32)

    def step(self, state: FloatArray, pcm: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Hear `pcm` float32 ``(640,)``, full scale 1: two features float32 ``(2, dimension)`` and the next state.

        Raises ValueError for another number of samples.
        """
        if pcm.shape != (FRAME_SAMPLES,):
            raise ValueError(f"expected {FRAME_SAMPLES} samples (40 ms at 16 kHz), got an array of shape {pcm.shape}")
        outputs = self._network.run({"pcm": pcm[None], "state": state})
        # Outputs belong to the network until its next run, which will read the state: copies, not views.
        return outputs["features"][0].copy(), outputs["next_state"].copy()
