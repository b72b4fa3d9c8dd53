from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.atlas import GLOBE_SKIN, GLOBE_WORN, PICTURE, SKIN, WORN, Atlas, make_atlas

SIZE = 64
WALL, FACE, HAIR = np.array([[90, 110, 130], [220, 180, 150], [40, 20, 10]], np.uint8)


def square(start: int, stop: int) -> NDArray[np.uint8]:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[start:stop, start:stop] = 1
    return mask


@pytest.fixture
def portrait() -> tuple[NDArray[np.uint8], Atlas]:
    """A face with hair around it, before a wall."""
    covered, skin = square(12, 52), square(22, 42)
    picture = np.where(skin[..., None] > 0, FACE, np.where(covered[..., None] > 0, HAIR, WALL)).astype(np.uint8)
    return picture, make_atlas(picture, covered, skin)


def part(atlas: Atlas, which: int) -> NDArray[np.uint8]:
    return atlas.figure[which * SIZE : (which + 1) * SIZE]


def test_the_figure_is_taken_off_the_wall(portrait: tuple[NDArray[np.uint8], Atlas]) -> None:
    _, atlas = portrait
    assert np.abs(atlas.backdrop.astype(int) - WALL).max() <= 1
    assert (
        atlas.cover[32, 32] == 1 and atlas.cover[14, 32] == 1 and atlas.cover[8, 32] < 0.05 and atlas.cover[0, 0] == 0
    )


def test_figure_and_uncovered_wall_add_up_to_the_picture(portrait: tuple[NDArray[np.uint8], Atlas]) -> None:
    picture, atlas = portrait
    cut = part(atlas, PICTURE).astype(np.float32)
    together = cut[..., :3] + atlas.backdrop * (1 - cut[..., 3:] / 255)
    assert np.abs(together - picture).max() < 1.5


def test_skin_and_hair_are_drawn_out_over_each_other(portrait: tuple[NDArray[np.uint8], Atlas]) -> None:
    _, atlas = portrait
    assert (part(atlas, SKIN) == [*FACE, 255]).all() and (part(atlas, WORN) == [*HAIR, 255]).all()


def test_hair_between_wall_and_figure_is_covered_in_part() -> None:
    covered = square(12, 52)
    picture = np.where(covered[..., None] > 0, HAIR, WALL).astype(np.uint8)
    picture[11] = picture[12] = (0.3 * HAIR + 0.7 * WALL).astype(np.uint8)
    cover = make_atlas(picture, covered, np.zeros_like(covered)).cover
    assert 0.3 < cover[11, 32] < 0.6 and cover[11, 32] == pytest.approx(cover[12, 32], abs=0.02)


def test_a_globe_comes_below_the_rest(portrait: tuple[NDArray[np.uint8], Atlas]) -> None:
    _, atlas = portrait
    around = replace(atlas, globe=tuple(np.full((SIZE, SIZE, 3), colour, np.uint8) for colour in (FACE, HAIR)))
    np.testing.assert_array_equal(around.figure[: 3 * SIZE], atlas.figure[: 3 * SIZE])
    assert (part(around, GLOBE_SKIN) == [*FACE, 255]).all() and (part(around, GLOBE_WORN) == [*HAIR, 255]).all()


def test_a_gradient_goes_on_behind_the_figure() -> None:
    covered = square(24, 40)
    wall = np.repeat(np.linspace(0, 252, SIZE, dtype=np.float32)[None, :, None], SIZE, 0).repeat(3, 2).astype(np.uint8)
    picture = np.where(covered[..., None] > 0, FACE, wall).astype(np.uint8)
    backdrop = make_atlas(picture, covered, covered).backdrop
    assert np.abs(backdrop.astype(int) - wall).max() < 40
    assert np.diff(backdrop[32, :, 0].astype(int)).min() > -4


def test_a_picture_without_a_mesh_is_all_backdrop() -> None:
    picture = np.full((SIZE, SIZE, 3), 77, np.uint8)
    nothing = np.zeros((SIZE, SIZE), np.uint8)
    atlas = make_atlas(picture, nothing, nothing)
    assert (atlas.backdrop == 77).all() and not atlas.cover.any() and not part(atlas, PICTURE).any()
