from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import pytest
from aiortc.codecs import depayload
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from realtime.encoders import Encoder, H264Encoder, VoiceEncoder, Vp8Encoder, encoder_for

CODECS: dict[str, tuple[Callable[[int], Encoder], str]] = {"VP8": (Vp8Encoder, "vp8"), "H264": (H264Encoder, "h264")}


def frames(count: int, noise: float = 3.0) -> list[av.VideoFrame]:
    """A textured picture that sways as a head does."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.random((600, 600)).astype(np.float32), (0, 0), 4)
    texture = (texture - texture.min()) / (texture.max() - texture.min()) * 160 + 40
    made = []
    for index in range(count):
        shift = np.array([[1, 0, -40 - 6 * np.sin(index / 9)], [0, 1, -40 - 4 * np.cos(index / 7)]], np.float32)
        planes = np.full((768, 512), 128, np.uint8)
        planes[:512] = cv2.warpAffine(texture, shift, (512, 512)) + rng.normal(0, noise, (512, 512))
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = index * 3600, Fraction(1, 90_000)
        made.append(frame)
    return made


class Line:
    """What a receiver makes of the payloads."""

    def __init__(self, codec: str) -> None:
        self._decoder: Any = av.CodecContext.create(CODECS[codec][1], "r")
        self._codec = RTCRtpCodecParameters(mimeType=f"video/{codec}", clockRate=90_000)
        self.sizes: list[int] = []
        self.keyframes: list[bool] = []

    def take(self, payloads: list[bytes]) -> Any:
        assert all(len(payload) <= 1300 for payload in payloads)
        self.sizes.append(sum(map(len, payloads)))
        (frame,) = self._decoder.decode(av.Packet(b"".join(depayload(self._codec, part) for part in payloads)))
        self.keyframes.append(bool(frame.key_frame))
        return frame

    def kbps(self, start: int, end: int) -> float:
        return 8 * 25 * float(np.mean(self.sizes[start:end])) / 1000


@pytest.mark.parametrize("codec", CODECS)
def test_the_bitrate_is_kept_and_pictures_stay_good(codec: str) -> None:
    encoder, line = CODECS[codec][0](1_000_000), Line(codec)
    for frame in frames(100):
        decoded = line.take(encoder.encode(frame, False))
    assert 300 < line.kbps(25, 100) < 1200
    assert line.keyframes == [True] + [False] * 99
    error = decoded.to_ndarray()[:512].astype(float) - frame.to_ndarray()[:512]
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 30


@pytest.mark.parametrize("codec", CODECS)
def test_no_picture_stalls_the_line(codec: str) -> None:
    encoder, line = CODECS[codec][0](1_000_000), Line(codec)
    for index, frame in enumerate(frames(60)):
        line.take(encoder.encode(frame, keyframe=index == 40))
    assert line.keyframes[40] and sum(line.keyframes) == 2
    assert line.sizes[40] < 1_000_000 / 8 / 2  # half a second of the line at most


@pytest.mark.parametrize("codec", CODECS)
def test_a_lower_bitrate_is_followed(codec: str) -> None:
    encoder, line = CODECS[codec][0](1_000_000), Line(codec)
    for index, frame in enumerate(frames(100)):
        if index == 30:
            encoder.bitrate = 300_000
        line.take(encoder.encode(frame, False))
    assert line.kbps(60, 100) < 400


def test_h264_follows_without_a_key_frame() -> None:
    encoder, line = H264Encoder(1_000_000), Line("H264")
    for index, frame in enumerate(frames(60)):
        encoder.bitrate = 1_000_000 - 10_000 * index
        line.take(encoder.encode(frame, False))
    assert sum(line.keyframes) == 1


def test_vp8_ignores_small_steps() -> None:
    encoder, line = Vp8Encoder(1_000_000), Line("VP8")
    for index, frame in enumerate(frames(30)):
        encoder.bitrate = 1_000_000 - 10_000 * index
        line.take(encoder.encode(frame, False))
    assert sum(line.keyframes) == 1


def test_the_voice_is_one_packet_a_frame() -> None:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.int16), format="s16", layout="mono")
    (payload,) = VoiceEncoder().encode(frame)
    assert 0 < len(payload) < 400


def test_unknown_codecs_have_no_encoder() -> None:
    assert isinstance(encoder_for("video/H264")(500_000), H264Encoder)
    with pytest.raises(KeyError):
        encoder_for("video/AV1")
