"""A sound file, read from its beginning in pieces of 20 ms: as it is for the ears of people, and at 16 kHz in one
channel for those of the networks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.error import FFmpegError
from numpy.typing import NDArray

from engines.media import MEDIA_RATE, AudioChunk
from realtime.clock import PACKET_TICKS
from realtime.resampler import ResamplerState, resample

_CANCELLED: Final = 0.01
"""Share of the loudest channel's power below which the mean of all has lost the voice: the channels cancel out."""
_MEMORY: Final = 0.98
"""What of a power is remembered from piece to piece: one second."""


class BadSound(Exception):
    """There is no sound to be had of the file; the message says why."""


@dataclass(frozen=True, slots=True)
class Piece:
    """20 ms: `sound` int16 ``(channels, n)`` at 48 kHz, shorter or empty after the end; `speech` the same for the
    networks; `end` the media time at which the sound ends, once it is known."""

    sound: NDArray[np.int16]
    speech: AudioChunk
    end: int | None


class SoundFile:
    """A sound file that is open. `layout` is mono or stereo, `seconds` its length where the file tells. Raises
    `BadSound` where it is broken."""

    def __init__(self, container: Any, path: Path) -> None:
        self._container = container
        self._path = path
        self._stream = container.streams.audio[0]
        self.layout = "mono" if self._stream.channels == 1 else "stereo"
        self.seconds = container.duration / av.time_base if container.duration else None

    def decode(self) -> Iterator[NDArray[np.int16]]:
        """All of the sound at `MEDIA_RATE`, int16 ``(channels, n)``, once."""
        resampler = AudioResampler("s16p", self.layout, MEDIA_RATE)
        heard = told = 0
        try:
            for frame in chain(self._container.decode(self._stream), (None,)):
                if frame is not None:
                    frame.pts = None  # samples are counted: a gap in the stamps must not part the two tracks
                    heard += frame.samples
                elif not heard:
                    break
                for piece in resampler.resample(frame):
                    told += piece.samples
                    yield piece.to_ndarray().astype(np.int16)
        except (FFmpegError, ValueError) as error:
            at = heard / self._stream.rate
            raise BadSound(f"{self._path} is broken after {at:.1f} s of sound: {error}") from error
        if not told:
            raise BadSound(f"{self._path} holds no sound: its audio stream is empty, broken or all too short")

    def pieces(self) -> Iterator[Piece]:
        """The sound piece by piece, once; silence follows without end."""
        ear = _Ear()
        waiting: list[NDArray[np.int16]] = []
        for decoded in self.decode():
            waiting.append(decoded)
            if sum(part.shape[1] for part in waiting) < PACKET_TICKS:
                continue
            sound = np.concatenate(waiting, axis=1)
            whole = sound.shape[1] // PACKET_TICKS * PACKET_TICKS
            for start in range(0, whole, PACKET_TICKS):
                part = sound[:, start : start + PACKET_TICKS]
                yield Piece(part, ear.hear(part), None)
            waiting = [sound[:, whole:]]
        rest = np.concatenate(waiting, axis=1)
        end = ear.time + rest.shape[1]
        while True:
            yield Piece(rest, ear.hear(rest), end)
            rest = rest[:, :0]


@contextmanager
def open_sound(path: Path) -> Iterator[SoundFile]:
    """The sound in any file that FFmpeg reads. Raises `BadSound`."""
    try:
        container = av.open(str(path))
    except FFmpegError as error:
        raise BadSound(f"{path} is not a sound file that FFmpeg reads: {error.strerror or error}") from error
    with container:
        if not container.streams.audio:
            raise BadSound(f"{path} has no audio stream")
        yield SoundFile(container, path)


class _Ear:
    """What the networks hear, from media time 0 on. `time` is that of the next piece."""

    def __init__(self) -> None:
        self.time = 0
        self._state = ResamplerState()
        self._mono = Downmix()

    def hear(self, sound: NDArray[np.int16]) -> AudioChunk:
        mono = np.pad(self._mono.mix(sound), (0, PACKET_TICKS - sound.shape[1]))
        speech, self._state = resample(mono, self._state)
        chunk, self.time = AudioChunk(speech, self.time), self.time + PACKET_TICKS
        return chunk


class Downmix:
    """All channels to one, piece by piece: their mean, or the loudest of them while they cancel each other out, as
    where one wire of a microphone is the wrong way round."""

    def __init__(self) -> None:
        self._powers = np.zeros(1)

    def mix(self, sound: NDArray[np.int16]) -> NDArray[np.int16]:
        """int16 ``(channels, n)`` to ``(n,)``."""
        mean = sound.mean(axis=0)
        if sound.shape[1]:
            powers = np.square([*sound, mean], dtype=np.float64).mean(axis=1)
            self._powers = _MEMORY * self._powers + powers
            loudest = int(np.argmax(self._powers[:-1]))
            if self._powers[-1] < _CANCELLED * self._powers[loudest]:
                return sound[loudest]
        return mean.astype(np.int16)
