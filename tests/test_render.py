"""`visavis render`: what is in the file, how well its tracks agree, and what is said when it cannot be made."""

import argparse
import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import wavfile

import realtime.render as module
from engines.avatar import UnknownAvatar
from engines.controls import Controls
from engines.expression import EXPRESSION_NAMES
from engines.landmarks import Crop
from engines.media import AudioChunk, MotionFrame
from engines.pipeline import Engine
from engines.scene import Scene
from realtime.render import add_arguments, run
from tests.fakes import FakeAvatar, FakeEngine, level_of

BEEPS = (0.2, 0.6, 1.4, 1.48)
"""Seconds at which 40 ms of tone begin."""


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    def load_fake(name: str) -> FakeAvatar:
        if name not in ("ada", "ben"):
            raise UnknownAvatar(name, ["ada", "ben"])
        return FakeAvatar(name)

    fake = FakeEngine()
    monkeypatch.setattr(module, "list_avatars", lambda: ["ada", "ben"])
    monkeypatch.setattr(module, "load_avatar", load_fake)
    monkeypatch.setattr(Engine, "load", lambda backend: fake)
    return fake


def beeps(seconds: float, rate: int) -> NDArray[np.int16]:
    at = np.arange(round(seconds * rate)) / rate
    loud = np.any([(at >= start) & (at < start + 0.04) for start in BEEPS], axis=0)
    return (16000 * np.sin(2 * np.pi * 1000 * at) * loud).astype(np.int16)


def write_wav(path: Path, seconds: float = 2.0, rate: int = 44_100, channels: int = 1) -> Path:
    tone = beeps(seconds, rate)
    wavfile.write(path, rate, tone if channels == 1 else np.stack([tone] * channels, axis=1))
    return path


def visavis_render(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args([str(argument) for argument in arguments]))


@dataclass
class Film:
    """A decoded video file; times in seconds."""

    levels: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    sound: NDArray[np.float32] = field(default_factory=lambda: np.empty((1, 0), np.float32))
    streams: dict[str, Any] = field(default_factory=dict)


def read(path: Path) -> Film:
    film = Film()
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        film.streams = {
            "codecs": (video.codec_context.name, audio.codec_context.name),
            "pixels": (video.codec_context.pix_fmt, video.width, video.height, video.average_rate),
            "sound": (audio.rate, audio.layout.name),
        }
        sounds = []
        for frame in container.decode(video, audio):
            if isinstance(frame, av.VideoFrame):
                film.times.append(frame.time)
                film.levels.append(level_of(frame.to_ndarray()[:512]))
            else:
                sounds.append((frame.time, frame.to_ndarray()))
        start = sounds[0][0]
        film.sound = np.concatenate([samples for _, samples in sounds], axis=1)[:, max(0, round(-start * 48_000)) :]
        film.streams["sound start"] = max(0.0, start)
    return film


def test_the_file_is_h264_and_aac_with_its_index_in_front(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    assert visavis_render("--audio", write_wav(tmp_path / "in.wav"), "--avatar", "ben", "-o", output) == 0
    film = read(output)
    assert film.streams["codecs"] == ("h264", "aac")
    assert film.streams["pixels"] == ("yuv420p", 512, 512, 25)
    assert film.streams["sound"] == (48_000, "mono")
    data = output.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert len(film.times) == 50 and film.times == [pytest.approx(index / 25) for index in range(50)]


@pytest.mark.parametrize("lookahead_ms", [0, 80, 160])
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (48_000, 1)])
def test_picture_and_sound_agree(tmp_path: Path, rate: int, channels: int, lookahead_ms: int) -> None:
    output = tmp_path / "out.mp4"
    source = write_wav(tmp_path / "in.wav", rate=rate, channels=channels)
    assert visavis_render("--audio", source, "-o", output, "--lookahead-ms", lookahead_ms) == 0
    film = read(output)
    shown = [index for index, level in enumerate(film.levels) if level > 0.5]
    assert shown == [round(start * 25) for start in BEEPS]
    assert film.streams["sound start"] == 0.0
    original = beeps(2.0, 48_000) / 32768
    sound = np.pad(film.sound[0], (0, 48_000))[: len(original)]
    correlation = np.fft.irfft(np.fft.rfft(sound, 2**18) * np.conj(np.fft.rfft(original, 2**18)))
    shift = int(np.argmax(correlation))
    assert abs(shift if shift < 2**17 else shift - 2**18) <= 48, "the sound has moved by more than 1 ms"
    assert np.corrcoef(sound, original)[0, 1] > 0.97
    assert film.streams["sound"][1] == ("mono" if channels == 1 else "stereo")


@pytest.mark.parametrize("seconds", [0.03, 0.04, 0.41, 1.0])
def test_every_sound_gets_its_pictures_and_no_more(tmp_path: Path, seconds: float) -> None:
    output = tmp_path / "out.mp4"
    assert visavis_render("--audio", write_wav(tmp_path / "in.wav", seconds, 48_000), "-o", output) == 0
    assert len(read(output).times) == int(np.ceil(seconds * 25))


