"""Random crops of speech as they may sound over a real microphone, with the lips they ask for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.expression import LIP_SIZE, FloatArray
from engines.features import FRAME_SAMPLES
from training.speech import augment, beds
from training.speech.dataset import Speech

HISTORY_FRAMES: Final = 4
"""Frames of lips before the first one heard, for the heads that speak about the past."""
_SILENT_SHARE: Final = 0.22
RESTING: Final = 0.04
"""All lip channels below this: the face is at rest."""


@dataclass(frozen=True, slots=True)
class Batch:
    """`pcm` float32 ``(B, frames * 640)``; from `HISTORY_FRAMES` before it on the `lips` float32 ``(B, 4 + frames, 9)``
    and the sounds that they make, `labels` int64 ``(B, (4 + frames) * 2)``."""

    pcm: FloatArray
    lips: FloatArray
    labels: NDArray[np.int64]


def _crop(rng: np.random.Generator, shards: Sequence[Speech], frames: int) -> tuple[Speech, int]:
    shard = shards[int(rng.integers(len(shards)))]
    return shard, int(rng.integers(HISTORY_FRAMES, shard.frames - frames))


def _samples(shard: Speech, start: int, frames: int) -> FloatArray:
    return shard.pcm[start * FRAME_SAMPLES : (start + frames) * FRAME_SAMPLES].astype(np.float32) / np.float32(32768)


def _babble(rng: np.random.Generator, shards: Sequence[Speech], frames: int) -> FloatArray:
    """Four to ten voices at once, near and far, RMS about 1: nobody's lips should follow."""
    voices = [
        _samples(*_crop(rng, shards, frames), frames) * np.float32(10 ** (-rng.uniform(0, 5) / 20))
        for _ in range(int(rng.integers(4, 11)))
    ]
    mixed: FloatArray = np.sum(voices, axis=0)
    return mixed / (mixed.std() + np.float32(1e-4))


def _bed(rng: np.random.Generator, shards: Sequence[Speech], frames: int) -> FloatArray:
    """A sound without speech, float32 ``(frames * 640,)``, RMS about 1."""
    length, kind = frames * FRAME_SAMPLES, rng.random()
    if kind < 0.52:
        return _babble(rng, shards, frames)
    if kind < 0.65:
        return beds.noise(rng, 1, length)[0]
    if kind < 0.77:
        return beds.music(rng, length)
    if kind < 0.89:
        return beds.breathing(rng, length)
    return beds.tones(rng, length) if kind < 0.94 else beds.knocks(rng, length) * np.float32(4)


def _hush(rng: np.random.Generator, lips: FloatArray) -> tuple[int, int]:
    """Frames ``[from, to)`` of a crop, whose ends the speaker rests at, to be without speech; all in one of three."""
    frames = len(lips) - HISTORY_FRAMES
    rests = np.flatnonzero(lips[HISTORY_FRAMES:].max(axis=1) < RESTING)
    if rng.random() < 0.33 or not len(rests):
        return 0, frames
    first, last = sorted(rng.choice(rests, 2))
    kind = rng.random()
    if kind < 0.5:
        return int(first), frames
    return (0, int(last)) if kind < 0.75 else (int(first), int(last))


def draw(rng: np.random.Generator, shards: Sequence[Speech], items: int, frames: int) -> Batch:
    """A batch; the same generator state gives the same batch.

    One item in five holds a stretch without speech, from before or after it or all of the time, in silence or on a
    bed, and asks for resting lips there. The others have a bed, noise or nothing under the voice. All is heard in
    one room or another, through one microphone or another.
    """
    crops = [_crop(rng, shards, frames) for _ in range(items)]
    pcm = augment.rooms(rng, np.stack([_samples(shard, start, frames) for shard, start in crops]))
    lips = np.zeros((items, HISTORY_FRAMES + frames, LIP_SIZE), np.float32)
    labels = np.zeros((items, 2 * (HISTORY_FRAMES + frames)), np.int64)
    for item, (shard, start) in enumerate(crops):
        lips[item] = shard.lips[start - HISTORY_FRAMES : start + frames].astype(np.float32) / 255
        labels[item] = shard.labels[2 * (start - HISTORY_FRAMES) : 2 * (start + frames)]
    loudness = np.maximum(pcm.std(axis=1), 0.002)
    for item in range(items):
        below = np.float32(rng.triangular(2, 10, 30))  # dB from the voice down to what lies under it
        hissing = rng.random() < 0.7
        if rng.random() < _SILENT_SHARE:
            first, last = _hush(rng, lips[item])
            pcm[item, first * FRAME_SAMPLES : last * FRAME_SAMPLES] = 0.0
            hushed = slice(HISTORY_FRAMES + first if first else 0, HISTORY_FRAMES + last)
            lips[item, hushed] = 0.0
            labels[item, 2 * hushed.start : 2 * hushed.stop] = 0
            below = np.float32(rng.uniform(0, 40))
            if rng.random() < 0.75:
                pcm[item] += _bed(rng, shards, frames) * loudness[item] * np.float32(10 ** (-below / 20))
                hissing = rng.random() < 0.3
        elif rng.random() < 0.22:
            pcm[item] += _bed(rng, shards, frames) * loudness[item] * 10 ** (-np.maximum(below, 3) / 20)
            hissing = False
        level = loudness[item] * 10 ** (-below / 20) if hissing else 10 ** (-rng.uniform(70, 110) / 20)
        if rng.random() < 0.9:
            pcm[item] += beds.noise(rng, 1, pcm.shape[1])[0] * np.float32(level)
        if rng.random() < 0.06:
            pcm[item] += beds.hum(rng, pcm.shape[1]) * loudness[item] * np.float32(10 ** (-rng.uniform(0, 35) / 20))
    return Batch(np.clip(augment.microphone(rng, pcm), -1, 1, dtype=np.float32), lips, labels)
