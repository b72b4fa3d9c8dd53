from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.avatar import list_avatars, load_avatar
from engines.gpu import Block
from engines.media import FRAME_TICKS, AudioChunk
from engines.pipeline import WEIGHTS
from engines.scheduler import Outcome, Scheduler, Step
from engines.tensorrt_backend import Plan
from realtime.calibration import measure
from realtime.networks import FAMILIES, Networks, NoNetworks, load_networks
from realtime.settings import Settings


def test_the_compact_networks_draw_face_by_face_on_the_cpu() -> None:
    networks = load_networks(Settings())
    assert networks.buckets == (1,)
    assert networks.engine.drawing.open() is not None


@pytest.mark.parametrize("renderer", ["live_portrait", "face_vid2vid"])
def test_full_size_networks_that_were_not_brought_are_asked_for(renderer: str, tmp_path: Path) -> None:
    with pytest.raises(NoNetworks, match="visavis import"):
        load_networks(Settings(renderer=renderer, models=str(tmp_path)))


def test_a_gpu_that_is_asked_for_and_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(folder: Path) -> None:
        from engines.gpu import NoGpu

        raise NoGpu("there is no NVIDIA GPU 0 to be used")

    monkeypatch.setattr("realtime.networks.TensorRtBackend", missing)
    with pytest.raises(NoNetworks, match="no NVIDIA GPU"):
        load_networks(Settings(device="gpu"))


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of compact"):
        Settings(renderer="ditto")
    with pytest.raises(ValueError, match="choose one of auto"):
        Settings(device="tpu")


# On a GPU


class Counted:
    """The fake library, and how often it loaded what."""

    name, version = "tensorrt_rtx", "1.6"

    def __init__(self) -> None:
        from tests.fake_gpu import FakeLibrary

        self.loaded: Counter[str] = Counter()
        self._library = FakeLibrary()

    def load(self, gpu: Any, path: Path, given: Mapping[str, Block]) -> Plan:
        network, _, rows = path.read_text().partition("|")
        self.loaded[f"{Path(network).stem} x {rows}"] += 1
        return self._library.load(gpu, path, given)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Counted:
    pytest.importorskip("onnx", reason="the stand-in for TensorRT needs onnx: pip install visavis[train]")
    pytest.importorskip(
        "onnxruntime", reason="the stand-in for TensorRT needs ONNX Runtime: pip install visavis[train]"
    )
    from engines.tensorrt_backend import TensorRtBackend
    from tests.fake_gpu import FakeGpu

    library = Counted()
    try:
        gpu = FakeGpu()
    except LookupError as error:
        pytest.skip(str(error))

    def backend(folder: Path) -> TensorRtBackend:
        return TensorRtBackend(folder, library=library, gpu=gpu)

    monkeypatch.setattr("realtime.networks.TensorRtBackend", backend)
    return library


def compact_plans(folder: Path, *rows: int) -> None:
    from tests.fake_gpu import write_plan

    for name in ("audio_features", "audio2exp", "renderer_painter"):
        for each in rows:
            write_plan(WEIGHTS / f"{name}.onnx", folder, each)
    write_plan(WEIGHTS / "renderer_source.onnx", folder, 1)


def call(networks: Networks, sessions: int, frames: int = 3) -> list[list[Outcome]]:
    """Warm up, measure, and let calls come, speak for some frames and go."""
    engine, avatar = networks.engine, load_avatar(list_avatars()[0])
    engine.warm_up(avatar)
    costs = measure(engine, avatar, networks.perform, networks.buckets, 1)
    scheduler = Scheduler(costs.curve)
    outcomes: list[list[Outcome]] = [[] for _ in range(sessions)]
    seats = [scheduler.join(engine.open(avatar, seed=seed), each.append) for seed, each in enumerate(outcomes)]
    for index in range(frames):
        chunks = [AudioChunk(np.full(320, 99, np.int16), index * FRAME_TICKS + at) for at in (0, FRAME_TICKS // 2)]
        for seat in seats:
            seat.push(Step((chunks[0], chunks[1]), 1e9))
        while turns := scheduler.take(0.0):
            scheduler.finish(turns, networks.perform(turns), 0.0, 0.0)
    for seat in seats:
        seat.leave()
    return outcomes


def test_the_compact_networks_serve_many_at_once_on_a_gpu(library: Counted, tmp_path: Path) -> None:
    compact_plans(tmp_path, 1, 2)
    networks = load_networks(Settings(device="gpu", plans=str(tmp_path)))
    assert networks.buckets == (1, 2)
    loaded = Counter(library.loaded)
    assert loaded == {
        "renderer_source x 1": 1,
        **{f"{name} x {rows}": 1 for name in ("renderer_painter", "audio_features", "audio2exp") for rows in (1, 2)},
    }
    for outcomes in call(networks, 3):
        assert [outcome.failure for outcome in outcomes] == [None] * 3
        assert all(outcome.frame is not None and outcome.frame.planes.shape == (768, 512) for outcome in outcomes)
    assert library.loaded == loaded, "no session loads anything"


def test_plans_that_never_fit_together_are_told(library: Counted, tmp_path: Path) -> None:
    from tests.fake_gpu import write_plan

    compact_plans(tmp_path, 2)
    for path in tmp_path.glob("renderer_painter*"):
        path.unlink()
    write_plan(WEIGHTS / "renderer_painter.onnx", tmp_path, 4)
    with pytest.raises(NoNetworks, match=r"heard \(2,\) at a time, pictures drawn \(4,\): run `visavis build`"):
        load_networks(Settings(device="gpu", plans=str(tmp_path)))


@pytest.mark.parametrize("renderer", ["live_portrait", "face_vid2vid", "control_talk"])
def test_full_size_networks_are_loaded_once_whoever_draws(library: Counted, tmp_path: Path, renderer: str) -> None:
    from tests.small_families import write_family, write_speech

    compact_plans(tmp_path, 1, 2)
    write_family(tmp_path, FAMILIES[renderer], (1, 2, 4))
    write_speech(tmp_path, (1, 2))
    networks = load_networks(Settings(renderer=renderer, models=str(tmp_path), plans=str(tmp_path)))
    assert networks.buckets == (1, 2), "of four no sound is heard at once"
    loaded = Counter(library.loaded)
    assert set(loaded.values()) == {1}
    waits = 13 if renderer == "control_talk" else 3  # frames until the first is complete
    for outcomes in call(networks, 3, waits):
        assert [outcome.failure for outcome in outcomes] == [None] * waits
        frame = outcomes[-1].frame
        assert frame is not None and frame.planes.shape == (768, 512)
    assert library.loaded == loaded, "no session loads anything"
