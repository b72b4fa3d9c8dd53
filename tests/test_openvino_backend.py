import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engines.openvino_backend import OpenVinoBackend

onnx = pytest.importorskip("onnx", reason="making a network needs onnx: pip install visavis[build]")


def test_outputs_keep_their_names_whatever_compiling_makes_of_them(tmp_path: Path) -> None:
    """Behind a shuffle of pixels, OpenVINO gives the output of a rectifier a second name."""
    single = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Conv", ["features", "weight"], ["wide"], pads=[1, 1, 1, 1]),
            onnx.helper.make_node("DepthToSpace", ["wide"], ["/shuffled"], blocksize=2, mode="CRD"),
            onnx.helper.make_node("Sigmoid", ["/shuffled"], ["picture"]),
        ],
        "painter",
        [onnx.helper.make_tensor_value_info("features", single, [1, 8, 16, 16])],
        [onnx.helper.make_tensor_value_info("picture", single, [1, 3, 32, 32])],
        [onnx.numpy_helper.from_array(np.ones((12, 8, 3, 3), np.float32), "weight")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "painter.onnx"))
    network = OpenVinoBackend("f32").load(tmp_path / "painter.onnx")
    assert dict(network.inputs) == {"features": (1, 8, 16, 16)}
    outputs = network.run({"features": np.zeros((1, 8, 16, 16), np.float32)})
    assert list(outputs) == ["picture"] and np.allclose(outputs["picture"], 0.5)


def test_a_network_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is the installation complete"):
        OpenVinoBackend("f32").load(tmp_path / "none.onnx")


def test_runs_take_other_arrays_and_refuse_other_inputs(tmp_path: Path) -> None:
    single = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["left", "right"], ["sum"])],
        "adder",
        [onnx.helper.make_tensor_value_info(name, single, [1, 3]) for name in ("left", "right")],
        [onnx.helper.make_tensor_value_info("sum", single, [1, 3])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "adder.onnx"))
    network = OpenVinoBackend("f32").load(tmp_path / "adder.onnx")
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    for first, second in ((0, 1), (2, 3), (3, 0)):
        outputs = network.run({"right": rows[None, second], "left": rows[None, first, ::-1]})
        np.testing.assert_array_equal(outputs["sum"][0], rows[first, ::-1] + rows[second])
    for wrong in ({"left": rows[:1]}, {"left": rows[:1], "right": rows}, {"left": rows[:1], "rihgt": rows[:1]}):
        with pytest.raises(ValueError, match="expected inputs"):
            network.run(wrong)


ENDED = """
import faulthandler, signal, subprocess, sys
from engines.openvino_backend import OpenVinoBackend
from engines.pipeline import WEIGHTS
faulthandler.enable()
signal.signal(signal.SIGCHLD, lambda *_: print("heard"))
backends = [OpenVinoBackend("f32") for _ in range(2)]
for backend in backends:
    backend.load(WEIGHTS / "audio2exp.onnx")
del backend
while backends:
    del backends[0]
subprocess.run([sys.executable, "-c", ""], check=True)
"""


def test_signals_are_heard_when_backends_have_ended_in_any_order() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDED], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "heard\n"), ended.stderr
