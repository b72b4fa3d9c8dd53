"""The full-size networks as an engine: our voice, motion and controls in front, their renderer behind.

drawing = full_size_drawing(LIVE_PORTRAIT, OpenVinoBackend("f32"), models, transfer)
engine = Engine(OwnEars(OpenVinoBackend(), WEIGHTS), drawing)
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.avatar import Avatar, list_avatars, load_avatar
from engines.backend import Backend
from engines.control_talk import ControlTalkLips
from engines.drawing import Drawing, Painting
from engines.expression import FloatArray
from engines.expression_transfer import Draw, ExpressionTransfer, poses_to_show
from engines.keypoint_face import Faces
from engines.keypoint_renderer import Family, KeypointEncoder, KeypointRenderer, KeypointSource, Looker, Mover
from engines.media import Motion, MotionFrame, VideoFrame
from engines.pipeline import Pipeline
from engines.scene import Patch, Scene
from engines.source_cache import SourceCache

ACTORS: Final = 4
"""Avatars that show the motions when a family's transfer is measured."""

Progress = Callable[[float], None]
"""Told the share done, 0 to 1."""


MakeLips = Callable[[], ControlTalkLips | None]
"""Makes lips for one thread, if the family has any of its own."""


def full_size_sources(family: Family, backend: Backend, models: Path, lips: MakeLips) -> SourceCache[KeypointSource]:
    """What `family` sees in avatars. Raises `FileNotFoundError` when its networks were not built."""
    return SourceCache(KeypointEncoder(family, backend, models, lips()))


def full_size_drawing(
    family: Family, backend: Backend, models: Path, transfer: ExpressionTransfer, lips: MakeLips = lambda: None
) -> Drawing:
    """What an `Engine` needs to draw with `family`, face by face. Raises `FileNotFoundError` when its networks were not
    built."""
    sources = full_size_sources(family, backend, models, lips)
    return Drawing(sources, lambda: KeypointRenderer(family, backend, models, Mover(transfer, lips())))


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
    return lambda motion: renderer.paint(source, motion).picture


class Step(Protocol):
    """What draws for many at once: `engines.portrait_step.PortraitStep`."""

    def keep(self, volume: FloatArray, canonical: FloatArray, keypoints: FloatArray) -> int: ...
    def drop(self, slot: int) -> None: ...
    def draw(
        self, slots: Sequence[int], moves: FloatArray, patches: Sequence[Patch | None]
    ) -> Sequence[NDArray[np.uint8]]: ...


class Gallery:
    """Draws the pictures of many sessions in one step on the GPU, whose memory holds the sources shown last."""

    def __init__(self, faces: Faces, mover: Mover, step: Step, places: int, cores: Executor) -> None:
        """`cores` fetch sources and scenes, and put frames together."""
        self._faces, self._mover, self._step, self._places, self._cores = faces, mover, step, places, cores
        self._slots: OrderedDict[KeypointSource, int] = OrderedDict()
        self._drawing = threading.Lock()

    def draw_all(self, work: Sequence[tuple[Pipeline, MotionFrame]]) -> list[VideoFrame]:
        """A frame for every pipeline and its motion (see `engines.workers.perform_together`)."""
        sources = list(self._cores.map(lambda one: one[0].source(one[1]), work))
        scenes = list(self._cores.map(lambda one: one[0].surroundings(one[1]), work))
        motions = [moved for _, moved in work]
        patches = [None if scene is None else scene.patch for scene in scenes]
        planes = self.draw(sources, [moved.motion for moved in motions], patches)
        return list(self._cores.map(_frame, planes, scenes, motions))

    def draw(
        self, sources: Sequence[KeypointSource], motions: Sequence[Motion], patches: Sequence[Patch | None]
    ) -> Sequence[NDArray[np.uint8]]:
        """I420 planes uint8 (768, 512) of each, or those of the patch that the picture is laid into."""
        with self._drawing:
            moves = np.stack([self._faces.move(face) for face in self._mover(sources, motions)])
            slots = self._hang(sources)
            return self._step.draw([slots[source] for source in sources], moves, patches)

    def open(self) -> "Easel":
        """A renderer for whoever draws alone: warming up, a film."""
        return Easel(self)

    def _hang(self, wanted: Sequence[KeypointSource]) -> dict[KeypointSource, int]:
        """Slots of all `wanted` sources; those that were not shown for the longest make room."""
        for source in wanted:
            if source in self._slots:
                self._slots.move_to_end(source)
        for source in wanted:
            if source not in self._slots:
                if len(self._slots) == self._places:
                    self._step.drop(self._slots.popitem(last=False)[1])
                self._slots[source] = self._step.keep(source.volume, source.face.kp, source.keypoints)
        return {source: self._slots[source] for source in wanted}


class Easel:
    """A gallery with one picture: the networks are those of all."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    def paint(self, source: KeypointSource, motion: Motion) -> Painting:
        """The picture of a motion."""
        return Painting(np.asarray(cv2.cvtColor(self.step(source, motion), cv2.COLOR_YUV2RGB_I420), np.uint8))

    def step(self, source: KeypointSource, motion: Motion) -> NDArray[np.uint8]:
        """The same as I420 planes, uint8 (768, 512)."""
        return self._gallery.draw([source], [motion], [None])[0]


def _frame(planes: NDArray[np.uint8], scene: Scene | None, moved: MotionFrame) -> VideoFrame:
    shown = planes if scene is None else scene.around(planes)
    return VideoFrame(shown, moved.media_time, moved.epoch, moved.motion)
