"""`visavis render`: a sound file in, a video file out, through the pipeline of the live call.

The networks hear the sound at 16 kHz; the file gets the original at 48 kHz. Both tracks start at media time 0, and the
pictures end with the frame in which the sound ends.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.error import FFmpegError
from numpy.typing import NDArray
from tqdm import tqdm

from engines.avatar import UnknownAvatar, list_avatars, load_avatar
from engines.media import FRAME_RATE, FRAME_SIZE, FRAME_TICKS, MEDIA_RATE, AudioChunk, VideoFrame
from engines.motion import MAX_ALPHA, Controls
from engines.openvino_backend import OpenVinoBackend
from engines.pipeline import Engine
from realtime.engine import Pipeline
from realtime.resampler import ResamplerState, resample
from realtime.settings import LOOKAHEADS_MS

FORMATS: Final = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Containers by the extension of the output."""

_CHUNK_TICKS: Final = MEDIA_RATE // 50
_X264: Final = {"preset": "veryfast", "crf": "17"}
_BT601: Final = {"color_range": 1, "colorspace": 6, "color_primaries": 1, "color_trc": 1}
"""What the planes are, in FFmpeg's numbers: limited range, BT.601 matrix, on a screen of BT.709."""


class RenderError(Exception):
    """The video cannot be made; the message says what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `visavis render`."""
    parser.add_argument("--audio", type=Path, required=True, metavar="FILE", help="the voice: any file FFmpeg reads")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=f"video: {', '.join(FORMATS)}")
    parser.add_argument("--avatar", default="", metavar="NAME", help="who speaks (default: the first avatar)")
    parser.add_argument("--alpha", type=float, default=1.0, help=f"mouth opening, 0 to {MAX_ALPHA} (default: 1)")
    parser.add_argument(
        "--seed", type=int, default=0, help="blinks, gaze and head motion are drawn from it (default: 0)"
    )
    parser.add_argument(
        "--lookahead-ms",
        type=int,
        choices=LOOKAHEADS_MS,
        default=80,
        help="how much of the coming sound the lips may hear (default: 80, as in a call)",
    )


