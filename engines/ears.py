"""What pipelines hear with: a frame's sound in, the lips' bias out, for one session or for many at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from engines.audio2exp import Audio2Exp
from engines.backend import Backend
from engines.expression import FloatArray
from engines.features import FRAME_SAMPLES, AudioFeatures

AUDIO_FEATURES: Final = "audio_features.onnx"
AUDIO2EXP: Final = "audio2exp.onnx"
SILENT_FRAMES: Final = 63
"""More than the last sounds that ears hear by: who begins with so much silence finds that a voice which begins is no
surprise."""


class Ear(Protocol):
    """One session's, with all that it heard and how its lips moved. For one thread at a time."""

    @property
    def lookahead_frames(self) -> int:
        """By how many frames the lips that it tells of are behind what it heard."""

    def forget(self) -> None:
        """There was only silence, and the face was at rest."""

    def close(self) -> None:
        """The session has ended. From any thread, while nothing is heard; again does nothing."""


class Ears(Protocol):
    """Makes ears, and hears with any number of them at once; it calls no others than its own."""

    def open(self, lookahead_ms: int) -> Ear:
        """An ear for a session. Raises `ValueError` for a lookahead that the networks have no head for."""

    def hear(self, ears: Sequence[Any], pcm: FloatArray) -> FloatArray:
        """The lips' bias float32 (n, 9) of `n` different ears after 40 ms of sound, (n, 640), full scale 1."""


class OwnEars:
    """Every session hears with networks of its own, one after the other: how the CPU does it."""

    def __init__(self, backend: Backend, weights: Path) -> None:
        self._backend, self._weights = backend, weights
        features = self._features()
        self._silence = features.start()
        for _ in range(SILENT_FRAMES):
            _, self._silence = features.step(self._silence, np.zeros(FRAME_SAMPLES, np.float32))

    def open(self, lookahead_ms: int) -> "OwnEar":
        """See `Ears.open`."""
        audio2exp = Audio2Exp(self._backend.load(self._weights / AUDIO2EXP), lookahead_ms)
        return OwnEar(self._features(), audio2exp, self._silence)

    def hear(self, ears: Sequence["OwnEar"], pcm: FloatArray) -> FloatArray:
        """See `Ears.hear`."""
        return np.stack([ear.hear(sound) for ear, sound in zip(ears, pcm, strict=True)])

    def _features(self) -> AudioFeatures:
        return AudioFeatures(self._backend.load(self._weights / AUDIO_FEATURES))


class OwnEar:
    """Two networks and what they remember."""

    def __init__(self, features: AudioFeatures, audio2exp: Audio2Exp, silence: FloatArray) -> None:
        self._features, self._audio2exp, self._silence = features, audio2exp, silence
        self.lookahead_frames = audio2exp.lookahead_frames
        self.forget()

    def forget(self) -> None:
        """See `Ear.forget`."""
        self._heard = self._silence
        self._history = self._audio2exp.start()

    def hear(self, sound: FloatArray) -> FloatArray:
        """The lips' bias (9,) after float32 (640,)."""
        features, self._heard = self._features.step(self._heard, sound)
        return self._audio2exp.step(features, self._history)

    def close(self) -> None:
        """See `Ear.close`: it holds nothing that others wait for."""
