"""Which networks the settings ask for, and where they run."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engines.backend import Backend
from engines.control_talk import WIDTH, ControlTalkEngine, ControlTalkLips, silence_features
from engines.full_size import Gallery, family_transfer, full_size_drawing
from engines.gpu import NoGpu
from engines.hubert import FINE, StreamingHubert
from engines.keypoint_renderer import FACE_VID2VID, LIVE_PORTRAIT, Family
from engines.models import models_folder
from engines.openvino_backend import OpenVinoBackend
from engines.pipeline import Engine
from engines.plan_files import NoPlan, plan_folder
from engines.tensorrt_backend import PlanRefused, TensorRtBackend
from engines.workers import Perform, perform_each, perform_together
from realtime.settings import CONTROL_TALK, Settings

logger = logging.getLogger(__name__)

FAMILIES: Final = {"live_portrait": LIVE_PORTRAIT, "face_vid2vid": FACE_VID2VID, CONTROL_TALK: FACE_VID2VID}
_PLACES: Final = 64
"""Sources in the GPU's memory, 8 MiB each."""


class NoNetworks(ValueError):
    """What the settings ask for is not there; the message says what to do."""


@dataclass(frozen=True)
class Networks:
    """An engine, how the scheduler's batches are done with it, and the sizes of batch that it is built for."""

    engine: Engine
    perform: Perform = perform_each
    buckets: tuple[int, ...] = (1,)


def load_networks(
    settings: Settings, *, threads: int = 1, progress: Callable[[float], None] = lambda share: None
) -> Networks:
    """Load what `settings.renderer` and `settings.device` name; `progress` is told while a family's transfer is
    measured, which happens once. Raises `NoNetworks`."""
    try:
        if settings.renderer == "compact":
            # The compact networks keep up on any CPU: the GPU is only taken when it is asked for.
            gpu = _gpu(settings) if settings.device == "gpu" else None
            return Networks(Engine.load(backend=gpu or OpenVinoBackend(threads=threads)))
        return _full_size(FAMILIES[settings.renderer], settings, threads, progress)
    except (NoGpu, NoPlan, PlanRefused) as error:
        raise NoNetworks(str(error)) from error


def _full_size(family: Family, settings: Settings, threads: int, progress: Callable[[float], None]) -> Networks:
    models = models_folder(settings.models)
    needed = [*_paths(family, models)]
    if settings.renderer == CONTROL_TALK:
        needed += [models / f"{name}.onnx" for name in ("control_talk", "hubert_front", "hubert_encoder")]
    for path in needed:
        if not path.is_file():
            raise NoNetworks(f"there is no {path.stem} in {models}: `visavis import` its checkpoint, `visavis build`")
    compact = Engine.load(backend=OpenVinoBackend(threads=threads))
    gpu = _gpu_if_there(settings) if settings.device != "cpu" else None
    backend: Backend = gpu or OpenVinoBackend("f32", threads)
    transfer = family_transfer(family, backend, models, compact.drawing, progress)
    engine: Engine
    if settings.renderer == CONTROL_TALK:
        hubert = _hubert(backend, models)
        silence = silence_features(hubert())
        audio2exp = models / "control_talk.onnx"
        drawing = full_size_drawing(
            family, backend, models, transfer, lambda: ControlTalkLips(backend.load(audio2exp), silence)
        )
        engine = ControlTalkEngine(compact.backend, drawing, hubert)
    else:
        drawing = full_size_drawing(family, backend, models, transfer)
        engine = Engine(compact.backend, drawing=drawing)
    if gpu is None:
        logger.warning("%s draws on the CPU, seconds a picture: use it for `visavis render` only", family.name)
        return Networks(engine)
    from engines.gpu_steps import PortraitStep

    step = PortraitStep(gpu, *_paths(family, models), _PLACES)
    return Networks(engine, perform_together(Gallery(drawing, step, _PLACES).draw_all), step.buckets)


def _paths(family: Family, models: Path) -> tuple[Path, Path]:
    return models / f"{family.name}_warping.onnx", models / f"{family.name}_generator.onnx"


def _hubert(backend: Backend, models: Path) -> Callable[[], StreamingHubert]:
    def load() -> StreamingHubert:
        front, encoder = (backend.load(models / f"hubert_{half}.onnx") for half in ("front", "encoder"))
        hubert = StreamingHubert(front, encoder, FINE)
        if hubert.width != WIDTH:
            raise NoNetworks(f"ControlTalk needs HuBERT-large, {WIDTH} wide; the one in {models} has {hubert.width}")
        return hubert

    return load


def _gpu(settings: Settings) -> TensorRtBackend:
    return TensorRtBackend(plan_folder(settings.plans))


def _gpu_if_there(settings: Settings) -> TensorRtBackend | None:
    """Raises `NoGpu` if one is asked for and is not there."""
    try:
        return _gpu(settings)
    except NoGpu:
        if settings.device == "gpu":
            raise
        return None
