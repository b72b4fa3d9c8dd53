"""One contract per network: what goes in and what comes out, by name, shape and type.

Exporters, parity checks and both serving backends read the same contract; the files themselves carry nothing else.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from networks import compact_renderer as renderer
from networks import landmarks as face
from networks.audio2exp import FEATURES_PER_FRAME, HISTORY, LIPS, LOOKAHEAD_FRAMES
from networks.compact_audio import SAMPLES_PER_FEATURE, CompactAudio

OPSET: Final = 20


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output: its name in the graph, its shape, its NumPy type.

    Dimension 0 counts rows: sessions, pictures. Contracts and files are for one row; plans are built for more.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    span: tuple[float, float] = (-0.5, 0.5)
    """What checks draw an input from."""


@dataclass(frozen=True, slots=True)
class Contract:
    """The signature of a network. A streaming network takes `state` and returns `next_state`, of equal shapes."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def file(self) -> str:
        return f"{self.name}.onnx"

    def draw(self, seed: int = 0) -> dict[str, NDArray[np.float32]]:
        """Random inputs for one row, evenly from each input's span."""
        rng = np.random.default_rng(seed)
        return {tensor.name: rng.uniform(*tensor.span, tensor.shape).astype(np.float32) for tensor in self.inputs}


def audio_features(network: CompactAudio) -> Contract:
    """A frame's 40 ms of speech (float32, full scale 1, 16 kHz) and the state -> two features and the next state.

    The state ends with nothing up to four values, since a GPU moves four at a time.
    """
    state = (1, -(-sum(channels * length for channels, length in network.state_shapes()) // 4) * 4)
    return Contract(
        "audio_features",
        (Tensor("pcm", (1, FEATURES_PER_FRAME * SAMPLES_PER_FEATURE)), Tensor("state", state)),
        (Tensor("features", (1, FEATURES_PER_FRAME, network.size)), Tensor("next_state", state)),
    )


def audio2exp(size: int) -> Contract:
    """The two features of a frame, doubts included, and the past 16 expressions, oldest first -> the bias at each
    lookahead."""
    return Contract(
        "audio2exp",
        (Tensor("features", (1, FEATURES_PER_FRAME, size)), Tensor("history", (1, HISTORY, LIPS))),
        (Tensor("bias", (1, len(LOOKAHEAD_FRAMES), LIPS)),),
    )


def renderer_source() -> Contract:
    """Once per avatar: its picture, RGB in [0, 1] -> an identity."""
    picture = Tensor("picture", (1, 3, renderer.SOURCE_SIZE, renderer.SOURCE_SIZE))
    return Contract("renderer_source", (picture,), (Tensor("identity", (1, renderer.IDENTITY)),))


def renderer_painter(keypoints: int) -> Contract:
    """Per frame: the folded warp and windows -> folded layers (premultiplied colour and mask) to lay over them."""
    heads = (
        ("main", (renderer.MAIN_CELLS, renderer.MAIN_CELLS), renderer.MAIN_CHANNELS),
        ("mouth", renderer.MOUTH_CELLS, renderer.MOUTH_CHANNELS),
        ("eyes", renderer.EYES_CELLS, renderer.EYES_CHANNELS),
    )
    inputs = (
        Tensor("identity", (1, renderer.IDENTITY)),
        Tensor("keypoints", (1, keypoints, 3)),
        *(Tensor(name, (1, *cells, channels)) for name, cells, channels in heads),
    )
    layers = (Tensor(f"{name}_layer", (1, *cells, renderer.LAYER_CHANNELS)) for name, cells, _ in heads)
    return Contract("renderer_painter", inputs, tuple(layers))


def landmarks(points: int) -> Contract:
    """Once per look at a portrait: a crop, RGB in [0, 1] -> its keypoints, their errors, and whether it is a face."""
    crop = Tensor("crop", (1, 3, face.CROP_SIZE, face.CROP_SIZE))
    outputs = (Tensor("points", (1, points, 2)), Tensor("doubt", (1, points)), Tensor("presence", (1,)))
    return Contract("landmarks", (crop,), outputs)
