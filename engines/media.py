"""What travels through the house, each thing stamped with its media time.

Media time is counted in samples of the driving audio at `MEDIA_RATE`, from 0 at the start of the session. An epoch
numbers the stretches between interruptions: whatever carries an older epoch than the session's is dropped.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray, rest_expression

MEDIA_RATE: Final = 48_000
"""Ticks of media time per second: Opus's clock."""
SPEECH_RATE: Final = 16_000
"""Samples per second that the audio networks hear."""
CHUNK_SAMPLES: Final = 320
"""Samples of speech that come at once: 20 ms, half a video frame."""
FRAME_RATE: Final = 25
"""Video frames per second."""
STEP: Final = 1.0 / FRAME_RATE
"""Seconds from one frame to the next."""
FRAME_TICKS: Final = MEDIA_RATE // FRAME_RATE
"""Media time of one video frame: 1920 ticks, 40 ms."""
FRAME_SIZE: Final = 512
"""Width and height of a video frame in pixels."""


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Mono speech: `pcm` int16 ``(n,)`` at `SPEECH_RATE`; `media_time` of its first sample."""

    pcm: NDArray[np.int16]
    media_time: int
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Speech:
    """A frame's voice: `pcm` float32 ``(640,)`` at `SPEECH_RATE`, full scale 1; `media_time` of its first sample."""

    pcm: FloatArray
    media_time: int


@dataclass(frozen=True, slots=True)
class HeadPose:
    """Where the head is. Angles in radians, translation in decimetres (x to the model's left, y up, z forward).

    Positive pitch looks down, positive yaw turns to the model's left, positive roll tilts to the model's right.
    """

    pitch: float = 0.0
    yaw: float = 0.0
    roll: float = 0.0
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def vector(self) -> NDArray[np.float64]:
        """Pitch, yaw, roll and translation, float64 (6,)."""
        return np.array([self.pitch, self.yaw, self.roll, *self.translation])

    @classmethod
    def from_vector(cls, vector: NDArray[np.float64]) -> "HeadPose":
        """The inverse of `vector`."""
        pitch, yaw, roll, x, y, z = vector.tolist()
        return cls(pitch, yaw, roll, (x, y, z))


@dataclass(frozen=True, slots=True)
class Voice:
    """What a full-size network hears of one frame: `features` float32 ``(n, width)`` at 50 Hz, from the frame on, and
    how far the mouth shall open for it."""

    features: FloatArray
    alpha: float


@dataclass(frozen=True, slots=True)
class Motion:
    """Everything that moves in one frame: what the renderer draws.

    `expression` is float32 ``(EXPRESSION_SIZE,)``; `gaze` is (pitch, yaw) of the eyeballs in radians, relative to
    the head, with the signs of `HeadPose`. With a `voice`, the renderer makes the lips of it (`engines.control_talk`).
    """

    expression: FloatArray = field(default_factory=rest_expression)
    pose: HeadPose = HeadPose()
    gaze: tuple[float, float] = (0.0, 0.0)
    voice: Voice | None = None


@dataclass(frozen=True, slots=True)
class MotionFrame:
    """How the face moves in one frame, before it is drawn."""

    motion: Motion
    media_time: int
    epoch: int


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One picture: `planes` uint8 ``(h * 3 // 2, w)`` in I420, `FRAME_SIZE` square unless it shows a scene, with the
    motion that it shows."""

    planes: NDArray[np.uint8]
    media_time: int
    epoch: int
    motion: Motion
