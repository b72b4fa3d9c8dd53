import struct

import cv2
import numpy as np
import pytest

from engines import pictures
from engines.pictures import BadPicture, picture_size, read_picture


def encoded(kind: str, height: int = 20, width: int = 30) -> bytes:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2] = (0, 0, 255)  # BGR: the left half is red
    return bytes(cv2.imencode(kind, picture)[1])


def turned(jpeg: bytes, orientation: int) -> bytes:
    """`jpeg` with an EXIF orientation."""
    tiff = b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x0112, 3, 1, orientation) + struct.pack("<I", 0)
    segment = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


@pytest.mark.parametrize("kind", [".jpg", ".png", ".webp"])
def test_pictures_are_read_as_rgb(kind: str) -> None:
    data = encoded(kind)
    assert picture_size(data) == (30, 20)
    picture = read_picture(data)
    assert picture.shape == (20, 30, 3)
    assert picture[10, 5, 0] > 200 and picture[10, 5, 2] < 60


def test_pictures_are_turned_upright() -> None:
    picture = read_picture(turned(encoded(".jpg"), 6))  # the top is on the right
    assert picture.shape == (30, 20, 3)
    assert picture[5, 10, 0] > 200 and picture[25, 10, 0] < 60


@pytest.mark.parametrize(("kind", "deep"), [(".png", False), (".png", True), (".webp", False)])
def test_what_is_transparent_is_white_whatever_it_hides(kind: str, deep: bool) -> None:
    drawn = np.zeros((20, 40, 4), np.uint8)
    drawn[..., 2] = 200  # red, and shown in full, in part and not at all
    drawn[:, :15, 3], drawn[:, 15:25, 3] = 255, 128
    data = cv2.imencode(kind, drawn.astype(np.uint16) * 257 if deep else drawn)[1]
    picture = read_picture(bytes(data)).astype(int)
    for column, colour in ((5, (200, 0, 0)), (20, (227, 127, 127)), (35, (255, 255, 255))):
        assert np.abs(picture[10, column] - colour).max() <= 6


@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_that_is_broken_in_the_middle_is_refused(progressive: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    jpeg = bytes(cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1])
    assert read_picture(jpeg + bytes(100)).shape == (200, 200, 3)  # what cameras put behind the picture does no harm
    middle = len(jpeg) // 2
    for wrong in (b"\xff\xd9", noise[:9].tobytes()):
        broken = jpeg[:middle] + wrong + jpeg[middle + 2 :]
        decoded = cv2.imdecode(np.frombuffer(broken, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None or progressive, "nobody else would notice"
        with pytest.raises(BadPicture, match="damaged") as refusal:
            read_picture(broken)
        assert refusal.value.code == "not_a_picture"


def test_a_jpeg_whose_codes_go_on_by_chance_is_refused() -> None:
    soft = cv2.resize(np.random.default_rng(1).integers(0, 256, (9, 9, 3), np.uint8), (300, 300))
    jpeg = bytes(cv2.imencode(".jpg", soft)[1])
    for at in np.linspace(0.2, 0.9, 15) * len(jpeg):
        with pytest.raises(BadPicture, match="damaged"):
            read_picture(jpeg[: int(at)] + bytes(range(1, 99)) + jpeg[int(at) :])


@pytest.mark.parametrize(("width", "height"), [(30, 3), (6000, 20)])
def test_a_line_is_no_picture(width: int, height: int) -> None:
    with pytest.raises(BadPicture, match=f"only {width} x {height} pixels") as refusal:
        read_picture(encoded(".png", height, width))
    assert refusal.value.code == "too_small"


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a" + bytes(50), b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", bytes(1000), b"RIFF1234WEBP"]
)
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(BadPicture, match="JPEG, PNG or WebP picture, or a short clip") as refusal:
        read_picture(data)
    assert refusal.value.code == "not_a_picture"


def test_a_damaged_picture_is_refused() -> None:
    with pytest.raises(BadPicture, match="damaged"):
        read_picture(encoded(".png")[:40])


def test_too_much_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 60_000, 60_000)
    with pytest.raises(BadPicture) as refusal:
        read_picture(bomb)
    assert refusal.value.code == "too_large"
    monkeypatch.setattr(pictures, "MOST_BYTES", 100)
    with pytest.raises(BadPicture, match="larger than"):
        read_picture(encoded(".png") + bytes(100))
