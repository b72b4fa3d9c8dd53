import io
from fractions import Fraction

import av
import numpy as np
import pytest

from engines.pictures import BadPicture
from engines.videos import KEPT_PIXELS, MOST_SECONDS, read_video, video_format


def video(count: int, rate: int = 25, size: tuple[int, int] = (64, 48), kind: str = "mp4") -> bytes:
    """Grey frames, each lighter than the one before; the upper left corner is red."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream("mpeg4" if kind != "webm" else "libvpx", rate=rate, options={"qscale": "2"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for index in range(count):
            picture = np.full((size[1], size[0], 3), 40 + index * 180 // count, np.uint8)
            picture[:16, :16] = (220, 20, 20)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(("rate", "kind"), [(25, "mp4"), (50, "mov"), (30, "matroska"), (12, "avi")])
def test_any_rate_becomes_ours(rate: int, kind: str) -> None:
    frames = list(read_video(video(rate, rate, kind=kind)))
    assert len(frames) == pytest.approx(25, abs=1) and frames[0].shape == (48, 64, 3)
    light = np.array([frame[-8:, -8:].mean() for frame in frames])
    steps = np.diff(light)
    assert steps.min() > -3 and light[-1] - light[0] == pytest.approx(173, abs=14), "in order, to the end"


def test_no_more_than_the_first_seconds_are_read() -> None:
    assert sum(1 for _ in read_video(video(MOST_SECONDS * 5 + 20, 5, (16, 16)))) == MOST_SECONDS * 25


def test_large_frames_become_smaller() -> None:
    (frame, *_) = read_video(video(1, size=(1920, 1080)))
    assert frame.shape == (720, 1280, 3) and frame.shape[0] * frame.shape[1] <= KEPT_PIXELS


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (video(3)[:200], "not_a_picture", "cannot be read"),
        (b"\0\0\0\x18ftypisom" + bytes(100), "not_a_picture", "cannot be read"),
        (video(1, size=(4096, 2400)), "too_large", "4096 x 2400"),
    ],
)
def test_refusals_say_why(data: bytes, code: str, reason: str) -> None:
    with pytest.raises(BadPicture, match=reason) as refusal:
        list(read_video(data))
    assert refusal.value.code == code


def test_a_file_with_sound_alone_is_refused() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 48_000
        for packet in (*stream.encode(sound), *stream.encode(None)):
            container.mux(packet)
    with pytest.raises(BadPicture, match="sound only"):
        list(read_video(file.getvalue()))


def test_only_containers_that_name_no_other_files_are_videos() -> None:
    assert [video_format(video(1, kind=kind)) for kind in ("mp4", "matroska", "avi")] == ["mov", "matroska", "avi"]
    assert video_format(b"#EXTM3U\nfile:///etc/passwd") is None and video_format(b"ffconcat version 1.0") is None
    assert video_format(b"\xff\xd8\xff\xe0") is None and video_format(b"") is None
