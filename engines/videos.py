"""Read a video that somebody sent: its first seconds at our frame rate, upright, without sound and metadata."""

import io
from collections.abc import Iterator
from typing import Final

import av
import cv2
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from engines.media import FRAME_RATE
from engines.pictures import BadPicture

MOST_BYTES: Final = 64 * 1024 * 1024
MOST_SECONDS: Final = 10
"""How much of a video is read."""
MOST_PIXELS: Final = 4096 * 2304
"""Of a frame of it."""
KEPT_PIXELS: Final = 1280 * 720
"""To which larger frames are made smaller: what one core sends 25 times a second."""


def video_format(data: bytes) -> str | None:
    """FFmpeg's name of the container that `data` begins: MP4 and MOV, WebM and Matroska, or AVI; None for any other,
    since some of those can name further files to read."""
    if data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return "mov"
    if data[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return "avi"
    return None


def read_video(data: bytes) -> Iterator[NDArray[np.uint8]]:
    """Frames of an MP4, MOV, WebM, Matroska or AVI file, RGB uint8 (h, w, 3) with even sides, `FRAME_RATE` a second
    whatever its own rate is, at most `MOST_SECONDS`. Raises `BadPicture`."""
    if len(data) > MOST_BYTES:
        raise BadPicture("too_large", f"The video is larger than {MOST_BYTES >> 20} MB: cut it to a few seconds.")
    due = 0
    try:
        with av.open(io.BytesIO(data), format=video_format(data)) as container:
            if not container.streams.video:
                raise BadPicture("not_a_picture", "The file holds sound only: send a video that shows a person.")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            if stream.width * stream.height > MOST_PIXELS:
                raise BadPicture("too_large", f"The video is {stream.width} x {stream.height}: save it smaller.")
            first: float | None = None
            for frame in container.decode(stream):
                if frame.width * frame.height > MOST_PIXELS:
                    raise BadPicture("too_large", f"The video is {frame.width} x {frame.height}: save it smaller.")
                if frame.time is None:
                    continue
                first = frame.time if first is None else first
                # A frame stands for the moments that are nearest to it.
                until = (frame.time - first) * FRAME_RATE + 0.5
                if due > until:
                    continue
                picture = _upright(frame)
                while due <= until and due < MOST_SECONDS * FRAME_RATE:
                    yield picture
                    due += 1
                if due == MOST_SECONDS * FRAME_RATE:
                    return
    except (FFmpegError, ValueError) as error:
        if isinstance(error, BadPicture):
            raise
        if due == 0:
            raise BadPicture("not_a_picture", "The video cannot be read: save it anew, as MP4 or WebM.") from error
    if due == 0:
        raise BadPicture("not_a_picture", "There is no picture in the video: save it anew, as MP4 or WebM.")


def _upright(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """As a player shows it, at most `KEPT_PIXELS`."""
    scale = min(1.0, (KEPT_PIXELS / (frame.width * frame.height)) ** 0.5)
    width, height = (max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height))
    picture = frame.to_ndarray(format="rgb24")
    if (height, width) != picture.shape[:2]:
        picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))
    return np.ascontiguousarray(np.rot90(picture, frame.rotation // 90), np.uint8)