@pytest.mark.parametrize("extension", ["mov", "mkv", "m4v"])
def test_other_containers(tmp_path: Path, extension: str) -> None:
    output = tmp_path / f"out.{extension}"
    assert visavis_render("--audio", write_wav(tmp_path / "in.wav"), "-o", output) == 0
    film = read(output)
    assert [index for index, level in enumerate(film.levels) if level > 0.5] == [round(start * 25) for start in BEEPS]


def test_video_files_serve_as_voices_and_are_replaced_on_success(tmp_path: Path) -> None:
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    assert visavis_render("--audio", write_wav(tmp_path / "in.wav"), "-o", first) == 0
    second.write_bytes(b"old")
    assert visavis_render("--audio", first, "-o", second) == 0
    assert [index for index, level in enumerate(read(second).levels) if level > 0.5] == [5, 15, 35, 37]


def test_controls_reach_the_pipeline(tmp_path: Path, engine: FakeEngine) -> None:
    output, source = tmp_path / "out.mp4", write_wav(tmp_path / "in.wav", 0.2)
    style = ("--alpha", 1.3, "--pucker", 0.5, "--spread", 1.8, "--emotion", "happy=0.4", "--emotion", "tender=0.5")
    assert visavis_render(source, "-o", output, "--seed", 5, *style) == 0
    expected = Controls(alpha=1.3, pucker=0.5, spread=1.8, emotion={"happy": 0.4, "tender": 0.5})
    assert engine.pipelines[0].controls == expected


@pytest.mark.parametrize("lookahead_ms", [0, 80, 160])
def test_row_k_of_the_table_is_the_frame_shown_at_k_25ths_of_a_second(tmp_path: Path, lookahead_ms: int) -> None:
    table = tmp_path / "out.csv"
    source = write_wav(tmp_path / "in.wav", 1.7)
    assert visavis_render(source, "--expressions", table, "--lookahead-ms", lookahead_ms) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.wav", "out.csv"]
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = ("time", *EXPRESSION_NAMES, "headPitch", "headYaw", "headRoll", "headX", "headY", "headZ")
    assert tuple(rows[0]) == (*names, "gazePitch", "gazeYaw")
    assert [float(row["time"]) for row in rows] == [pytest.approx(k / 25) for k in range(43)]
    assert [k for k, row in enumerate(rows) if float(row["jawOpen"]) > 0.1] == [round(start * 25) for start in BEEPS]


def test_the_table_holds_what_the_video_shows_and_needs_no_video(tmp_path: Path, engine: FakeEngine) -> None:
    source, alone, beside = write_wav(tmp_path / "in.wav"), tmp_path / "alone.csv", tmp_path / "beside.csv"
    assert visavis_render(source, "--expressions", alone) == 0
    assert engine.pipelines[0].drawn == 0
    assert visavis_render(source, "--expressions", beside, "-o", tmp_path / "out.mp4") == 0
    assert engine.pipelines[1].drawn == 50
    assert alone.read_text() == beside.read_text()


def test_someone_must_say_what_to_hear_and_what_to_write(tmp_path: Path, capsys: Any) -> None:
    source = write_wav(tmp_path / "in.wav", 0.2)
    assert visavis_render(source) == 2
    assert "say what to write" in capsys.readouterr().err
    assert visavis_render("-o", tmp_path / "out.mp4") == 2
    assert "name one sound file" in capsys.readouterr().err


def _no_audio(folder: Path) -> Path:
    path = folder / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    return path


def _text(folder: Path) -> Path:
    path = folder / "notes.wav"
    path.write_text("not a sound at all")
    return path


def _short(folder: Path, samples: int) -> Path:
    path = folder / "short.wav"
    wavfile.write(path, 16_000, np.zeros(samples, np.int16))
    return path


