"""Sources drawn from their slots on the GPU, against NumPy and OpenCV. `tests.fake_gpu` stands for the driver."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx", reason="the stand-in for TensorRT needs onnx: pip install visavis[train]")
pytest.importorskip("onnxruntime", reason="the stand-in for TensorRT needs ONNX Runtime: pip install visavis[train]")

import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.expression import FloatArray
from engines.keypoint_face import KeypointFace, LivePortraitFaces
from engines.landmarks import Crop
from engines.plan_files import NoPlan
from engines.portrait_step import PortraitStep
from engines.scene import Scene
from engines.tensorrt_backend import TensorRtBackend
from tests.fake_gpu import FakeGpu, FakeLibrary, write_plan

FACES = LivePortraitFaces()
POINTS = 5


@pytest.fixture(params=[True, False], ids=["graphs", "no graphs"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> TensorRtBackend:
    try:
        return TensorRtBackend(tmp_path, library=FakeLibrary(), gpu=FakeGpu(graphs=request.param))
    except LookupError as error:
        pytest.skip(str(error))


def warping(folder: Path) -> Path:
    """features = volume's mean over its depth + the mean of driving - source."""
    shapes = {"volume": (1, 3, 2, 4, 4), "driving": (1, 5, 3), "source": (1, 5, 3)}
    nodes = [
        helper.make_node("Sub", ["driving", "source"], ["moved"]),
        helper.make_node("ReduceMean", ["moved", "points"], ["mean"], keepdims=1),
        helper.make_node("Reshape", ["mean", "shape"], ["shift"]),
        helper.make_node("ReduceMean", ["volume", "depth"], ["flat"], keepdims=0),
        helper.make_node("Add", ["flat", "shift"], ["features"]),
    ]
    fixed = {"points": [1], "shape": [1, 3, 1, 1], "depth": [2]}
    return write(nodes, shapes, {"features": (1, 3, 4, 4)}, fixed, folder / "warping.onnx")


def stitching(folder: Path) -> Path:
    """Offsets that are what is given, halved: of the source's keypoints, and x and y of the first that is driven."""
    nodes = [
        helper.make_node("Gather", ["given", "chosen"], ["some"], axis=1),
        helper.make_node("Mul", ["some", "half"], ["offsets"]),
    ]
    fixed = {"chosen": [*range(3 * POINTS), 3 * POINTS, 3 * POINTS + 1], "half": 0.5}
    return write(nodes, {"given": (1, 30)}, {"offsets": (1, 17)}, fixed, folder / "stitching.onnx")


def generator(folder: Path) -> Path:
    """The features, twice as large."""
    resize = helper.make_node("Resize", ["features", "", "scales"], ["picture"], mode="nearest")
    shapes, outputs = {"features": (1, 3, 4, 4)}, {"picture": (1, 3, 8, 8)}
    return write([resize], shapes, outputs, {"scales": [1.0, 1.0, 2.0, 2.0]}, folder / "generator.onnx")


def write(nodes: list[Any], inputs: dict[str, Any], outputs: dict[str, Any], fixed: dict[str, Any], path: Path) -> Path:
    values = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
        for shapes in (inputs, outputs)
    ]
    constants = []
    for name, value in fixed.items():
        array = np.array(value)
        constants.append(numpy_helper.from_array(array.astype(np.float32) if array.dtype == float else array, name))
    graph = helper.make_graph(nodes, "graph", *values, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def face(rng: np.random.Generator) -> KeypointFace:
    angles, t = rng.normal(0, 20, 3).astype(np.float32), rng.normal(0, 0.1, 3).astype(np.float32)
    exp, kp = rng.normal(0, 0.1, (2, POINTS, 3)).astype(np.float32)
    return KeypointFace(angles, t, float(rng.uniform(0.8, 1.2)), exp, kp)


def shift(source: FloatArray, driving: FloatArray, stitched: bool) -> FloatArray:
    """What `warping` makes of the keypoints (K, 3)."""
    if stitched:
        offset = np.array([*driving[0, :2], 0], np.float32)
        driving = (driving + source / 2 + offset / 2).astype(np.float32)
    return np.asarray((driving - source).mean(0)[:, None, None], np.float32)


PHOTO = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 256, (300, 400, 3), np.uint8), (0, 0), 5)
SQUARES = Crop(150, 100, 120, 0.1), Crop(60, 60, 90), Crop(190, 160, 520)
SCENES = (None, *(Scene(PHOTO, square) for square in SQUARES))
"""What is around the pictures of a batch."""


@pytest.mark.parametrize("stitched", [False, True], ids=["plain", "stitched"])
def test_sources_are_drawn_from_their_slots(backend: TensorRtBackend, tmp_path: Path, stitched: bool) -> None:
    paths = warping(tmp_path), generator(tmp_path)
    mends = stitching(tmp_path) if stitched else None
    for path in (*paths, *([mends] if mends else [])):
        for rows in (1, 2, 4):
            write_plan(path, tmp_path, rows)
    write_plan(paths[0], tmp_path, 8)  # of one network alone: of no use
    step = PortraitStep(backend, *paths, mends, slots=3)
    assert step.largest == 4
    rng = np.random.default_rng(0)
    volumes = [rng.uniform(0, 0.7, (1, 3, 2, 4, 4)).astype(np.float32) for _ in range(3)]
    faces, sources = [face(rng) for _ in range(3)], rng.normal(0, 0.1, (3, POINTS, 3)).astype(np.float32)
    slots = [step.keep(*each) for each in zip(volumes, [face.kp for face in faces], sources, strict=True)]
    for asked, scenes in zip(([1], [2, 0, 0], [0, 1, 2, 1]), (SCENES[:1], SCENES[1:], SCENES[::-1]), strict=True):
        moved = [faces[index].moved(rng.normal(0, 0.05, 7 + 3 * POINTS).astype(np.float32)) for index in asked]
        moves = np.stack([FACES.move(each) for each in moved])
        patches = [None if scene is None else scene.patch for scene in scenes]
        planes = step.draw([slots[index] for index in asked], moves, patches)
        for row, (index, scene) in enumerate(zip(asked, scenes, strict=True)):
            seen = volumes[index][0].mean(1) + shift(sources[index], FACES.keypoints(moved[row]), stitched)
            painted = seen.repeat(2, 1).repeat(2, 2).transpose(1, 2, 0)
            picture = cv2.resize(painted, (512, 512), interpolation=cv2.INTER_CUBIC)
            levels = (picture.clip(0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
            if scene is None:
                want = cv2.cvtColor(levels, cv2.COLOR_RGB2YUV_I420).astype(int)
                assert np.abs(planes[row] - want).max() <= 1 and want.std() > 10
            else:
                off = np.abs(scene.around(planes[row]).astype(int) - scene.step(levels))
                assert off.mean() < 0.5 and off.max() <= 4
    step.drop(slots[1])
    assert step.keep(volumes[0], faces[0].kp, sources[0]) == slots[1]
    planes = step.draw(slots[:2], np.stack([FACES.move(faces[0])] * 2), [None] * 2)
    np.testing.assert_array_equal(planes[0], planes[1])


def test_networks_without_a_common_bucket_are_told(backend: TensorRtBackend, tmp_path: Path) -> None:
    paths = warping(tmp_path), generator(tmp_path)
    for rows, path in enumerate(paths, 1):
        write_plan(path, tmp_path, rows)
    with pytest.raises(NoPlan, match="warping and generator for as many rows"):
        PortraitStep(backend, *paths, None, slots=1)
