"""Which networks the settings ask for, and where they run."""

import logging
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engines.backend import Backend
from engines.compact_gallery import CompactGallery
from engines.control_talk import WIDTH, ControlTalkEngine, ControlTalkLips, MakeHubert, silence_features
from engines.cost import BUCKETS
from engines.drawing import Drawing
from engines.ears import Ears, OwnEars
from engines.full_size import Gallery, MakeLips, family_transfer, full_size_drawing, full_size_sources
from engines.gpu import NoGpu
from engines.hubert import FINE, StreamingHubert
from engines.keypoint_renderer import FACE_VID2VID, LIVE_PORTRAIT, Family, Mover
from engines.models import models_folder
from engines.openvino_backend import OpenVinoBackend
from engines.pipeline import WEIGHTS, Engine, compact_drawing
from engines.plan_files import NoPlan, plan_folder
from engines.renderer import PAINTER
from engines.tensorrt_backend import PlanRefused, TensorRtBackend
from engines.workers import DrawAll, Perform, perform_each, perform_together
from realtime.priority import make_pictures
from realtime.settings import CONTROL_TALK, Settings

logger = logging.getLogger(__name__)

FAMILIES: Final = {"live_portrait": LIVE_PORTRAIT, "face_vid2vid": FACE_VID2VID, CONTROL_TALK: FACE_VID2VID}
_SPOKEN: Final = ("control_talk", "hubert_front", "hubert_encoder")
"""ControlTalk's own networks of the voice."""
_PLACES: Final = 64
"""Sources in the GPU's memory, 8 MiB each."""
_SESSIONS: Final = 320
"""Least number of sessions that are heard on the GPU, 0.1 MB each: more than a measured house lets in (`engines.cost`),
and those that measure it."""


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
            return _compact(settings, threads)
        return _full_size(FAMILIES[settings.renderer], settings, threads, progress)
    except (NoGpu, NoPlan, PlanRefused) as error:
        raise NoNetworks(str(error)) from error


def _compact(settings: Settings, threads: int) -> Networks:
    if settings.device != "gpu":  # they keep up on any CPU: the GPU is only taken when it is asked for
        return Networks(Engine.load(backend=OpenVinoBackend(threads=threads)))
    gpu = _gpu(settings)
    painter = gpu.load(WEIGHTS / PAINTER)
    gallery = CompactGallery(painter, _cores(settings))
    return _gathered(settings, gpu, compact_drawing(gpu, WEIGHTS), gallery.draw_all, painter.buckets)


def _full_size(family: Family, settings: Settings, threads: int, progress: Callable[[float], None]) -> Networks:
    models = models_folder(settings.models)
    needed = [path for path in _paths(family, models) if path]
    if settings.renderer == CONTROL_TALK:
        needed += [models / f"{name}.onnx" for name in _SPOKEN]
    for path in needed:
        if not path.is_file():
            raise NoNetworks(f"there is no {path.stem} in {models}: `visavis import` its checkpoint, `visavis build`")
    processor = OpenVinoBackend(threads=threads)
    gpu = _gpu_if_there(settings) if settings.device != "cpu" else None
    backend: Backend = gpu or OpenVinoBackend("f32", threads)
    transfer = family_transfer(family, backend, models, compact_drawing(processor, WEIGHTS), progress)
    hubert, lips = _spoken(backend, models) if settings.renderer == CONTROL_TALK else (None, _no_lips)
    if gpu is None:
        logger.warning("%s draws on the CPU, seconds a picture: use it for `visavis render` only", family.name)
        drawing = full_size_drawing(family, backend, models, transfer, lips)
        return Networks(_engine(OwnEars(processor, WEIGHTS), drawing, hubert))
    from engines.portrait_step import PortraitStep

    step = PortraitStep(gpu, *_paths(family, models), _PLACES)
    gallery = Gallery(family.faces, Mover(transfer, lips()), step, _PLACES, _cores(settings))
    drawing = Drawing(full_size_sources(family, gpu, models, lips), gallery.open)
    buckets = step.buckets
    if hubert is not None:
        hubert = _one_for_all(hubert)
        most = min(gpu.load(models / f"{name}.onnx").largest for name in _SPOKEN)
        buckets = tuple(rows for rows in buckets if rows <= most)
    return _gathered(settings, gpu, drawing, gallery.draw_all, buckets, hubert)


def _gathered(
    settings: Settings,
    gpu: TensorRtBackend,
    drawing: Drawing,
    draw_all: DrawAll,
    buckets: tuple[int, ...],
    hubert: MakeHubert | None = None,
) -> Networks:
    """Sessions that the GPU hears and draws together."""
    from engines.speech_step import SpeechStep

    ears = SpeechStep(gpu, WEIGHTS, max(_SESSIONS, settings.max_sessions + max(BUCKETS)))
    shared = tuple(sorted({*buckets} & {*ears.buckets}))
    if not shared:
        raise NoPlan(f"sounds are heard {ears.buckets} at a time, pictures drawn {buckets}: run `visavis build`")
    engine = _engine(ears, drawing, hubert)
    return Networks(engine, perform_together(engine.ears, draw_all), shared)


def _cores(settings: Settings) -> Executor:
    """What works beside the GPU on the pictures of a tick."""
    return ThreadPoolExecutor(settings.worker_count, "gallery", make_pictures)


def _engine(ears: Ears, drawing: Drawing, hubert: MakeHubert | None) -> Engine:
    return ControlTalkEngine(ears, drawing, hubert) if hubert else Engine(ears, drawing)


def _no_lips() -> None:
    """The families whose lips are moved by our own voice networks."""


def _spoken(backend: Backend, models: Path) -> tuple[MakeHubert, MakeLips]:
    """ControlTalk's ears and lips."""
    hubert = _hubert(backend, models)
    silence = silence_features(hubert())
    return hubert, lambda: ControlTalkLips(backend.load(models / "control_talk.onnx"), silence)


def _paths(family: Family, models: Path) -> tuple[Path, Path, Path | None]:
    """Warping, generator, stitching."""
    warping, generator, stitching = (
        models / f"{family.name}_{name}.onnx" for name in ("warping", "generator", "stitching")
    )
    return warping, generator, stitching if family.stitches else None


def _hubert(backend: Backend, models: Path) -> MakeHubert:
    def load() -> StreamingHubert:
        front, encoder = (backend.load(models / f"hubert_{half}.onnx") for half in ("front", "encoder"))
        hubert = StreamingHubert(front, encoder, FINE)
        if hubert.width != WIDTH:
            raise NoNetworks(f"ControlTalk needs HuBERT-large, {WIDTH} wide; the one in {models} has {hubert.width}")
        return hubert

    return load


def _one_for_all(load: MakeHubert) -> MakeHubert:
    """Of networks that let callers take turns one is enough."""
    hubert = load()
    return lambda: hubert


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