@pytest.mark.parametrize(
    ("source", "flags", "complaint"),
    [
        (lambda folder: folder / "missing.wav", {}, "there is no file"),
        (lambda folder: write_wav(folder / "in.wav"), {"--emotion": "bored"}, "there is no emotion 'bored'"),
        (
            lambda folder: write_wav(folder / "in.wav"),
            {"--pucker": 3},
            "pucker and spread must lie between 0.0 and 2.0",
        ),
        (lambda folder: write_wav(folder / "in.wav"), {"--expressions": "nowhere/out.csv"}, "make it first"),
        (_no_audio, {}, "has no audio stream"),
        (_text, {}, "is not a sound file that FFmpeg reads"),
        (lambda folder: _short(folder, 0), {}, "holds no sound"),
        (lambda folder: _short(folder, 1), {}, "holds no sound"),
        (lambda folder: write_wav(folder / "in.wav"), {"--avatar": "zoe"}, "choose one of: ada, ben"),
        (lambda folder: write_wav(folder / "in.wav"), {"--alpha": 2}, "alpha must lie between 0.0 and 1.5, got 2.0"),
        (lambda folder: write_wav(folder / "in.wav"), {"--seed": -1}, "seed must lie between 0 and"),
        (lambda folder: write_wav(folder / "in.wav"), {"--seed": 2**200}, "seed must lie between 0 and"),
        (
            lambda folder: write_wav(folder / "in.wav"),
            {"--emotion": "sad=0.7", "--emotion=happy=0.7": None},
            "the intensities of emotions come to 1.4 together: choose at most 1",
        ),
        (lambda folder: write_wav(folder / "in.wav"), {"-o": "out.avi"}, "choose one of .mp4, .m4v, .mov, .mkv"),
        (lambda folder: write_wav(folder / "in.wav"), {"-o": "nowhere/out.mp4"}, "make it first"),
    ],
)
def test_what_cannot_be_rendered_is_explained(
    tmp_path: Path, capsys: Any, source: Any, flags: Any, complaint: str
) -> None:
    path = source(tmp_path)
    output = tmp_path / flags.pop("-o", "out.mp4")
    before = sorted(tmp_path.iterdir())
    given = (item for pair in flags.items() for item in pair if item is not None)
    assert visavis_render("--audio", path, "-o", output, *given) == 2
    message = capsys.readouterr().err
    assert message.startswith("visavis render: ") and complaint in message and message.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before, "nothing may be left behind"


def test_the_output_may_not_be_the_input(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "film.mp4"
    assert visavis_render("--audio", write_wav(tmp_path / "in.wav"), "-o", path) == 0
    data = path.read_bytes()
    assert visavis_render("--audio", path, "-o", path) == 2
    assert "the output is the audio file itself" in capsys.readouterr().err
    assert path.read_bytes() == data


def test_two_outputs_need_two_files_however_they_are_named(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = write_wav(tmp_path / "in.wav", 0.2)
    assert visavis_render(source, "-o", "out.mp4", "--expressions", tmp_path / "out.mp4") == 2
    assert "need a name each" in capsys.readouterr().err
    assert not (tmp_path / "out.mp4").exists()


def test_an_intensity_that_is_no_number_is_explained(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        visavis_render("in.wav", "--emotion", "happy=very")
    assert "'very' is no intensity: say happy=0.7" in capsys.readouterr().err


def test_only_plain_files_are_written(tmp_path: Path, capsys: Any) -> None:
    """What is whole is moved to its place: nobody wants a device or a pipe replaced by it."""
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    assert visavis_render(write_wav(tmp_path / "in.wav"), "--expressions", pipe) == 2
    assert "is no plain file" in capsys.readouterr().err
    assert pipe.is_fifo()


def test_a_failure_in_the_middle_leaves_the_old_file_and_no_part(
    tmp_path: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mp4"
    output.write_bytes(b"old")
    source = write_wav(tmp_path / "in.wav")
    pipeline = engine.open(FakeAvatar("ada"))
    hear = pipeline.hear

    def stop(chunk: AudioChunk) -> MotionFrame | None:
        if chunk.media_time > 48_000:
            raise KeyboardInterrupt
        return hear(chunk)

    monkeypatch.setattr(pipeline, "hear", stop)
    monkeypatch.setattr(engine, "open", lambda *_, **__: pipeline)
    with pytest.raises(KeyboardInterrupt):
        visavis_render("--audio", source, "-o", output)
    assert output.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.wav", "out.mp4"]


def test_who_is_asked_to_end_leaves_no_part(tmp_path: Path) -> None:
    voice, film = write_wav(tmp_path / "voice.wav", seconds=300), tmp_path / "film.mp4"
    command = [sys.executable, "-m", "realtime.cli", "render", str(voice), "--out", str(film)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not any(tmp_path.glob(".film-*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.terminate()
    _, told = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGTERM and b"Traceback" not in told
    assert list(tmp_path.iterdir()) == [voice]


def test_a_full_disk_is_reported(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    assert visavis_render("--audio", write_wav(tmp_path / "in.wav"), "-o", tmp_path / "out.mp4") == 1
    assert "out.mp4 could not be written: No space left on device" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]


def test_a_scene_has_the_size_of_its_photo(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = write_wav(tmp_path / "in.wav", 0.4), tmp_path / "out.mp4"
    assert visavis_render(source, "-o", output, "--scene") == 2
    assert "has no photo around it" in capsys.readouterr().err and not output.exists()
    photo = Scene(np.full((360, 640, 3), 90, np.uint8), Crop(300.0, 170.0, 240.0))
    monkeypatch.setattr(Scene, "load", lambda folder: photo)
    assert visavis_render(source, "-o", output, "--scene") == 0
    assert read(output).streams["pixels"] == ("yuv420p", 640, 360, 25)
