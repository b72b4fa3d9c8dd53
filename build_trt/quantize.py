"""Convolutions in whole numbers of 8 bits, for CPUs: the same picture in half the time of float32, or less.

Weights are quantised channel by channel, activations by the range that they had in samples (arXiv 1806.08342, sections
2 and 3); what is not a convolution stays as it was. OpenVINO fuses the `QuantizeLinear` and `DequantizeLinear` of the
file into its kernels. GPUs take the file from which this one was made.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import cv2
import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from engines.avatar import list_avatars, load_avatar
from engines.backend import Tensors
from engines.openvino_backend import FOR_CPU, OpenVinoBackend
from engines.renderer import PAINTER, Sketch, SourceEncoder
from training.picture_metrics import decibels, squared_error
from training.renderer_dataset import random_colours
from training.studio.sampler import random_motion

EACH: Final = 16
"""Frames of every shipped avatar that show how far activations go."""


def quantize(path: Path, samples: Sequence[Tensors], keep: tuple[str, ...] = ("merge", "out")) -> Path:
    """Write the network in `path` beside itself as the CPU's own, which computes as well what `samples` are like.
    Convolutions that are called as in `keep`, for they draw what is seen, and those of single pixels, which cost
    little, are not touched. Returns the file."""
    written = path.with_suffix(FOR_CPU)
    with TemporaryDirectory() as folder:
        inferred = Path(folder) / "inferred.onnx"
        quant_pre_process(path, inferred, skip_symbolic_shape=True)
        graph = onnx.load(inferred).graph
        shapes = {weight.name: tuple(weight.dims) for weight in graph.initializer}
        exact = [
            node.name
            for node in graph.node
            if node.op_type == "Conv" and (shapes[node.input[1]][2:] == (1, 1) or {*keep} & {*node.name.split("/")})
        ]
        quantize_static(
            inferred,
            written,
            _Samples(samples),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=exact,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    return written


class _Samples(CalibrationDataReader):
    def __init__(self, samples: Sequence[Tensors]) -> None:
        self._samples = iter(samples)

    def get_next(self) -> Tensors | None:
        return next(self._samples, None)


def sketches(weights: Path, each: int, seed: int) -> Iterator[Sketch]:
    """`each` frames of every shipped avatar for the painter in `weights`: they talk, turn and look about, every second
    time in other colours; the same for the same seed."""
    rng = np.random.default_rng(seed)
    encoder = SourceEncoder(OpenVinoBackend("f32"), weights)
    for name in list_avatars():
        avatar = load_avatar(name)
        for frame in range(each):
            table = random_colours(rng) if frame % 2 else None
            picture = avatar.picture if table is None else np.asarray(cv2.LUT(avatar.picture, table), np.uint8)
            source = encoder.encode(picture, avatar.geometry, avatar.eyeballs)
            yield Sketch.of(source, random_motion(rng))


def quantize_painter(weights: Path) -> tuple[Path, float]:
    """Write the painter in `weights` in 8 bits; returns the file, and how near its pictures come in decibels."""
    logging.getLogger().setLevel(logging.ERROR)  # it warns of what was done
    path = weights / PAINTER
    path.with_suffix(FOR_CPU).unlink(missing_ok=True)
    painter = OpenVinoBackend("f32").load(path)
    written = quantize(path, [sketch.inputs for sketch in sketches(weights, EACH, seed=0)])
    quantized = OpenVinoBackend("f32").load(path)
    errors = []
    for sketch in sketches(weights, 2, seed=1):
        one, other = (sketch.painted(network.run(sketch.inputs)).picture for network in (painter, quantized))
        errors.append(squared_error(one, other))
    return written, decibels(errors)
