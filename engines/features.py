"""Streaming audio features: HuBERT's contract, 16 kHz speech in and 50 features a second out, 20 ms at a time."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.backend import Network
from engines.expression import FloatArray

CHUNK_SAMPLES: Final = 320
"""Samples per feature: 20 ms at 16 kHz."""
_STATE: Final = "state_"


@dataclass(frozen=True, slots=True)
class FeatureState:
    """All that the network remembers of the voice so far, by the names of its inputs. Never changed in place."""

    tensors: dict[str, NDArray[np.float32]]


class AudioFeatures:
    """The network of `audio_features.onnx`; what it heard is in the caller's `FeatureState`.

    Raises ValueError if the network has other inputs than `pcm` ``(1, 320)`` and `state_0`, `state_1` ...
    """

    def __init__(self, network: Network) -> None:
        shapes = dict(network.inputs)
        if shapes.pop("pcm", None) != (1, CHUNK_SAMPLES) or any(not name.startswith(_STATE) for name in shapes):
            raise ValueError(
                f"audio features need inputs pcm (1, {CHUNK_SAMPLES}) and state_0 ..., this network has "
                f"{dict(network.inputs)}: export it again with `python -m build_trt.export audio`"
            )
        self._network = network
        self._shapes = shapes
        feature, _ = self.step(self.start(), np.zeros(CHUNK_SAMPLES, np.float32))
        self.dimension = len(feature)

    def start(self) -> FeatureState:
        """The state before anything was heard: zeros, as in training."""
        return FeatureState({name: np.zeros(shape, np.float32) for name, shape in self._shapes.items()})

    def step(self, state: FeatureState, pcm: NDArray[np.float32]) -> tuple[FloatArray, FeatureState]:
        """Hear `pcm` float32 ``(320,)``, full scale 1: the feature float32 ``(dimension,)`` and the next state.

        Raises ValueError for another number of samples.
        """
        if pcm.shape != (CHUNK_SAMPLES,):
            raise ValueError(f"expected {CHUNK_SAMPLES} samples (20 ms at 16 kHz), got an array of shape {pcm.shape}")
        outputs = self._network.run({"pcm": pcm[None], **state.tensors})
        # Outputs belong to the network until its next run, which will read the state: copies, not views.
        tensors = {name: outputs[f"next_{name}"].copy() for name in self._shapes}
        return outputs["features"][0, 0].copy(), FeatureState(tensors)
