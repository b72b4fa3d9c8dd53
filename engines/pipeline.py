"""The way of the data: audio chunk in, stamped frame out. Start reading here.

    20 ms of voice -> AudioFeatures -> (every second chunk) Audio2Exp -> MotionComposer -> Renderer -> frame

A frame shows the 40 ms of audio that end `lookahead_ticks` before the newest chunk: the networks hear that much of
the future. There is no idle mode: silence runs the same way, and the face stays alive on it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from engines.audio2exp import Audio2Exp
from engines.avatar import Avatar
from engines.backend import Backend
from engines.controls import Controls
from engines.drawing import Drawing
from engines.drive import UNDRIVEN, Drive
from engines.features import CHUNK_SAMPLES, AudioFeatures, FeatureState
from engines.media import FRAME_TICKS, AudioChunk, MotionFrame, VideoFrame
from engines.motion import MotionComposer
from engines.openvino_backend import OpenVinoBackend
from engines.renderer import Renderer, SourceEncoder
from engines.scene import Scene
from engines.source_cache import SourceCache

WEIGHTS: Final = Path(__file__).parent / "assets" / "weights"
AUDIO_FEATURES: Final = "audio_features.onnx"


def _hear_silence(features: AudioFeatures) -> FeatureState:
    """What the ear remembers after more silence than it can remember: a voice that begins is no surprise to it."""
    state = features.start()
    for _ in range(125):
        _, state = features.step(state, np.zeros(CHUNK_SAMPLES, np.float32))
    return state


def compact_drawing(backend: Backend, weights: Path) -> Drawing:
    """The compact renderer."""
    return Drawing(SourceCache(SourceEncoder(backend, weights)), lambda: Renderer(backend, weights))


class Engine:
    """Networks loaded once per process, and the sources of the avatars that were shown.

    `backend` runs the compact networks in `weights`; they draw too, unless another `drawing` is given.
    """

    def __init__(self, backend: Backend, weights: Path = WEIGHTS, drawing: Drawing | None = None) -> None:
        self.backend = backend
        self.weights = weights
        self.drawing = drawing or compact_drawing(backend, weights)
        self.silence = _hear_silence(AudioFeatures(backend.load(weights / AUDIO_FEATURES)))

    @classmethod
    def load(cls, weights: Path = WEIGHTS, backend: Backend | None = None) -> "Engine":
        """The networks in `weights` on `backend`, by default the CPU's."""
        return cls(backend or OpenVinoBackend(), weights)

    def prepare(self, avatar: Avatar) -> None:
        """Encode `avatar`, so that no picture has to wait for it."""
        self.drawing.sources.get(avatar)

    def open(self, avatar: Avatar, *, seed: int = 0, lookahead_ms: int = 80) -> "Pipeline":
        """A pipeline for one session. Raises `ValueError` for a lookahead that the networks have no head for."""
        self.prepare(avatar)
        return Pipeline(self, avatar, seed, lookahead_ms)

    def warm_up(self, avatar: Avatar) -> None:
        """Encode `avatar` and draw a frame, so that no caller waits for compilation."""
        pipeline = self.open(avatar)
        for index in range(2):
            silence = np.zeros(CHUNK_SAMPLES, np.int16)
            pipeline.push(AudioChunk(silence, index * FRAME_TICKS // 2))


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
        self._sources = engine.drawing.sources
        self._silence = engine.silence
        self._features = AudioFeatures(engine.backend.load(engine.weights / AUDIO_FEATURES))
        self._audio2exp = Audio2Exp(engine.backend.load(engine.weights / "audio2exp.onnx"), lookahead_ms)
        self._renderer = engine.drawing.open()
        self._composer = MotionComposer()
        self._motion = self._composer.start(seed)
        self._forget()
        self.lookahead_ticks = self._audio2exp.lookahead_frames * FRAME_TICKS

    def _forget(self) -> None:
        self._heard = self._silence
        self._history = self._audio2exp.start()
        self._pair: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []

    def push(self, chunk: AudioChunk) -> VideoFrame | None:
        """Hear 20 ms; every second call completes a frame, which is drawn. See `hear` and `draw`."""
        moved = self.hear(chunk)
        return None if moved is None else self.draw(moved)

    def hear(self, chunk: AudioChunk) -> MotionFrame | None:
        """Hear 20 ms; every second call completes the motion of a frame. Chunks of another epoch are dropped.

        Its media time is negative while the lookahead fills. Whoever is too late for a frame does not draw it: the face
        has moved on, unseen, for a small part of the cost.
        """
        if chunk.epoch != self.epoch:
            return None
        features, self._heard = self._features.step(self._heard, chunk.pcm.astype(np.float32) / np.float32(32768))
        self._pair.append(features)
        if len(self._pair) < 2:
            return None
        bias = self._audio2exp.step(np.stack(self._pair), self._history)
        self._pair = []
        media_time = chunk.media_time - FRAME_TICKS // 2 - self._audio2exp.lookahead_frames * FRAME_TICKS
        motion, self._motion = self._composer.step(self._motion, bias, self.controls, self.drive(media_time))
        return MotionFrame(motion, media_time, self.epoch)

    def draw(self, moved: MotionFrame) -> VideoFrame:
        """The picture of a motion."""
        source = self._sources.get(self.avatar)
        if self.scene is None:
            planes = self._renderer.step(source, moved.motion)
        else:
            planes = self.scene.step(self._renderer.render(source, moved.motion))
        return VideoFrame(planes, moved.media_time, moved.epoch, moved.motion)

    def interrupt(self, epoch: int) -> None:
        """Forget the voice heard so far; the lips ease to rest and later frames carry `epoch`."""
        self.epoch = epoch
        self._forget()
        self._motion = self._composer.release(self._motion)
