"""`visavis render`: a sound file in, a video file or a table of expressions out, through the pipeline of the live call.

The networks hear the sound at 16 kHz; the video gets the original at 48 kHz. Both tracks and the table start at media
time 0, and the frames end with the one in which the sound ends. Without a video nothing is drawn.
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from av.error import FFmpegError
from tqdm import tqdm

from engines.avatar import Avatar, UnknownAvatar, list_avatars, load_avatar
from engines.controls import MAX_ALPHA, MAX_STYLE, Controls
from engines.emotion import EMOTIONS
from engines.media import FRAME_RATE, FRAME_SIZE, FRAME_TICKS
from engines.pipeline import Engine
from engines.portrait_pack import user_folder
from engines.scene import Scene
from realtime.engine import Pipeline
from realtime.expression_table import ExpressionTable
from realtime.film import FORMATS, Film
from realtime.networks import NoNetworks, load_networks
from realtime.settings import LOOKAHEADS_MS, RENDERERS, Settings
from realtime.sound_file import BadSound, SoundFile, open_sound

_LARGEST_SEED: Final = 2**64 - 1


class RenderError(Exception):
    """The output cannot be made; the message says what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `visavis render`."""
    parser.add_argument("audio", type=Path, nargs="?", metavar="FILE", help="the voice: any file FFmpeg reads")
    parser.add_argument("--audio", type=Path, dest="audio_flag", metavar="FILE", help="the same, as a flag")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help=f"video to write: {', '.join(FORMATS)}")
    parser.add_argument("--expressions", type=Path, metavar="FILE", help="table to write: every frame's coefficients")
    parser.add_argument("--avatar", default="", metavar="NAME", help="who speaks (default: the first avatar)")
    parser.add_argument("--renderer", choices=RENDERERS, default="", help="networks that draw (default: compact)")
    parser.add_argument("--scene", action="store_true", help="show all of the photo or clip that it was made of")
    parser.add_argument("--alpha", type=float, default=1.0, help=f"mouth opening, 0 to {MAX_ALPHA} (default: 1)")
    parser.add_argument(
        "--pucker", type=float, default=1.0, help=f"rounding of the lips, 0 to {MAX_STYLE} (default: 1)"
    )
    parser.add_argument(
        "--spread", type=float, default=1.0, help=f"spreading of the lips, 0 to {MAX_STYLE} (default: 1)"
    )
    parser.add_argument(
        "--emotion",
        type=_emotion,
        action="append",
        default=[],
        metavar="NAME[=INTENSITY]",
        help=f"{', '.join(EMOTIONS)}, at 0 to 1; several may be mixed",
    )
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
    outputs = Outputs(args.output, args.expressions)
    try:
        audio = _choose_audio(args.audio, args.audio_flag)
        outputs.check(audio)
        try:
            emotion = dict(args.emotion) or None
            controls = Controls(alpha=args.alpha, pucker=args.pucker, spread=args.spread, emotion=emotion)
            avatar = _choose_avatar(args.avatar)
            scene = Scene.load(avatar.folder) if args.scene else None
            if not 0 <= args.seed <= _LARGEST_SEED:
                raise ValueError(f"seed must lie between 0 and {_LARGEST_SEED}, got {args.seed}")
        except (UnknownAvatar, ValueError) as error:
            raise RenderError(str(error)) from error
        with open_sound(audio) as voice:
            pipeline = _load_engine(args.renderer).open(avatar, seed=args.seed, lookahead_ms=args.lookahead_ms)
            pipeline.controls, pipeline.scene = controls, scene
            render(voice, pipeline, outputs)
    except (RenderError, BadSound, NoNetworks) as error:
        print(f"visavis render: {error}", file=sys.stderr)
        return 2
    except (OSError, FFmpegError) as error:
        written = " and ".join(str(path) for path in outputs.paths)
        print(f"visavis render: {written} could not be written: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _load_engine(renderer: str) -> Engine:
    settings = Settings.load()
    settings = replace(settings, renderer=renderer or settings.renderer)
    return load_networks(settings, threads=os.cpu_count() or 1, progress=_tell_measuring).engine


def _tell_measuring(share: float) -> None:
    if sys.stderr.isatty():
        end = "" if share < 1 else "\n"
        print(f"\rshowing our motions to the networks, once: {share:4.0%}", end=end, file=sys.stderr, flush=True)


def _emotion(text: str) -> tuple[str, float]:
    name, _, intensity = text.partition("=")
    try:
        return name, float(intensity or 1.0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{intensity!r} is no intensity: say {name}=0.7, or {name} alone") from None


def _choose_avatar(name: str) -> Avatar:
    """One that ships (the first for ""), or one made of a photo. Raises `UnknownAvatar`."""
    own = user_folder(Settings.load().avatar_folder)
    if name and name not in list_avatars() and (own / name / "avatar.json").is_file():
        return load_avatar(name, own)
    return load_avatar(name or next(iter(list_avatars()), ""))


def _choose_audio(audio: Path | None, flag: Path | None) -> Path:
    if (audio is None) == (flag is None):
        raise RenderError("name one sound file: visavis render speech.wav -o out.mp4")
    path = audio or flag
    assert path is not None
    if not path.is_file():
        raise RenderError(f"there is no file {path}")
    return path


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is to be written: a `video`, a table of `expressions`, or both."""

    video: Path | None = None
    expressions: Path | None = None

    @property
    def paths(self) -> list[Path]:
        return [path for path in (self.video, self.expressions) if path is not None]

    def check(self, audio: Path) -> None:
        """Raises `RenderError` for what cannot be written."""
        if not self.paths:
            raise RenderError("say what to write: -o out.mp4, --expressions out.csv, or both")
        if self.video is not None and self.video.suffix.lower() not in FORMATS:
            raise RenderError(f"{self.video} has no extension that can be written: choose one of {', '.join(FORMATS)}")
        if len({path.resolve() for path in self.paths}) < len(self.paths):
            raise RenderError("the video and the table need a name each")
        for path in self.paths:
            if not path.parent.is_dir():
                raise RenderError(f"there is no folder {path.parent}: make it first")
            if path.exists() and not path.is_file() and not path.is_dir():
                raise RenderError(f"{path} is no plain file: what is written is moved to its place when it is whole")
            if path.is_dir() or not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
                raise RenderError(f"{path} cannot be written: check its permissions or choose another place")
            if path.exists() and path.samefile(audio):
                raise RenderError("the output is the audio file itself: choose another name")


