"""Streaming audio features: HuBERT's contract, 16 kHz speech in and 50 features a second out, a frame at a time."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.backend import Network
from engines.expression import FloatArray

FRAME_SAMPLES: Final = 640
"""Samples of a video frame, 40 ms: two features. One run for both costs little more than one for each."""
_STATE: Final = "state_"


@dataclass(frozen=True, slots=True)
class FeatureState:
    """All that the network remembers of the voice so far, by the names of its inputs. Never changed in place."""

    tensors: dict[str, NDArray[np.float32]]


class AudioFeatures:
    """The network of `audio_features.onnx`; what it heard is in the caller's `FeatureState`.

    Raises ValueError if the network has other inputs than `pcm` ``(1, 640)`` and `state_0`, `state_1` ...
    """

    def __init__(self, network: Network) -> None:
        shapes = dict(network.inputs)
        if shapes.pop("pcm", None) != (1, FRAME_SAMPLES) or any(not name.startswith(_STATE) for name in shapes):
            raise ValueError(
                f"audio features need inputs pcm (1, {FRAME_SAMPLES}) and state_0 ..., this network has "
                f"{dict(network.inputs)}: export it again with `python -m build_trt.export audio`"
            )
        self._network = network
        self._shapes = shapes
        features, _ = self.step(self.start(), np.zeros(FRAME_SAMPLES, np.float32))
        self.dimension = features.shape[1]

    def start(self) -> FeatureState:
        """The state before anything was heard: zeros, as in training."""
        return FeatureState({name: np.zeros(shape, np.float32) for name, shape in self._shapes.items()})

    def step(self, state: FeatureState, pcm: NDArray[np.float32]) -> tuple[FloatArray, FeatureState]:
        """Hear `pcm` float32 ``(640,)``, full scale 1: two features float32 ``(2, dimension)`` and the next state.

        Raises ValueError for another number of samples.
        """
        if pcm.shape != (FRAME_SAMPLES,):
            raise ValueError(f"expected {FRAME_SAMPLES} samples (40 ms at 16 kHz), got an array of shape {pcm.shape}")
        outputs = self._network.run({"pcm": pcm[None], **state.tensors})
        # Outputs belong to the network until its next run, which will read the state: copies, not views.
        tensors = {name: outputs[f"next_{name}"].copy() for name in self._shapes}
        return outputs["features"][0].copy(), FeatureState(tensors)
