import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="rewriting graphs needs onnx: pip install visavis[train]")
pytest.importorskip("onnxruntime", reason="computing graphs needs ONNX Runtime: pip install visavis[train]")

import onnx
from onnx import TensorProto, helper, numpy_helper

from build_trt.build import compact_networks
from build_trt.graph import Array, Graph
from build_trt.precision import (
    ALL_SINGLE,
    Choice,
    decibels,
    half,
    measure,
    on_cpu,
    rounded,
    search,
)
from engines.pipeline import WEIGHTS

run = on_cpu()


def chain(*nodes: onnx.NodeProto, width: int = 64, **weights: Array) -> Graph:
    """A graph of nodes from x to y, both float32 (1, width)."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, width)) for name in ("x", "y")]
    initialisers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(list(nodes), "graph", values[:1], values[1:], initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return Graph.of(model)


def power() -> Graph:
    """x -> sqrt((300 x)^2) x / 300: the square is more than half precision holds."""
    return chain(
        helper.make_node("Mul", ["x", "much"], ["large"], "enlarge"),
        helper.make_node("Pow", ["large", "two"], ["power"], "square"),
        helper.make_node("Sqrt", ["power"], ["root"], "root"),
        helper.make_node("Div", ["root", "much"], ["size"], "shrink"),
        helper.make_node("MatMul", ["size", "weight"], ["y"], "mix"),
        much=np.array(300.0, np.float32),
        two=np.array(2.0, np.float32),
        weight=np.eye(64, dtype=np.float32),
    )


INPUTS = {"x": np.linspace(0.1, 1, 64, dtype=np.float32)[None]}


def test_the_island_is_where_the_numbers_are_too_large() -> None:
    model = power()
    assert measure(model, (), INPUTS, run) == -math.inf
    choice = search(model, INPUTS, run)
    assert set(choice.single) == {"Pow", "Sqrt"}  # who makes the large number and who takes it
    assert choice.decibels > 50 and choice.decibels == measure(model, choice.single, INPUTS, run)


def test_what_is_good_enough_needs_no_island() -> None:
    model = chain(helper.make_node("Sqrt", ["x"], ["y"], "root"))
    choice = search(model, INPUTS, run)
    assert choice.single == () and 60 < choice.decibels < 90


def test_a_bar_that_nothing_reaches_leaves_all_in_single() -> None:
    mixed = np.linspace(-1, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    model = chain(helper.make_node("MatMul", ["x", "weight"], ["y"], "mix"), weight=mixed)
    assert search(model, INPUTS, run, bar=300) == ALL_SINGLE
    assert all(ALL_SINGLE.covers(node) for node in model.nodes)


def test_half_is_half_outside_the_islands_and_float_at_the_doors() -> None:
    model = half(power(), ("Pow", "Sqrt"))
    onnx.checker.check_model(model.model())
    types = {name: signature.dtype for name, signature in model.signatures().items()}
    assert types["x"] == types["y"] == types["power"] == types["root"] == np.float32
    assert types["large"] == types["size"] == np.float16
    assert set(model.values) >= {"weight.half", "much.half", "two"}
    assert "weight" not in set(model.values)
    assert decibels(run(model, INPUTS), run(power(), INPUTS)) > 50


def test_rounding_shows_what_half_precision_loses() -> None:
    model = chain(helper.make_node("Sqrt", ["x"], ["y"], "root"))
    want = np.sqrt(INPUTS["x"].astype(np.float16).astype(np.float32)).astype(np.float16)
    np.testing.assert_array_equal(run(rounded(model, ()), INPUTS)["y"], want.astype(np.float32))


def test_decibels_are_those_of_the_worst_output() -> None:
    clean = {"a": np.linspace(0, 1, 100), "b": np.linspace(0, 1, 100)}
    assert decibels(clean, clean) == math.inf
    noisy = {"a": clean["a"] + 0.001, "b": clean["b"] + 0.01}
    assert decibels(noisy, clean) == pytest.approx(40)
    assert decibels({"a": np.full(100, np.nan), "b": clean["b"]}, clean) == -math.inf


@pytest.mark.parametrize("path", compact_networks(), ids=lambda path: path.stem)
def test_shipped_networks_keep_their_numbers_in_half_precision(path: Path) -> None:
    """With the islands on record, which a search found."""
    from build_trt.islands import ISLANDS

    model = Graph.read(path)
    choice = ISLANDS[path.stem]
    rng = np.random.default_rng(7)
    inputs = {name: rng.uniform(-0.5, 0.5, shape).astype(np.float32) for name, shape in model.inputs.items()}
    assert isinstance(choice, Choice)
    assert measure(model, choice.single, inputs, run) > 45
    assert decibels(run(half(model, choice.single), inputs), run(model, inputs)) > 45


def test_the_islands_can_be_found_anew(capsys: pytest.CaptureFixture[str]) -> None:
    from build_trt.islands import main

    main([str(WEIGHTS / "audio2exp.onnx")])
    head, _, level = capsys.readouterr().out.rstrip("),\n").rpartition(" ")
    assert head == '    "audio2exp": Choice((),'
    assert float(level) > 50
