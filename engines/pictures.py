"""Read a picture that somebody sent: size limits before decoding, upright, without its metadata."""

import struct
from typing import Final

import av
import cv2
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from engines.jpeg_scan import is_whole

MOST_BYTES: Final = 20 * 1024 * 1024
MOST_PIXELS: Final = 60_000_000
_FORMATS: Final = "a JPEG, PNG or WebP picture, or a short clip in MP4, MOV, WebM, Matroska or AVI"
LEAST_SIDE: Final = 16
"""Pixels on the shorter side: nobody is seen in fewer."""
LONGEST_SHAPE: Final = 40
"""Sides to each other beyond which a picture is a stripe."""
LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
"""Shares of red, green and blue in how light a colour is (ITU-R BT.601)."""
_SIZED_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG markers that carry the picture's size."""


class Refusal(ValueError):
    """What somebody sent is refused: `code` for programs, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)  # both, so that it can pass from process to process
        self.code = code

    def __str__(self) -> str:
        return str(self.args[1])


class BadPicture(Refusal):
    """The bytes are not a picture that is read here."""


def read_picture(data: bytes) -> NDArray[np.uint8]:
    """JPEG, PNG or WebP to RGB uint8 (h, w, 3), turned as its EXIF says, on white where it is transparent. Raises
    `BadPicture`."""
    if len(data) > MOST_BYTES:
        raise BadPicture("too_large", f"The file is larger than {MOST_BYTES >> 20} MB: save it smaller.")
    size = picture_size(data)
    if size is None:
        raise BadPicture("not_a_picture", f"This is nothing that can be read here: send {_FORMATS}.")
    if size[0] * size[1] > MOST_PIXELS:
        pixels = f"{MOST_PIXELS // 1_000_000} megapixels"
        raise BadPicture("too_large", f"The picture has more than {pixels}: save it smaller.")
    if min(size) < max(LEAST_SIDE, max(size) / LONGEST_SHAPE):
        raise BadPicture("too_small", f"The picture has only {size[0]} x {size[1]} pixels: use a larger one.")
    try:
        picture = _over_white(data)
        if picture is None:
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        picture = None
    if picture is None or _is_torn(data):
        raise BadPicture("not_a_picture", "The picture is damaged and cannot be read: save it anew.")
    return np.ascontiguousarray(picture[..., ::-1], np.uint8)


def _is_torn(data: bytes) -> bool:
    """Whether a JPEG is broken somewhere in the middle. OpenCV paints on as well as it can and says nothing. Baseline
    ones are followed to their end; of others FFmpeg tells, when asked to. It does not know every kind of JPEG: one that
    it cannot read without care either is none of its business."""
    if not data.startswith(b"\xff\xd8"):
        return False
    whole = is_whole(data)
    return not whole if whole is not None else not _decodes(data, "explode") and _decodes(data, "0")


def _decodes(data: bytes, care: str) -> bool:
    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.options = {"err_detect": care}
    try:
        return len([*decoder.decode(av.Packet(data)), *decoder.decode(None)]) > 0
    except FFmpegError:
        return False


def _over_white(data: bytes) -> NDArray[np.uint8] | None:
    """A transparent picture as BGR, or None for any other. What is hidden by transparency stays hidden: it may be
    anything."""
    if data.startswith(b"\xff\xd8"):
        return None
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
        return None
    if picture.dtype == np.uint16:
        picture = picture >> 8
    colour, shown = picture[..., :3].astype(np.uint16), picture[..., 3:].astype(np.uint16)
    return np.asarray((colour * shown + 255 * (255 - shown) + 127) // 255, np.uint8)


def to_jpeg(picture: NDArray[np.uint8], quality: int = 93) -> bytes:
    """RGB uint8 (h, w, 3) as a JPEG file."""
    return cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def from_jpeg(data: bytes | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The reverse of `to_jpeg`."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that the header of a JPEG, PNG or WebP file names; None for anything else."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height = struct.unpack(">II", data[16:24])
            return width, height
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_size(data)
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg_size(data)
    except (struct.error, IndexError):
        pass
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker in _SIZED_FRAMES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        if marker == 0xFF:  # padding
            at += 1
        elif 0xD0 <= marker <= 0xD8 or marker == 0x01:
            at += 2
        else:
            at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return None
