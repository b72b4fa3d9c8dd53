"""The GPU backend without a GPU: `tests.fake_gpu` stands for the driver and the library."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the stand-in for TensorRT needs onnx: pip install visavis[train]")
pytest.importorskip("onnxruntime", reason="the stand-in for TensorRT needs ONNX Runtime: pip install visavis[train]")

from engines.gpu import GRAPHS, CudaGpu, NoGpu
from engines.openvino_backend import OpenVinoBackend
from engines.pipeline import WEIGHTS, Engine
from engines.plan_files import NoPlan
from engines.tensorrt_backend import PlanRefused, TensorRt, TensorRtBackend
from tests.fake_gpu import FakeGpu, FakeLibrary, write_plan

AUDIO2EXP = WEIGHTS / "audio2exp.onnx"


@pytest.fixture
def gpu() -> FakeGpu:
    try:
        return FakeGpu()
    except LookupError as error:
        pytest.skip(str(error))


def backend(gpu: FakeGpu, folder: Path) -> TensorRtBackend:
    return TensorRtBackend(folder, library=FakeLibrary(), gpu=gpu)


def inputs(rows: int) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    rng = np.random.default_rng(rows)
    shapes = {"features": (rows, 2, 195), "history": (rows, 16, 9)}
    return {name: rng.uniform(0, 1, shape).astype(np.float32) for name, shape in shapes.items()}


def test_rows_run_in_the_smallest_bucket_that_holds_them(gpu: FakeGpu, tmp_path: Path) -> None:
    for rows in (1, 2, 4):
        write_plan(AUDIO2EXP, tmp_path, rows)
    network = backend(gpu, tmp_path).load(AUDIO2EXP)
    assert dict(network.inputs) == {"features": (1, 2, 195), "history": (1, 16, 9)} and network.largest == 4
    assert gpu.captured == 3
    alone = OpenVinoBackend("f32").load(AUDIO2EXP)
    kept = []
    for rows in (3, 1, 4, 2):
        given = inputs(rows)
        got = network.run(given)["bias"]
        each_row = [{name: tensor[i : i + 1] for name, tensor in given.items()} for i in range(rows)]
        want = np.concatenate([alone.run(row)["bias"].copy() for row in each_row])
        np.testing.assert_allclose(got, want, atol=1e-5)
        kept.append((got, want))
    for got, want in kept:  # each caller's own
        np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"features": np.zeros((1, 2, 195), np.float32)}, "takes .*history"),
        (inputs(1) | {"history": np.zeros((2, 16, 9), np.float32)}, "one or more rows of each"),
        (inputs(3), "1 to 2 rows, not 3"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(gpu: FakeGpu, tmp_path: Path, given: dict[str, Any], reason: str) -> None:
    write_plan(AUDIO2EXP, tmp_path, 2)
    with pytest.raises(ValueError, match=reason):
        backend(gpu, tmp_path).load(AUDIO2EXP).run(given)


def test_threads_take_turns(gpu: FakeGpu, tmp_path: Path) -> None:
    write_plan(AUDIO2EXP, tmp_path, 1)
    network = backend(gpu, tmp_path).load(AUDIO2EXP)
    given = [{name: each[i : i + 1] for name, each in inputs(4).items()} for i in range(4)]
    want, got = [network.run(each)["bias"] for each in given], {}

    def run(index: int) -> None:
        got[index] = [network.run(given[index])["bias"] for _ in range(5)]

    threads = [threading.Thread(target=run, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in range(4):
        for each in got[index]:
            np.testing.assert_array_equal(each, want[index])


def test_the_compact_engine_runs_on_it_unchanged(gpu: FakeGpu, tmp_path: Path) -> None:
    from engines.avatar import list_avatars, load_avatar

    for path in WEIGHTS.glob("*.onnx"):
        write_plan(path, tmp_path, 1)
    engine = Engine.load(backend=backend(gpu, tmp_path))
    engine.warm_up(load_avatar(list_avatars()[0]))


def test_without_graphs_work_is_recorded_each_time(tmp_path: Path) -> None:
    try:
        gpu = FakeGpu(graphs=False)
    except LookupError as error:
        pytest.skip(str(error))
    write_plan(AUDIO2EXP, tmp_path, 1)
    network = backend(gpu, tmp_path).load(AUDIO2EXP)
    assert gpu.captured == 0 and np.isfinite(network.run(inputs(1))["bias"]).all()


def test_a_network_is_loaded_once(gpu: FakeGpu, tmp_path: Path) -> None:
    write_plan(AUDIO2EXP, tmp_path, 1)
    here = backend(gpu, tmp_path)
    assert here.load(AUDIO2EXP) is here.load(AUDIO2EXP)


def test_what_is_missing_is_told(gpu: FakeGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="there is no network"):
        backend(gpu, tmp_path).load(tmp_path / "nothing.onnx")
    with pytest.raises(NoPlan, match="visavis build"):
        backend(gpu, tmp_path).load(AUDIO2EXP)
    write_plan(AUDIO2EXP, tmp_path, 1).write_text("damaged")
    with pytest.raises(PlanRefused, match="is no plan"):
        backend(gpu, tmp_path).load(AUDIO2EXP)
    with pytest.raises(NoPlan, match="no TensorRT is installed"):
        TensorRt("tensorrt_of_tomorrow")


def test_a_machine_without_a_gpu_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    core = pytest.importorskip("cuda.core", reason="needs cuda.core: pip install 'visavis[gpu]'")
    try:
        core.Device.get_all_devices()[0].set_current()
    except Exception:
        with pytest.raises(NoGpu, match="there is no NVIDIA GPU 0"):
            CudaGpu()
    else:
        pytest.skip("there is a GPU")


def test_the_switch_is_named() -> None:
    assert GRAPHS == "VISAVIS_CUDA_GRAPHS"
