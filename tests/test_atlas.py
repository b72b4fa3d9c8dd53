import numpy as np

from engines.atlas import BACKDROP, FIGURE, PICTURE, make_atlas, with_halo

SIZE = 64
WALL, SKIN = np.array([[90, 110, 130], [220, 180, 150]], np.uint8)


def test_the_figure_is_drawn_out_and_taken_off_the_wall() -> None:
    covered = np.zeros((SIZE, SIZE), np.uint8)
    covered[20:44, 20:44] = 1
    picture = np.where(covered[..., None] > 0, SKIN, WALL)
    atlas = make_atlas(picture, covered, with_halo(covered))
    figure, whole, backdrop = (atlas[part * SIZE : (part + 1) * SIZE] for part in (FIGURE, PICTURE, BACKDROP))
    np.testing.assert_array_equal(whole, picture)
    assert (figure == SKIN).all(), "no wall within reach of the figure"
    assert np.abs(backdrop.astype(int) - WALL).max() <= 1, "no figure on the wall"


def test_a_gradient_goes_on_behind_the_figure() -> None:
    covered = np.zeros((SIZE, SIZE), np.uint8)
    covered[24:40, 24:40] = 1
    wall = np.repeat(np.linspace(0, 252, SIZE, dtype=np.float32)[None, :, None], SIZE, 0).repeat(3, 2).astype(np.uint8)
    backdrop = make_atlas(np.where(covered[..., None] > 0, SKIN, wall), covered, with_halo(covered))[BACKDROP * SIZE :]
    assert np.abs(backdrop.astype(int) - wall).max() < 40
    assert np.diff(backdrop[32, :, 0].astype(int)).min() > -4


def test_a_picture_without_a_mesh_is_left_as_it_is() -> None:
    picture = np.full((SIZE, SIZE, 3), 77, np.uint8)
    nothing = np.zeros((SIZE, SIZE), np.uint8)
    assert (make_atlas(picture, nothing, nothing) == 77).all()
