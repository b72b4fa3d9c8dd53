"""Engines that need no weights: their pictures show what they heard, so that tests can read it back from pixels."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.controls import Controls
from engines.drawing import Painting
from engines.drive import UNDRIVEN, Drive
from engines.expression import EXPRESSION_INDEX, rest_expression
from engines.media import FRAME_SIZE, FRAME_TICKS, MEDIA_RATE, AudioChunk, HeadPose, Motion, MotionFrame, VideoFrame

DARK: Final = 40
BRIGHT: Final = 200
"""Luma of the level patch in silence and in full sound."""
PATCH: Final = slice(192, 320)
"""Rows and columns of the level patch."""


@dataclass(frozen=True)
class FakeAvatar:
    id: str
    name: str = "Somebody"
    description: str = "Drawn for tests"
    thumbnail: Path = Path("nowhere.jpg")
    folder: Path = Path("nowhere")
    clip: object = None


class FakeAvatars:
    """A catalogue of two."""

    def list_avatars(self) -> list[str]:
        return ["ada", "ben"]

    def load_avatar(self, id: str, /) -> FakeAvatar:
        return FakeAvatar(id)


@dataclass
class FakeEngine:
    """Opens `FakePipeline`s that take `cost` seconds per picture, without the GIL."""

    cost: float = 0.0
    opening: float = 0.0
    pipelines: list["FakePipeline"] = field(default_factory=list)
    prepared: list[str] = field(default_factory=list)

    def warm_up(self, avatar: Any) -> None:
        pass

    def prepare(self, avatar: Any) -> None:
        self.prepared.append(avatar.id)

    def in_clip(self, avatar: Any, pack: Path) -> Any:
        return replace(avatar, clip="moves")

    def open(self, avatar: Any, *, seed: int = 0, lookahead_ms: int = 80) -> "FakePipeline":
        time.sleep(self.opening)
        pipeline = FakePipeline(self, avatar, lookahead_ms)
        self.pipelines.append(pipeline)
        return pipeline


class FakePipeline:
    """A moving gradient; a patch in the middle is as bright as the 40 ms that it shows were loud, on the average: a
    tone that begins in their middle gives half the brightness."""

    def __init__(self, engine: FakeEngine, avatar: Any, lookahead_ms: int) -> None:
        self.controls = Controls()
        self.drive: Callable[[int], Drive] = lambda media_time: UNDRIVEN
        self.avatar = avatar
        self.scene: Any = None
        self.epoch = 0
        self.lookahead_ticks = lookahead_ms * MEDIA_RATE // 1000
        self.pushed: list[int] = []
        self._engine = engine
        self._levels: dict[int, float] = {}
        self._half: AudioChunk | None = None
        self.drawn = 0
        self.closed = False

    def hear(self, chunk: AudioChunk) -> MotionFrame | None:
        assert chunk.pcm.shape == (320,) and chunk.pcm.dtype == np.int16
        if chunk.epoch != self.epoch:
            return None
        self.pushed.append(chunk.media_time)
        if self._half is None:
            self._half = chunk
            return None
        start = self._half.media_time
        self._levels[start] = _loudness(np.concatenate([self._half.pcm, chunk.pcm]))
        self._half = None
        shown = start - self.lookahead_ticks
        expression = rest_expression()
        expression[EXPRESSION_INDEX["jawOpen"]] = self._levels.pop(shown, 0.0) * self.controls.alpha
        pose = self.drive(shown).pose or HeadPose()
        return MotionFrame(Motion(expression, pose), shown, self.epoch)

    def draw(self, moved: MotionFrame) -> VideoFrame:
        time.sleep(self._engine.cost * (1 if self.avatar.clip is None else 2))
        self.drawn += 1
        level = float(moved.motion.expression[EXPRESSION_INDEX["jawOpen"]]) / (self.controls.alpha or 1.0)
        planes = self._draw(level)
        if self.scene is not None:
            planes = self.scene.step(cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420))
        return VideoFrame(planes, moved.media_time, moved.epoch, moved.motion)

    def interrupt(self, epoch: int) -> None:
        self.epoch = epoch
        self._half = None
        self._levels.clear()

    def close(self) -> None:
        self.closed = True

    def _draw(self, level: float) -> NDArray[np.uint8]:
        planes = np.full((FRAME_SIZE * 3 // 2, FRAME_SIZE), 128, np.uint8)
        columns = np.arange(FRAME_SIZE) + 3 * self.drawn
        planes[:FRAME_SIZE] = (64 + 48 * np.sin(columns / 40)).astype(np.uint8)
        planes[PATCH, PATCH] = DARK + round(min(1.0, 2 * level) * (BRIGHT - DARK))
        return planes


def _loudness(pcm: NDArray[np.int16]) -> float:
    """The amplitude of a tone that fills ``pcm``; of one that fills half of it, half of that."""
    return float(np.abs(pcm.astype(np.float32)).mean()) * np.pi / 2 / 32768


def level_of(luma: NDArray[np.uint8]) -> float:
    """How loud the sound was that a decoded picture ``(512, 512)`` shows, 0 (silence) to 1 (half of full scale)."""
    patch = luma[PATCH, PATCH][16:-16, 16:-16]
    return (float(patch.mean()) - DARK) / (BRIGHT - DARK)


class NoPicture:
    """Sources and renderer that nobody looks at."""

    def get(self, avatar: Any) -> None:
        return None

    def at(self, avatar: Any, media_time: int) -> None:
        return None

    def paint(self, source: Any, motion: Motion) -> Painting:
        raise NotImplementedError

    def step(self, source: Any, motion: Motion) -> NDArray[np.uint8]:
        raise NotImplementedError


assert FRAME_TICKS == 1920
