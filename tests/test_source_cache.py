import gc

import numpy as np
import pytest

from engines.avatar import Avatar, list_avatars, load_avatar
from engines.clip import ClipFrame
from engines.source_cache import SourceCache, encoder_input


class Encoder:
    """Counts."""

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def __call__(self, avatar: Avatar) -> str:
        self.encoded.append(avatar.id)
        return avatar.id

    def follow(self, still: str, frame: ClipFrame) -> str:
        return f"{still}, moving"


def test_an_avatar_is_encoded_once_and_its_source_goes_with_it() -> None:
    name, other = list_avatars()[:2]
    encoder = Encoder()
    cache = SourceCache(encoder)
    first, second = load_avatar(name), load_avatar(other)
    assert [cache.get(each) for each in (first, second, first)] == [name, other, name]
    assert cache.at(first, 0) == name and encoder.encoded == [name, other]
    del first
    gc.collect()
    assert len(cache) == 1, "what was deleted is not remembered for as long as the server runs"
    assert cache.get(second) == other and encoder.encoded == [name, other]
    assert cache.get(load_avatar(name)) == name


def test_encoders_see_a_small_picture() -> None:
    picture = np.zeros((512, 512, 3), np.uint8)
    picture[:256, :, 0] = 255
    seen = encoder_input(picture)
    assert seen.shape == (1, 3, 256, 256) and seen.dtype == np.float32
    assert seen[0, 0, 10, 10] == pytest.approx(1.0) and seen[0, 0, 200, 10] == seen[0, 1, 10, 10] == 0
