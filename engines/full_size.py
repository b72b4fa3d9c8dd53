"""The full-size networks as an engine: our voice, motion and controls in front, their renderer behind.

drawing = full_size_drawing(LIVE_PORTRAIT, OpenVinoBackend("f32"), models)
engine = Engine(OpenVinoBackend(), drawing=drawing)
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.avatar import Avatar, list_avatars, load_avatar
from engines.backend import Backend
from engines.control_talk import ControlTalkLips
from engines.drawing import Drawing
from engines.expression import FloatArray
from engines.expression_transfer import Draw, ExpressionTransfer, poses_to_show
from engines.keypoint_renderer import Family, KeypointEncoder, KeypointRenderer, KeypointSource, Looker
from engines.media import FRAME_SIZE, MotionFrame, VideoFrame
from engines.source_cache import SourceCache

ACTORS: Final = 4
"""Avatars that show the motions when a family's transfer is measured."""

Progress = Callable[[float], None]
"""Told the share done, 0 to 1."""


def full_size_drawing(
    family: Family,
    backend: Backend,
    models: Path,
    transfer: ExpressionTransfer,
    lips: Callable[[], ControlTalkLips | None] = lambda: None,
) -> Drawing:
    """What an `Engine` needs to draw with `family`; `lips` makes those of one renderer, if it has any. Raises
    `FileNotFoundError` when its networks were not built."""
    sources = SourceCache(KeypointEncoder(family, backend, models))
    return Drawing(sources, lambda: KeypointRenderer(family, backend, models, transfer, lips()))


def family_transfer(
    family: Family, backend: Backend, models: Path, actors: Drawing, progress: Progress = lambda share: None
) -> ExpressionTransfer:
    """What our motions are to `family`: read from the folder of the models, or measured and kept there.

    `actors` draws the avatars that ship; the family's extractor looks on. Takes about a minute on a CPU.
    """
    path = models / f"{family.name}_transfer.npy"
    if path.is_file():
        return ExpressionTransfer.load(path)
    avatars = [load_avatar(name) for name in list_avatars()[:ACTORS]]
    every, shown = len(avatars) * sum(1 for _ in poses_to_show()), 0

    def one_more() -> None:
        nonlocal shown
        shown += 1
        progress(shown / every)

    looker = Looker(family, backend, models)
    transfer = ExpressionTransfer.measure([_actor(actors, avatar) for avatar in avatars], looker, one_more)
    transfer.save(path)
    return transfer


def _actor(drawing: Drawing, avatar: Avatar) -> Draw:
    source, renderer = drawing.sources.get(avatar), drawing.open()
    return lambda motion: renderer.render(source, motion)


class Step(Protocol):
    """What draws for many at once: `engines.gpu_steps.PortraitStep`."""

    def keep(self, volume: FloatArray) -> int: ...
    def drop(self, slot: int) -> None: ...
    def draw(self, slots: Sequence[int], source: FloatArray, driving: FloatArray) -> NDArray[np.uint8]: ...


class Gallery:
    """Draws the pictures of many sessions in one step on the GPU, whose memory holds the sources shown last."""

    def __init__(self, drawing: Drawing, step: Step, places: int) -> None:
        renderer = drawing.open()
        assert isinstance(renderer, KeypointRenderer)
        self._sources, self._renderer, self._step, self._places = drawing.sources, renderer, step, places
        self._slots: OrderedDict[str, int] = OrderedDict()
        self._drawing = threading.Lock()

    def draw_all(self, work: Sequence[tuple[Any, MotionFrame]]) -> list[VideoFrame]:
        """A frame for every pipeline and its motion (see `engines.workers.perform_together`)."""
        with self._drawing:
            avatars = [pipeline.avatar for pipeline, _ in work]
            sources: list[KeypointSource] = [self._sources.get(avatar) for avatar in avatars]
            driving = [
                self._renderer.drive(source, moved.motion) for source, (_, moved) in zip(sources, work, strict=True)
            ]
            slots = self._hang({avatar.content_hash: source for avatar, source in zip(avatars, sources, strict=True)})
            planes = self._step.draw(
                [slots[avatar.content_hash] for avatar in avatars],
                np.stack([source.keypoints for source in sources]),
                np.stack(driving),
            )
        return [
            VideoFrame(_shown(one, pipeline.scene), moved.media_time, moved.epoch, moved.motion)
            for one, (pipeline, moved) in zip(planes, work, strict=True)
        ]

    def _hang(self, wanted: dict[str, KeypointSource]) -> dict[str, int]:
        """Slots of all `wanted` sources; those that were not shown for the longest make room."""
        for name in wanted:
            if name in self._slots:
                self._slots.move_to_end(name)
        for name, source in wanted.items():
            if name not in self._slots:
                if len(self._slots) == self._places:
                    self._step.drop(self._slots.popitem(last=False)[1])
                self._slots[name] = self._step.keep(source.volume)
        return {name: self._slots[name] for name in wanted}


def _shown(planes: NDArray[np.uint8], scene: Any) -> NDArray[np.uint8]:
    """I420 planes (S * 3 / 2, S) at the size of a frame, within the `scene` if there is one."""
    if scene is None and planes.shape[1] == FRAME_SIZE:
        return planes
    picture = cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420)
    if picture.shape[0] != FRAME_SIZE:
        picture = cv2.resize(picture, (FRAME_SIZE, FRAME_SIZE), interpolation=cv2.INTER_CUBIC)
    if scene is not None:
        return np.asarray(scene.step(picture), np.uint8)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), np.uint8)
