from pathlib import Path

import numpy as np
import pytest

from engines.openvino_backend import FOR_CPU, OpenVinoBackend
from engines.pipeline import WEIGHTS
from engines.renderer import PAINTER

onnx = pytest.importorskip("onnx", reason="quantising needs onnx: pip install visavis[train]")
pytest.importorskip("onnxruntime", reason="quantising needs ONNX Runtime: pip install visavis[train]")
pytest.importorskip("torch", reason="training needs PyTorch: pip install visavis[train]")

from build_trt.quantize import quantize, sketches  # noqa: E402
from training.picture_metrics import decibels, squared_error  # noqa: E402


def two_convolutions(path: Path) -> None:
    """`picture` (1, 3, 8, 8) through `/body/Conv` and `/out/Conv`."""
    rng, single = np.random.default_rng(0), onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Conv", ["picture", "body.weight"], ["wide"], "/body/Conv", pads=[1, 1, 1, 1]),
            onnx.helper.make_node("Relu", ["wide"], ["hidden"], "/Relu"),
            onnx.helper.make_node("Conv", ["hidden", "out.weight"], ["layer"], "/out/Conv"),
        ],
        "painter",
        [onnx.helper.make_tensor_value_info("picture", single, [1, 3, 8, 8])],
        [onnx.helper.make_tensor_value_info("layer", single, [1, 4, 8, 8])],
        [
            onnx.numpy_helper.from_array(rng.normal(0, 1, shape).astype(np.float32), name)
            for name, shape in (("body.weight", (16, 3, 3, 3)), ("out.weight", (4, 16, 1, 1)))
        ],
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), str(path))


def test_a_quantised_network_computes_nearly_the_same_and_is_what_the_cpu_takes(tmp_path: Path) -> None:
    rng, path = np.random.default_rng(1), tmp_path / "painter.onnx"
    two_convolutions(path)
    samples = [{"picture": rng.normal(0, 1, (1, 3, 8, 8)).astype(np.float32)} for _ in range(8)]
    whole = OpenVinoBackend("f32").load(path)
    written = quantize(path, samples)
    assert written == path.with_suffix(FOR_CPU)
    named = {node.name: list(node.input) for node in onnx.load(str(written)).graph.node if node.op_type == "Conv"}
    assert "Dequantize" in named["/body/Conv"][1] and named["/out/Conv"][1] == "out.weight"
    exact, rounded = (network.run(samples[0])["layer"] for network in (whole, OpenVinoBackend("f32").load(path)))
    assert 0 < np.abs(rounded - exact).max() < 0.03 * np.abs(exact).max()


def test_the_shipped_painter_in_8_bits_paints_what_its_original_does(tmp_path: Path) -> None:
    (tmp_path / PAINTER).write_bytes((WEIGHTS / PAINTER).read_bytes())
    original, shipped = (OpenVinoBackend("f32").load(folder / PAINTER) for folder in (tmp_path, WEIGHTS))
    errors = []
    for sketch in sketches(WEIGHTS, 1, seed=2):
        one, other = (sketch.painted(network.run(sketch.inputs)).picture for network in (original, shipped))
        errors.append(squared_error(one, other))
    assert max(errors) > 0 and decibels(errors) > 45