def render(voice: SoundFile, pipeline: Pipeline, outputs: Outputs) -> int:
    """Write what `outputs` names of `voice` and return the number of frames; nothing is left behind on failure.

    Raises `BadSound` for a broken voice, `OSError` and `FFmpegError` when an output cannot be written.
    """
    frames = 0
    size = pipeline.scene.size if pipeline.scene is not None else (FRAME_SIZE, FRAME_SIZE)
    with ExitStack() as parts:
        film_part = parts.enter_context(_part_of(outputs.video)) if outputs.video else None
        table_part = parts.enter_context(_part_of(outputs.expressions)) if outputs.expressions else None
        with ExitStack() as open_files:
            seconds = voice.seconds and round(voice.seconds, 2)
            progress = tqdm(total=seconds, unit="s", unit_scale=True, disable=None)
            open_files.enter_context(progress)
            table = open_files.enter_context(closing(ExpressionTable(table_part))) if table_part else None
            film = open_files.enter_context(Film(film_part, voice.layout, size)) if film_part else None
            for piece in voice.pieces():
                if film is not None:
                    film.write_sound(piece.sound)
                moved, end = pipeline.hear(piece.speech), piece.end
                if moved is None:
                    continue
                # The silence at the end is for the lookahead: the last frame is the one in which the sound ends.
                if moved.media_time >= 0 and (end is None or moved.media_time < end):
                    if film is not None:
                        film.write_frame(pipeline.draw(moved))
                    if table is not None:
                        table.write(moved)
                    frames += 1
                    progress.update(1 / FRAME_RATE)
                if end is not None and moved.media_time + FRAME_TICKS >= end:
                    break
        for part, path in ((film_part, outputs.video), (table_part, outputs.expressions)):
            if part is not None and path is not None:
                os.chmod(part, 0o666 & ~_umask())
                os.replace(part, path)
    return frames


@contextmanager
def _part_of(path: Path) -> Iterator[Path]:
    """A file beside `path` to write into first; gone afterwards unless it was moved, also of who is asked to end."""
    handle, name = tempfile.mkstemp(suffix=path.suffix, prefix=f".{path.stem}-", dir=path.parent)
    os.close(handle)
    part = Path(name)

    def end(number: int, _: object) -> None:
        part.unlink(missing_ok=True)
        signal.signal(number, before)
        signal.raise_signal(number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield part
    finally:
        signal.signal(signal.SIGTERM, before)
        part.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
