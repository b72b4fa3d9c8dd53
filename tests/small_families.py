"""The full-size networks' names and shapes at their smallest, for the GPU of the tests."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from onnx import helper

from engines.control_talk import FEATURES, WIDTH
from engines.expression_transfer import ExpressionTransfer, motion_vector
from engines.hubert import FINE
from engines.keypoint_renderer import Family
from engines.media import Motion
from tests.fake_gpu import write_plan
from tests.test_portrait_step import write

Shapes = Mapping[str, tuple[int, ...]]
_PICTURE: Final[dict[str, tuple[int, ...]]] = {"picture": (1, 3, 256, 256)}
_ANGLES: Final[dict[str, tuple[int, ...]]] = dict.fromkeys(("pitch", "yaw", "roll"), (1, 66))


def write_family(folder: Path, family: Family, rows: tuple[int, ...]) -> None:
    """Networks whose every output is the mean of the first input, their plans, and what our motions are to them:
    nothing."""
    count = family.faces.keypoint_count
    points: dict[str, tuple[int, ...]] = {"driving": (1, count, 3), "source": (1, count, 3)}
    told = _ANGLES | {"t": (1, 3), "exp": (1, 3 * count)}
    if family.stitches:
        _write(folder, f"{family.name}_motion", _PICTURE, told | {"scale": (1, 1), "kp": (1, 3 * count)}, (1,))
        _write(folder, f"{family.name}_stitching", {"given": (1, 6 * count)}, {"offsets": (1, 3 * count + 2)}, rows)
    else:
        _write(folder, f"{family.name}_pose", _PICTURE, told, (1,))
        _write(folder, f"{family.name}_detector", _PICTURE, {"canonical": (1, count, 3)}, (1,))
    volume: dict[str, tuple[int, ...]] = {"volume": (1, 4, 1, 2, 2)}
    _write(folder, f"{family.name}_appearance", _PICTURE, volume, (1,))
    _write(folder, f"{family.name}_warping", volume | points, {"features": (1, 1, 1, 1)}, rows)
    size = 512 if family.stitches else 256
    _write(folder, f"{family.name}_generator", {"features": (1, 1, 1, 1)}, {"picture": (1, 3, size, size)}, rows)
    nothing = np.zeros((len(motion_vector(Motion())), 7 + 3 * count), np.float32)
    ExpressionTransfer(nothing).save(folder / f"{family.name}_transfer.npy")


def write_speech(folder: Path, rows: tuple[int, ...]) -> None:
    """ControlTalk's own networks of the voice, likewise."""
    heard: Shapes = {"heard": (1, FINE.features, 2)}
    new = {"heard": (1, 2 * FINE.present, 2)}
    _write(folder, "hubert_front", {"pcm": (1, FINE.front_samples(keeps=True))}, new, rows)
    _write(folder, "hubert_encoder", heard, {"features": (1, FINE.features, WIDTH)}, rows)
    _write(folder, "control_talk", {"audio": (1, FEATURES, WIDTH), "exp": (1, 15, 3)}, {"bias": (1, 15, 3)}, rows)


def _write(folder: Path, name: str, inputs: Shapes, outputs: Shapes, rows: tuple[int, ...]) -> None:
    first, shape = next(iter(inputs.items()))
    nodes = [helper.make_node("ReduceMean", [first, "within"], ["mean"], keepdims=1)]
    fixed: dict[str, Any] = {"within": list(range(1, len(shape)))}
    for output, wanted in outputs.items():
        fixed[f"{output}.one"], fixed[f"{output}.all"] = [1] * len(wanted), list(wanted)
        nodes.append(helper.make_node("Reshape", ["mean", f"{output}.one"], [f"{output}.mean"]))
        nodes.append(helper.make_node("Expand", [f"{output}.mean", f"{output}.all"], [output]))
    path = write(nodes, dict(inputs), dict(outputs), fixed, folder / f"{name}.onnx")
    for count in rows:
        write_plan(path, folder, count)
