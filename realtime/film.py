"""A video file being written."""

from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from engines.media import FRAME_RATE, FRAME_SIZE, FRAME_TICKS, MEDIA_RATE, VideoFrame

FORMATS: Final = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Containers by the extension of the output."""

_X264: Final = {"preset": "veryfast", "crf": "17"}
_BT601: Final = {"color_range": 1, "colorspace": 6, "color_primaries": 1, "color_trc": 1}
"""What the planes are, in FFmpeg's numbers: limited range, BT.601 matrix, on a screen of BT.709."""


class Film:
    """A video file being written: H.264 at 25 frames a second, AAC at 48 kHz, the index in front where there is one.

    `size` is the pictures' width and height.
    """

    def __init__(self, path: Path, layout: str, size: tuple[int, int] = (FRAME_SIZE, FRAME_SIZE)) -> None:
        format = FORMATS[path.suffix.lower()]
        options = {} if format == "matroska" else {"movflags": "+faststart"}
        self._samples = 0
        self._layout = layout
        self._container = av.open(str(path), "w", format=format, options=options)
        self._picture = self._container.add_stream("libx264", rate=FRAME_RATE, options=_X264)
        self._picture.width, self._picture.height = size
        self._picture.pix_fmt = "yuv420p"
        for name, value in _BT601.items():
            setattr(self._picture.codec_context, name, value)
        self._sound = self._container.add_stream("aac", rate=MEDIA_RATE, layout=layout, bit_rate=160_000)

    def __enter__(self) -> "Film":
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

    def write_sound(self, sound: NDArray[np.int16]) -> None:
        """Append int16 ``(channels, n)``."""
        if sound.shape[1] == 0:
            return
        samples = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), format="s16p", layout=self._layout)
        samples.sample_rate, samples.pts = MEDIA_RATE, self._samples
        self._samples += sound.shape[1]
        self._container.mux(self._sound.encode(samples))