def run(args: argparse.Namespace) -> int:
    """Render; returns the exit status: 0, or 2 after a message when something must be changed, 1 when writing fails."""
    try:
        _check_paths(args.audio, args.output)
        try:
            controls = Controls(alpha=args.alpha)
            avatar = load_avatar(args.avatar or next(iter(list_avatars()), ""))
            if args.seed < 0:
                raise ValueError(f"seed must not be negative, got {args.seed}")
        except (UnknownAvatar, ValueError) as error:
            raise RenderError(str(error)) from error
        with open_voice(args.audio) as (voice, seconds):
            engine = Engine.load(backend=OpenVinoBackend(threads=os.cpu_count() or 1))
            pipeline = engine.open(avatar, seed=args.seed, lookahead_ms=args.lookahead_ms)
            pipeline.controls = controls
            render(voice, pipeline, args.output, seconds)
    except RenderError as error:
        print(f"visavis render: {error}", file=sys.stderr)
        return 2
    except (OSError, FFmpegError) as error:
        print(f"visavis render: {args.output} could not be written: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _check_paths(audio: Path, output: Path) -> None:
    if not audio.is_file():
        raise RenderError(f"there is no file {audio}")
    if output.suffix.lower() not in FORMATS:
        raise RenderError(f"{output} has no extension that can be written: choose one of {', '.join(FORMATS)}")
    if not output.parent.is_dir():
        raise RenderError(f"there is no folder {output.parent}: make it first")
    if output.is_dir() or not os.access(output.parent, os.W_OK) or (output.exists() and not os.access(output, os.W_OK)):
        raise RenderError(f"{output} cannot be written: check its permissions or choose another place")
    if output.exists() and output.samefile(audio):
        raise RenderError("the output is the audio file itself: choose another name")


class Voice:
    """A decoded sound file. Iterate once: pieces of int16 ``(channels, n)`` at `MEDIA_RATE`.

    Raises `RenderError` where the file is broken.
    """

    def __init__(self, container: Any, path: Path) -> None:
        self._container = container
        self._path = path
        self._stream = container.streams.audio[0]
        self.layout = "mono" if self._stream.channels == 1 else "stereo"

    def __iter__(self) -> Iterator[NDArray[np.int16]]:
        resampler = AudioResampler("s16p", self.layout, MEDIA_RATE)
        heard = 0
        try:
            for frame in self._container.decode(self._stream):
                frame.pts = None  # samples are counted: a gap in the stamps must not part the two tracks
                heard += frame.samples
                yield from (piece.to_ndarray().astype(np.int16) for piece in resampler.resample(frame))
            if heard:
                yield from (piece.to_ndarray().astype(np.int16) for piece in resampler.resample(None))
        except (FFmpegError, ValueError) as error:
            at = heard / self._stream.rate
            raise RenderError(f"{self._path} is broken after {at:.1f} s of sound: {error}") from error
        if not heard:
            raise RenderError(f"{self._path} holds no sound: its audio stream is empty or broken")


@contextmanager
def open_voice(path: Path) -> Iterator[tuple[Voice, float | None]]:
    """The voice in a file and its length in seconds, where the file tells. Raises `RenderError`."""
    try:
        container = av.open(str(path))
    except FFmpegError as error:
        raise RenderError(f"{path} is not a sound file that FFmpeg reads: {error.strerror or error}") from error
    with container:
        if not container.streams.audio:
            raise RenderError(f"{path} has no audio stream")
        yield Voice(container, path), container.duration / av.time_base if container.duration else None


def render(voice: Voice, pipeline: Pipeline, output: Path, seconds: float | None = None) -> int:
    """Write the video of `voice` to `output` and return its number of frames; nothing is left behind on failure.

    `seconds` scales the progress bar. Raises `RenderError` for a broken voice, `OSError` and `FFmpegError` when the
    output cannot be written.
    """
    handle, partial = tempfile.mkstemp(suffix=output.suffix, prefix=f".{output.stem}-", dir=output.parent)
    os.close(handle)
    try:
        progress = tqdm(total=seconds and round(seconds, 2), unit="s", unit_scale=True, disable=None, desc=output.name)
        with progress, _Film(Path(partial), FORMATS[output.suffix.lower()], voice.layout) as film:
            for chunk, sound, end in _chunks(voice):
                film.write_sound(sound)
                frame = pipeline.push(chunk)
                if frame is None:
                    continue
                # The silence at the end is for the lookahead: the last frame is the one in which the sound ends.
                if frame.media_time >= 0 and (end is None or frame.media_time < end):
                    film.write_frame(frame)
                    progress.update(1 / FRAME_RATE)
                if end is not None and frame.media_time + FRAME_TICKS >= end:
                    break
        os.chmod(partial, 0o666 & ~_umask())
        os.replace(partial, output)
        return film.frames
    finally:
        Path(partial).unlink(missing_ok=True)


def _chunks(voice: Voice) -> Iterator[tuple[AudioChunk, NDArray[np.int16], int | None]]:
    """20 ms for the networks, their sound, and the media time of the end once it is known; silence follows, endless."""
    state = ResamplerState()
    time = 0

    def hear(sound: NDArray[np.int16]) -> AudioChunk:
        nonlocal state, time
        mono = np.pad(sound.mean(axis=0).astype(np.int16), (0, _CHUNK_TICKS - sound.shape[1]))
        speech, state = resample(mono, state)
        chunk, time = AudioChunk(speech, time), time + _CHUNK_TICKS
        return chunk

    waiting: list[NDArray[np.int16]] = []
    for piece in voice:
        waiting.append(piece)
        if sum(part.shape[1] for part in waiting) < _CHUNK_TICKS:
            continue
        sound = np.concatenate(waiting, axis=1)
        whole = sound.shape[1] // _CHUNK_TICKS * _CHUNK_TICKS
        for start in range(0, whole, _CHUNK_TICKS):
            part = sound[:, start : start + _CHUNK_TICKS]
            yield hear(part), part, None
        waiting = [sound[:, whole:]]
    rest = np.concatenate(waiting, axis=1)
    end = time + rest.shape[1]
    while True:
        yield hear(rest), rest, end
        rest = rest[:, :0]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


class _Film:
    """A video file being written: H.264 at 25 frames a second, AAC at 48 kHz, the index in front where there is one."""

    def __init__(self, path: Path, format: str, layout: str) -> None:
        options = {} if format == "matroska" else {"movflags": "+faststart"}
        self.frames = 0
        self._samples = 0
        self._layout = layout
        self._container = av.open(str(path), "w", format=format, options=options)
        self._picture = self._container.add_stream("libx264", rate=FRAME_RATE, options=_X264)
        self._picture.width = self._picture.height = FRAME_SIZE
        self._picture.pix_fmt = "yuv420p"
        for name, value in _BT601.items():
            setattr(self._picture.codec_context, name, value)
        self._sound = self._container.add_stream("aac", rate=MEDIA_RATE, layout=layout, bit_rate=160_000)

    def __enter__(self) -> "_Film":
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        try:
            if kind is None:
                for stream in (self._picture, self._sound):
                    self._container.mux(stream.encode(None))
        finally:
            self._container.close()

    def write_frame(self, frame: VideoFrame) -> None:
        """Append a picture, shown at its media time."""
        picture = av.VideoFrame.from_ndarray(frame.planes, format="yuv420p")
        picture.pts, picture.time_base = frame.media_time // FRAME_TICKS, Fraction(1, FRAME_RATE)
        self._container.mux(self._picture.encode(picture))
        self.frames += 1

    def write_sound(self, sound: NDArray[np.int16]) -> None:
        """Append int16 ``(channels, n)``."""
        if sound.shape[1] == 0:
            return
        samples = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), format="s16p", layout=self._layout)
        samples.sample_rate, samples.pts = MEDIA_RATE, self._samples
        self._samples += sound.shape[1]
        self._container.mux(self._sound.encode(samples))
