"""The codecs of what leaves, set for a talking face of 512x512 at 25 pictures a second.

VP8 starts at the rate it will need and stays: libvpx (through FFmpeg) has to be built anew for another rate, which
costs a key frame, so its rate moves in few big steps. x264 changes its rate in flight.
"""

import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final, Protocol

import av
from aiortc.codecs.h264 import H264Encoder as H264Packets
from aiortc.codecs.vpx import Vp8Encoder as Vp8Packets
from av.frame import Frame
from av.video.frame import PictureType

from engines.media import FRAME_RATE, MEDIA_RATE
from realtime.opus import OpusEncoder
from realtime.tracks import VIDEO_TIME_BASE

_LONG_GOP: Final = 3000
"""Key frames come when they are asked for, not by the clock."""
_VP8_STEP: Final = 0.35
"""Relative change of rate below which VP8 is left alone."""
VIDEO_FLOOR: Final = 150_000
"""Bits per second below which a face is not worth sending."""


class Encoder(Protocol):
    """`encode` turns a frame into RTP payloads; `bitrate` may be set at any time; what is decoded comes out
    `lookahead` seconds behind its timestamp."""

    bitrate: int
    lookahead: float

    def encode(self, frame: Frame, keyframe: bool) -> list[bytes]: ...


class VoiceEncoder:
    """Opus, 48 kb/s mono with in-band FEC."""

    def __init__(self) -> None:
        self.bitrate = 48_000
        self._opus = OpusEncoder(self.bitrate)
        self.lookahead = self._opus.lookahead / MEDIA_RATE

    def encode(self, frame: av.AudioFrame, keyframe: bool = False) -> list[bytes]:
        return [self._opus.encode(frame.to_ndarray()[0])]


class Vp8Encoder:
    """libvpx in real-time CBR; a key frame may take three pictures' bits, so that it does not stall the line."""

    lookahead = 0.0

    def __init__(self, bitrate: int) -> None:
        self.bitrate = bitrate
        self._codec: Any = None
        self._rate = bitrate
        self._picture = random.randrange(1 << 15)

    def encode(self, frame: av.VideoFrame, keyframe: bool = False) -> list[bytes]:
        size = (frame.width, frame.height)
        if self._codec is None or size != (self._codec.width, self._codec.height) or self._step():
            self._codec = self._build(size)
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        data = b"".join(bytes(packet) for packet in self._codec.encode(frame))
        payloads = Vp8Packets._packetize(data, self._picture)
        self._picture = (self._picture + 1) % (1 << 15)
        return payloads

    def _step(self) -> bool:
        return abs(self.bitrate - self._rate) > _VP8_STEP * self._rate

    def _build(self, size: tuple[int, int]) -> Any:
        self._rate = self.bitrate
        rate = str(self._rate)
        return _codec(
            "libvpx",
            size,
            self._rate,
            {
                "deadline": "realtime",
                "cpu-used": "-8",
                "lag-in-frames": "0",
                "minrate": rate,  # minrate = maxrate = rate: constant
                "maxrate": rate,
                "bufsize": str(self._rate * 6 // 10),
                "rc_init_occupancy": str(self._rate * 4 // 10),
                "undershoot-pct": "100",
                "overshoot-pct": "15",
                "max-intra-rate": "300",
                "static-thresh": "1",
                "qmin": "10",  # 46 dB on a face: more would be spent on nothing
                "qmax": "52",
                "g": str(_LONG_GOP),
            },
        )


class H264Encoder:
    """x264, constrained baseline, superfast, with a VBV of half a second so that no picture stalls the line."""

    lookahead = 0.0

    def __init__(self, bitrate: int) -> None:
        self.bitrate = bitrate
        self._codec: Any = None

    def encode(self, frame: av.VideoFrame, keyframe: bool = False) -> list[bytes]:
        size = (frame.width, frame.height)
        if self._codec is None or size != (self._codec.width, self._codec.height):
            self._codec = self._build(size)
        if self._codec.bit_rate != self.bitrate:
            self._codec.bit_rate = self.bitrate  # x264 takes it up with the next picture
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        data = b"".join(bytes(packet) for packet in self._codec.encode(frame))
        return H264Packets._packetize(H264Packets._split_bitstream(data))

    def _build(self, size: tuple[int, int]) -> Any:
        return _codec(
            "libx264",
            size,
            self.bitrate,
            {
                "preset": "superfast",
                "tune": "zerolatency",
                "profile": "baseline",
                "level": "3.1",
                "maxrate": str(self.bitrate),
                "bufsize": str(self.bitrate // 2),
                "forced-idr": "1",
                "qmin": "18",
                "g": str(_LONG_GOP),
            },
        )


def _codec(name: str, size: tuple[int, int], bitrate: int, options: dict[str, str]) -> Any:
    codec: Any = av.CodecContext.create(name, "w")
    codec.width, codec.height = size
    codec.pix_fmt = "yuv420p"
    codec.bit_rate = bitrate
    codec.framerate = Fraction(FRAME_RATE)
    codec.time_base = VIDEO_TIME_BASE
    codec.thread_count = 1  # sessions are the parallelism
    codec.options = options
    return codec


def encoder_for(mime_type: str) -> Callable[[int], Encoder]:
    """How to make the encoder of a negotiated codec. Raises `KeyError` for codecs that are never offered."""
    makers: dict[str, Callable[[int], Encoder]] = {
        "audio/opus": lambda bitrate: VoiceEncoder(),
        "video/vp8": Vp8Encoder,
        "video/h264": H264Encoder,
    }
    return makers[mime_type.lower()]
