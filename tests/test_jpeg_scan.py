import itertools
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from engines.jpeg_scan import is_whole

NOISE = np.random.default_rng(5).integers(0, 256, 120, np.uint8).tobytes()


def encoded(*flags: int, height: int = 233, width: int = 157) -> bytes:
    """A soft picture with some noise on it."""
    dice = np.random.default_rng(3)
    soft = cv2.resize(dice.integers(0, 256, (9, 9, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(soft + dice.normal(0, 4, soft.shape), 0, 255).astype(np.uint8)
    return bytes(cv2.imencode(".jpg", picture, flags)[1])


@pytest.mark.parametrize(
    "sampling",
    [
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ],
)
def test_whole_ones_are_whole(sampling: int) -> None:
    for quality, restart, optimized in itertools.product((20, 75, 100), (0, 1, 7), (0, 1)):
        flags = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_RST_INTERVAL, restart]
        jpeg = encoded(*flags, cv2.IMWRITE_JPEG_OPTIMIZE, optimized, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling)
        assert is_whole(jpeg) is True
        assert is_whole(jpeg + bytes(1000)) is True, "what cameras put behind the picture does no harm"
        assert is_whole(jpeg[:-2]) is True, "nor does a forgotten end"


def test_one_in_grey_is_whole() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (40, 50), np.uint8)
    assert is_whole(bytes(cv2.imencode(".jpg", grey)[1])) is True


@pytest.mark.parametrize(
    "damage",
    [
        lambda jpeg, at: jpeg[:at],
        lambda jpeg, at: jpeg[:at] + b"\xff\xd9",
        lambda jpeg, at: jpeg[:at] + NOISE + jpeg[at:],
        lambda jpeg, at: jpeg[:at] + NOISE + jpeg[at + len(NOISE) :],
        lambda jpeg, at: jpeg[:at] + bytes(500) + jpeg[at + 500 :],
    ],
)
@pytest.mark.parametrize("restart", [0, 9])
def test_damage_is_noticed_wherever_it_is(damage: Callable[[bytes, int], bytes], restart: int) -> None:
    jpeg = encoded(cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_RST_INTERVAL, restart)
    places = np.linspace(0.1, 0.95, 40) * len(jpeg)
    whole = [is_whole(damage(jpeg, int(at))) for at in places]
    assert whole.count(True) <= 1 and whole.count(False) >= 38  # at times codes find their way again by chance


def test_of_other_kinds_nothing_is_said() -> None:
    assert is_whole(encoded(cv2.IMWRITE_JPEG_PROGRESSIVE, 1)) is None
    jpeg = encoded()
    for data in (b"", b"\xff\xd8\xff", b"\xff\xd8" + bytes(100), jpeg[:300], b"\xff\xd8\xff\xda\x00\x02"):
        assert is_whole(data) is None
