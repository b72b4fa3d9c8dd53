"""One contract per network: what goes in and what comes out, by name, shape and type.

Exporters, parity checks and both serving backends read the same contract; the files themselves carry nothing else.
"""

from dataclasses import dataclass
from typing import Final

from networks import compact_renderer as renderer
from networks import landmarks as face
from networks.audio2exp import FEATURES_PER_FRAME, HISTORY, LIPS, LOOKAHEAD_FRAMES
from networks.compact_audio import SAMPLES_PER_FEATURE, CompactAudio

OPSET: Final = 17


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output: its name in the graph, its shape, its NumPy type."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Contract:
    """The signature of a network. A streaming network takes `state_i` and returns `next_state_i`, of equal shapes."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def file(self) -> str:
        return f"{self.name}.onnx"


def audio_features(network: CompactAudio) -> Contract:
    """20 ms of speech (float32, full scale 1, 16 kHz) and the state -> one feature and the next state."""
    states = [(1, *shape) for shape in network.state_shapes()]
    return Contract(
        "audio_features",
        (Tensor("pcm", (1, SAMPLES_PER_FEATURE)), *(Tensor(f"state_{i}", s) for i, s in enumerate(states))),
        (Tensor("features", (1, 1, network.width)), *(Tensor(f"next_state_{i}", s) for i, s in enumerate(states))),
    )


def audio2exp(width: int) -> Contract:
    """The two features of a frame and the past 16 expressions, oldest first -> the bias at each lookahead."""
    return Contract(
        "audio2exp",
        (Tensor("features", (1, FEATURES_PER_FRAME, width)), Tensor("history", (1, HISTORY, LIPS))),
        (Tensor("bias", (1, len(LOOKAHEAD_FRAMES), LIPS)),),
    )


_FEATURES = Tensor("features", (1, renderer.FEATURES, renderer.GRID, renderer.GRID))
_IDENTITY = Tensor("identity", (1, renderer.IDENTITY))
_GRID = Tensor("grid", (1, renderer.GRID, renderer.GRID, 2))
_OCCLUSION = Tensor("occlusion", (1, 1, renderer.GRID, renderer.GRID))
_HIDDEN = Tensor("hidden", (1, renderer.HIDDEN, renderer.GRID, renderer.GRID))
_CONDITION = Tensor("condition", (1, renderer.GESTURE + renderer.IDENTITY))


def renderer_source() -> Contract:
    """Once per avatar: its picture, RGB in [0, 1] -> features and identity."""
    picture = Tensor("picture", (1, 3, renderer.SOURCE_SIZE, renderer.SOURCE_SIZE))
    return Contract("renderer_source", (picture,), (_FEATURES, _IDENTITY))


def renderer_motion(keypoints: int) -> Contract:
    """Per frame: what the mesh says of the motion -> its correction, and what the painter needs of it."""
    inputs = (
        _FEATURES,
        _IDENTITY,
        Tensor("keypoints_source", (1, keypoints, 3)),
        Tensor("keypoints_target", (1, keypoints, 3)),
        Tensor("flow", (1, 2, renderer.GRID, renderer.GRID)),
        Tensor("seen", (1, 1, renderer.GRID, renderer.GRID)),
        _GRID,
    )
    residual = Tensor("residual", (1, 2, renderer.GRID, renderer.GRID))
    return Contract("renderer_motion", inputs, (residual, _OCCLUSION, _HIDDEN, _CONDITION))


def renderer_painter() -> Contract:
    """Per frame: the warped picture and the windows -> layers (premultiplied colour and mask) to lay over them."""
    size, mouth, eyes = (
        (renderer.MAIN_SIZE, renderer.MAIN_SIZE),
        (renderer.MOUTH_HEIGHT, renderer.MOUTH_WIDTH),
        (renderer.EYES_HEIGHT, renderer.EYES_WIDTH),
    )
    inputs = (
        _FEATURES,
        _GRID,
        _OCCLUSION,
        _HIDDEN,
        _CONDITION,
        Tensor("warped", (1, 4, *size)),
        Tensor("mouth", (1, renderer.MOUTH_CHANNELS, *mouth)),
        Tensor("eyes", (1, renderer.EYES_CHANNELS, *eyes)),
    )
    layers = (("main", size), ("mouth_layer", mouth), ("eyes_layer", eyes))
    return Contract("renderer_painter", inputs, tuple(Tensor(name, (1, 4, *shape)) for name, shape in layers))


def landmarks(points: int) -> Contract:
    """Once per look at a portrait: a crop, RGB in [0, 1] -> its keypoints, their errors, and whether it is a face."""
    crop = Tensor("crop", (1, 3, face.CROP_SIZE, face.CROP_SIZE))
    outputs = (Tensor("points", (1, points, 2)), Tensor("doubt", (1, points)), Tensor("presence", (1,)))
    return Contract("landmarks", (crop,), outputs)
