"""Random crops of speech as they may sound over a real microphone, with the lips they ask for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.expression import LIP_SIZE, FloatArray
from training.speech import augment
from training.speech.dataset import FRAME_SAMPLES, Speech

HISTORY_FRAMES: Final = 4
"""Frames of lips before the first one heard, for the heads that speak about the past."""
LABEL_DELAY: Final = 4
"""The sound is named this many features (20 ms) after it was heard: a head start for the classifier."""
_SILENT_SHARE: Final = 0.06
_BABBLE_VOICES: Final = 6


@dataclass(frozen=True, slots=True)
class Batch:
    """`pcm` float32 ``(B, frames * 640)``; `lips` float32 ``(B, 4 + frames, 9)``, 4 frames earlier; `labels` int64
    ``(B, frames * 2)``, late by `LABEL_DELAY`."""

    pcm: FloatArray
    lips: FloatArray
    labels: NDArray[np.int64]


def _crop(rng: np.random.Generator, shards: Sequence[Speech], frames: int) -> tuple[Speech, int]:
    shard = shards[int(rng.integers(len(shards)))]
    return shard, int(rng.integers(HISTORY_FRAMES, shard.frames - frames))


def _samples(shard: Speech, start: int, frames: int) -> FloatArray:
    return shard.pcm[start * FRAME_SAMPLES : (start + frames) * FRAME_SAMPLES].astype(np.float32) / np.float32(32768)


def _babble(rng: np.random.Generator, shards: Sequence[Speech], frames: int) -> FloatArray:
    """Many voices at once, at the level of one: nobody's lips should follow."""
    voices = [_samples(*_crop(rng, shards, frames), frames) for _ in range(_BABBLE_VOICES)]
    mixed: FloatArray = np.sum(voices, axis=0) / np.sqrt(_BABBLE_VOICES)
    return mixed


def draw(rng: np.random.Generator, shards: Sequence[Speech], items: int, frames: int) -> Batch:
    """A batch; the same generator state gives the same batch.

    Six items in a hundred hold no speech (silence, noise, a tone or babble) and ask for resting lips.
    """
    crops = [_crop(rng, shards, frames) for _ in range(items)]
    pcm = augment.microphone(rng, np.stack([_samples(shard, start, frames) for shard, start in crops]))
    lips = np.zeros((items, HISTORY_FRAMES + frames, LIP_SIZE), np.float32)
    labels = np.zeros((items, 2 * frames), np.int64)
    for item, (shard, start) in enumerate(crops):
        lips[item] = shard.lips[start - HISTORY_FRAMES : start + frames].astype(np.float32) / 255
        labels[item] = shard.labels[2 * start - LABEL_DELAY : 2 * (start + frames) - LABEL_DELAY]
    loudness = pcm.std(axis=1, keepdims=True)
    level = loudness * 10 ** (-rng.uniform(5, 45, (items, 1)) / 20) * (rng.random((items, 1)) < 0.6) + 1e-5
    for item in range(items):
        if rng.random() < _SILENT_SHARE:
            kind = rng.random()
            if kind < 0.2:  # perfect or nearly perfect silence
                pcm[item], level[item] = 0.0, 1e-5 * (rng.random() < 0.5)
            elif kind < 0.6:
                pcm[item], level[item] = 0.0, 10 ** (-rng.uniform(20, 70) / 20)
            elif kind < 0.75:
                pcm[item], level[item] = augment.tones(rng, 1, pcm.shape[1])[0], 10 ** (-rng.uniform(30, 70) / 20)
            else:
                pcm[item] = _babble(rng, shards, frames) * 10 ** (-rng.uniform(6, 35) / 20)
            lips[item], labels[item] = 0.0, 0
        elif rng.random() < 0.15:
            pcm[item] += _babble(rng, shards, frames) * 10 ** (-rng.uniform(10, 35) / 20)
    pcm += augment.noise(rng, items, pcm.shape[1]) * level
    return Batch(np.clip(pcm, -1, 1, dtype=np.float32), lips, labels)
