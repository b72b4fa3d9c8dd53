"""The way of the data: audio chunk in, stamped frame out. Start reading here.

    20 ms of voice -> (every second chunk) Ears -> MotionComposer -> Renderer -> frame

A frame shows the 40 ms of audio that end `lookahead_ticks` before the newest chunk: the networks hear that much of
the future. There is no idle mode: silence runs the same way, and the face stays alive on it.

Who hears and draws for many sessions at once goes the way in its parts: `Pipeline.take`, the ears, `Pipeline.move`, a
gallery (`engines.full_size`, `engines.compact_gallery`), `Pipeline.show`.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import cv2
import numpy as np

from engines.avatar import Avatar
from engines.backend import Backend
from engines.clip_pack import hold_still
from engines.controls import Controls
from engines.drawing import Drawing, Painting
from engines.drive import UNDRIVEN, Drive
from engines.ears import Ears, OwnEars
from engines.expression import FloatArray
from engines.media import CHUNK_SAMPLES, FRAME_TICKS, AudioChunk, MotionFrame, Speech, VideoFrame
from engines.motion import MotionComposer
from engines.openvino_backend import OpenVinoBackend
from engines.renderer import Renderer, SourceEncoder
from engines.scene import Scene
from engines.source_cache import SourceCache

WEIGHTS: Final = Path(__file__).parent / "assets" / "weights"


def compact_drawing(backend: Backend, weights: Path) -> Drawing:
    """The compact renderer."""
    return Drawing(SourceCache(SourceEncoder(backend, weights)), lambda: Renderer(backend, weights))


class Engine:
    """What all sessions of a process hear and draw with, and the sources of the avatars that were shown."""

    def __init__(self, ears: Ears, drawing: Drawing) -> None:
        self.ears = ears
        self.drawing = drawing

    @classmethod
    def load(cls, weights: Path = WEIGHTS, backend: Backend | None = None) -> "Engine":
        """The compact networks in `weights` on `backend`, by default the CPU's."""
        backend = backend or OpenVinoBackend()
        return cls(OwnEars(backend, weights), compact_drawing(backend, weights))

    def prepare(self, avatar: Avatar) -> None:
        """Encode `avatar`, so that no picture has to wait for it."""
        self.drawing.sources.get(avatar)

    def in_clip(self, avatar: Avatar, pack: Path) -> Avatar:
        """`avatar` as if made of a clip, which is written to the folder `pack`: by it the cost of one is measured."""
        return hold_still(avatar, pack)

    def open(self, avatar: Avatar, *, seed: int = 0, lookahead_ms: int = 80) -> "Pipeline":
        """A pipeline for one session. Raises `ValueError` for a lookahead that the networks have no head for."""
        self.prepare(avatar)
        return Pipeline(self, avatar, seed, lookahead_ms)

    def warm_up(self, avatar: Avatar) -> None:
        """Encode `avatar` and draw a frame, and one of a clip, so that no caller waits for compilation."""
        pipeline, silence = self.open(avatar), np.zeros(CHUNK_SAMPLES, np.int16)
        with TemporaryDirectory() as folder:
            for frame, shown in enumerate((avatar, self.in_clip(avatar, Path(folder)))):
                pipeline.avatar = shown
                for half in (0, 1):
                    pipeline.push(AudioChunk(silence, (2 * frame + half) * FRAME_TICKS // 2))
        pipeline.close()


class Pipeline:
    """One session's networks and their state. Called by one thread at a time.

    `controls`, `avatar`, `scene` and `drive` may be replaced between pushes; with a `scene`, frames show it around the
    avatar; `drive` is asked for the tracker's frame of a media time.
    """

    def __init__(self, engine: Engine, avatar: Avatar, seed: int, lookahead_ms: int) -> None:
        self.controls = Controls()
        self.drive: Callable[[int], Drive] = lambda media_time: UNDRIVEN
        self.avatar = avatar
        self.scene: Scene | None = None
        self.epoch = 0
        self.ear = engine.ears.open(lookahead_ms)
        self.lookahead_ticks = self.ear.lookahead_frames * FRAME_TICKS
        self._ears = engine.ears
        self._sources = engine.drawing.sources
        self._renderer = engine.drawing.open()
        self._composer = MotionComposer()
        self._motion = self._composer.start(seed)
        self._first: AudioChunk | None = None

    def push(self, chunk: AudioChunk) -> VideoFrame | None:
        """Hear 20 ms; every second call completes a frame, which is drawn. See `hear` and `draw`."""
        moved = self.hear(chunk)
        return None if moved is None else self.draw(moved)

    def hear(self, chunk: AudioChunk) -> MotionFrame | None:
        """Hear 20 ms; every second call completes the motion of a frame. Chunks of another epoch are dropped.

        Its media time is negative while the lookahead fills. Whoever is too late for a frame does not draw it: the face
        has moved on, unseen, for a small part of the cost.
        """
        speech = self.take(chunk)
        return None if speech is None else self.move(speech, self._ears.hear([self.ear], speech.pcm[None])[0])

    def take(self, chunk: AudioChunk) -> Speech | None:
        """Take 20 ms; every second call returns what `ear` is to hear."""
        if chunk.epoch != self.epoch:
            return None
        if self._first is None:
            self._first = chunk
            return None
        pcm = np.concatenate([self._first.pcm, chunk.pcm]).astype(np.float32) / np.float32(32768)
        speech, self._first = Speech(pcm, self._first.media_time), None
        return speech

    def move(self, speech: Speech, bias: FloatArray) -> MotionFrame | None:
        """The motion of the frame that is complete after `speech`, in which `ear` heard the lips' `bias` (9,)."""
        media_time = speech.media_time - self.ear.lookahead_frames * FRAME_TICKS
        controls, drive, clip = self.controls, self.drive(media_time), self.avatar.clip
        if clip is not None:
            controls, drive = clip.lead(controls, drive)
        motion, self._motion = self._composer.step(self._motion, bias, controls, drive)
        return MotionFrame(motion if clip is None else clip.beyond(motion, media_time), media_time, self.epoch)

    def source(self, moved: MotionFrame) -> Any:
        """What renderers know of the avatar in a frame."""
        return self._sources.at(self.avatar, moved.media_time)

    def surroundings(self, moved: MotionFrame) -> Scene | None:
        """The scene of a frame, if one is shown."""
        return None if self.scene is None else self.scene.at(moved.media_time)

    def draw(self, moved: MotionFrame) -> VideoFrame:
        """The picture of a motion."""
        if self.scene is not None:
            return self.show(self._renderer.paint(self.source(moved), moved.motion), moved)
        planes = self._renderer.step(self.source(moved), moved.motion)
        return VideoFrame(planes, moved.media_time, moved.epoch, moved.motion)

    def show(self, painting: Painting, moved: MotionFrame) -> VideoFrame:
        """The frame of a picture, within the scene if there is one."""
        scene = self.surroundings(moved)
        if scene is not None:
            planes = scene.step(painting.picture, painting.new)
        else:
            planes = np.asarray(cv2.cvtColor(painting.picture, cv2.COLOR_RGB2YUV_I420), np.uint8)
        return VideoFrame(planes, moved.media_time, moved.epoch, moved.motion)

    def interrupt(self, epoch: int) -> None:
        """Forget the voice heard so far; the lips ease to rest and later frames carry `epoch`."""
        self.epoch = epoch
        self._first = None
        self.ear.forget()
        self._motion = self._composer.release(self._motion)

    def close(self) -> None:
        """The session has ended: let others have what it held. From any thread, while nothing else is called."""
        self.ear.close()
