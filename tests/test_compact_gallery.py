import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the stand-in for TensorRT needs onnx: pip install visavis[train]")
pytest.importorskip("onnxruntime", reason="the stand-in for TensorRT needs ONNX Runtime: pip install visavis[train]")

from engines.avatar import list_avatars, load_avatar
from engines.compact_gallery import CompactGallery
from engines.drawing import Drawing
from engines.landmarks import Crop
from engines.media import HeadPose, Motion, MotionFrame
from engines.openvino_backend import OpenVinoBackend
from engines.pipeline import WEIGHTS, Engine, compact_drawing
from engines.renderer import PAINTER
from engines.scene import Scene
from engines.tensorrt_backend import TensorRtBackend
from tests.fake_gpu import FakeGpu, FakeLibrary, write_plan
from tests.test_full_size import Deaf
from tests.test_keypoint_renderer import jaw


def test_pictures_painted_in_one_batch_are_those_painted_one_by_one(tmp_path: Path) -> None:
    for rows in (1, 4):
        write_plan(WEIGHTS / PAINTER, tmp_path, rows)
    try:
        gpu = FakeGpu()
    except LookupError as error:
        pytest.skip(str(error))
    painter = TensorRtBackend(tmp_path, library=FakeLibrary(), gpu=gpu).load(WEIGHTS / PAINTER)
    exact = tmp_path / "exact"
    exact.mkdir()
    for name in ("renderer_source.onnx", PAINTER):  # without what CPUs take instead, in 8 bits
        shutil.copy(WEIGHTS / name, exact)
    drawing: Drawing = compact_drawing(OpenVinoBackend("f32"), exact)
    engine = Engine(Deaf(), drawing)
    pipelines = [engine.open(load_avatar(name)) for name in (*list_avatars()[:2], list_avatars()[0])]
    pipelines[2].scene = Scene(np.full((400, 600, 3), 90, np.uint8), Crop(300, 200, 150))
    turned = Motion(pose=HeadPose(yaw=0.2))
    motions = [MotionFrame(motion, index * 1920, 7) for index, motion in enumerate((jaw(0.5), jaw(0.0), turned))]
    waits = gpu.waits
    with ThreadPoolExecutor(2) as cores:
        frames = CompactGallery(painter, cores).draw_all(list(zip(pipelines, motions, strict=True)))
    assert gpu.waits == waits + 1, "one batch"
    for frame, pipeline, moved in zip(frames, pipelines, motions, strict=True):
        alone = pipeline.draw(moved)
        assert (frame.media_time, frame.epoch, frame.motion) == (alone.media_time, alone.epoch, alone.motion)
        assert frame.planes.shape == alone.planes.shape
        assert np.abs(frame.planes.astype(int) - alone.planes).max() <= 2
    assert [frame.planes.shape for frame in frames] == [(768, 512), (768, 512), (600, 600)]
