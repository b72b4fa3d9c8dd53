"""What stays on the GPU, against the same networks fed by the host. `tests.fake_gpu` stands for driver and library."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx", reason="the stand-in for TensorRT needs onnx: pip install visavis[train]")
pytest.importorskip("onnxruntime", reason="the stand-in for TensorRT needs ONNX Runtime: pip install visavis[train]")

import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.audio2exp import Audio2Exp, ExpressionHistory
from engines.features import AudioFeatures, FeatureState
from engines.gpu_steps import Full, PortraitStep, Slots, SpeechStep
from engines.openvino_backend import OpenVinoBackend
from engines.pipeline import WEIGHTS
from engines.plan_files import NoPlan
from engines.tensorrt_backend import TensorRtBackend
from tests.fake_gpu import FakeGpu, FakeLibrary, write_plan


@pytest.fixture(params=[True, False], ids=["graphs", "no graphs"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> TensorRtBackend:
    try:
        return TensorRtBackend(tmp_path, library=FakeLibrary(), gpu=FakeGpu(graphs=request.param))
    except LookupError as error:
        pytest.skip(str(error))


class Session:
    """One session as the CPU serves it."""

    def __init__(self, features: AudioFeatures, audio2exp: Audio2Exp) -> None:
        self._features, self._audio2exp = features, audio2exp
        self.forget()

    def forget(self) -> None:
        self._heard: FeatureState = self._features.start()
        self._history: ExpressionHistory = self._audio2exp.start()

    def hear(self, pcm: Any) -> Any:
        pair = []
        for half in pcm.reshape(2, 320):
            feature, self._heard = self._features.step(self._heard, half)
            pair.append(feature)
        return self._audio2exp.step(np.stack(pair), self._history)


def test_sessions_hear_for_themselves_as_they_come_and_go(backend: TensorRtBackend, tmp_path: Path) -> None:
    for name in ("audio_features", "audio2exp"):
        for rows in (1, 4):
            write_plan(WEIGHTS / f"{name}.onnx", tmp_path, rows)
    cpu = OpenVinoBackend("f32")
    features = AudioFeatures(cpu.load(WEIGHTS / "audio_features.onnx"))
    audio2exp = Audio2Exp(cpu.load(WEIGHTS / "audio2exp.onnx"), 80)
    step = SpeechStep(backend, WEIGHTS, features.start(), lookahead_ms=80, slots=3)
    assert step.largest == 4
    rng = np.random.default_rng(0)
    sessions = {step.join(): Session(features, audio2exp) for _ in range(3)}
    assert list(sessions) == [0, 1, 2]
    moved = 0.0
    for tick in range(24):
        if tick == 8:
            step.forget(2)
            sessions[2].forget()
        if tick == 12:  # one goes, and another takes its place
            step.leave(1)
            assert step.join() == 1
            sessions[1].forget()
        here = [slot for slot in (2, 0, 1) if tick % 3 != slot]
        pcm = (rng.standard_normal((len(here), 640)) * 0.1).astype(np.float32)
        bias = step.hear(here, pcm)
        want = np.array([sessions[slot].hear(row) for slot, row in zip(here, pcm, strict=True)])
        np.testing.assert_allclose(bias, want, atol=2e-4)
        moved = max(moved, float(np.abs(want).max()))
    assert moved > 0.05


def test_a_session_hears_once_and_slots_end(backend: TensorRtBackend, tmp_path: Path) -> None:
    for name in ("audio_features", "audio2exp"):
        write_plan(WEIGHTS / f"{name}.onnx", tmp_path, 2)
    features = AudioFeatures(OpenVinoBackend("f32").load(WEIGHTS / "audio_features.onnx"))
    step = SpeechStep(backend, WEIGHTS, features.start(), lookahead_ms=0, slots=1)
    step.join()
    with pytest.raises(Full, match="all 1 slots"):
        step.join()
    with pytest.raises(ValueError, match="hears once"):
        step.hear([0, 0], np.zeros((2, 640), np.float32))
    with pytest.raises(ValueError, match="1 to 2 sessions, not 3"):
        step.hear([0, 1, 2], np.zeros((3, 640), np.float32))


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
    return write(nodes, shapes, {"features": (1, 3, 4, 4)}, fixed, folder / "live_portrait_warping.onnx")


def generator(folder: Path) -> Path:
    """The features, twice as large."""
    resize = helper.make_node("Resize", ["features", "", "scales"], ["picture"], mode="nearest")
    shapes, outputs = {"features": (1, 3, 4, 4)}, {"picture": (1, 3, 8, 8)}
    return write([resize], shapes, outputs, {"scales": [1.0, 1.0, 2.0, 2.0]}, folder / "live_portrait_generator.onnx")


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


def test_sources_are_drawn_from_their_slots(backend: TensorRtBackend, tmp_path: Path) -> None:
    paths = warping(tmp_path), generator(tmp_path)
    for path in paths:
        for rows in (1, 2, 4):
            write_plan(path, tmp_path, rows)
    write_plan(paths[0], tmp_path, 8)  # of one network alone: of no use
    step = PortraitStep(backend, *paths, slots=3)
    assert step.largest == 4
    rng = np.random.default_rng(0)
    volumes = [rng.uniform(0, 1, (1, 3, 2, 4, 4)).astype(np.float32) for _ in range(3)]
    slots = [step.keep(volume) for volume in volumes]
    for asked in ([1], [2, 0, 0], [0, 1, 2, 1]):
        chosen = [slots[index] for index in asked]
        source, driving = rng.uniform(-0.2, 0.2, (2, len(asked), 5, 3)).astype(np.float32)
        planes = step.draw(chosen, source, driving)
        for row, index in enumerate(asked):
            shift = (driving[row] - source[row]).mean(0)[:, None, None]
            picture = (volumes[index][0].mean(1) + shift).repeat(2, 1).repeat(2, 2).transpose(1, 2, 0)
            levels = (picture.clip(0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
            want = cv2.cvtColor(levels, cv2.COLOR_RGB2YUV_I420).astype(int)
            assert np.abs(planes[row] - want).max() <= 1
    step.drop(slots[1])
    assert step.keep(volumes[0]) == slots[1]
    planes = step.draw([slots[0], slots[1]], source[:2], source[:2])
    np.testing.assert_array_equal(planes[0], planes[1])


def test_networks_without_a_common_bucket_are_told(backend: TensorRtBackend, tmp_path: Path) -> None:
    paths = warping(tmp_path), generator(tmp_path)
    for rows, path in enumerate(paths, 1):
        write_plan(path, tmp_path, rows)
    with pytest.raises(NoPlan, match="for as many rows"):
        PortraitStep(backend, *paths, slots=1)


def test_slots_are_taken_once() -> None:
    slots = Slots(2)
    assert [slots.take(), slots.take()] == [0, 1]
    slots.give_back(0)
    assert slots.take() == 0
    with pytest.raises(Full):
        slots.take()
    slots.give_back(1)
    with pytest.raises(KeyError):
        slots.give_back(1)
