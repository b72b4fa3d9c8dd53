import numpy as np

from engines.head_mesh import Part
from engines.mouth_making import SPEAKING, inner_cheeks, lip_masks, mouth_paint
from tests.photos import TEETH, parted_photo, photo

LUMA = np.array([0.299, 0.587, 0.114])


def test_teeth_have_the_colour_of_those_in_the_photo() -> None:
    picture, geometry = parted_photo()
    np.testing.assert_allclose(mouth_paint(picture, geometry).teeth, SPEAKING * np.array(TEETH), atol=2)


def test_teeth_that_nobody_saw_have_the_light_of_the_photo() -> None:
    picture, geometry = photo()
    plain = mouth_paint(picture, geometry)
    warm = mouth_paint((picture * np.array([1.0, 0.85, 0.6])).astype(np.uint8), geometry)
    dim = mouth_paint((picture * 0.5).astype(np.uint8), geometry)
    assert plain.teeth[0] >= plain.teeth[2], "never blue in plain light"
    assert warm.teeth[2] / warm.teeth[0] < 0.85 * plain.teeth[2] / plain.teeth[0]
    np.testing.assert_allclose(dim.teeth, plain.teeth / 2, rtol=0.15)
    for paint in (plain, warm, dim):
        assert paint.teeth @ LUMA > paint.tongue @ LUMA > paint.hollow @ LUMA
        assert paint.tongue[0] > 1.3 * paint.tongue[1]


def test_the_mouth_is_open_where_it_is_open() -> None:
    for (_, geometry), opened in ((photo(), False), (parted_photo(), True)):
        opening, mouth = lip_masks(geometry, inner_cheeks(geometry.mesh))
        assert bool(opening.any()) == opened
        assert not (opening & (1 - mouth)).any(), "the opening lies within the lips' outline"


def test_inner_cheeks_are_skin_behind_the_lips() -> None:
    mesh = photo()[1].mesh
    chosen = inner_cheeks(mesh)
    assert 100 < chosen.sum() < 1000 and (mesh.parts[chosen] == Part.SKIN).all()


def test_a_grey_photo_gets_a_grey_mouth() -> None:
    picture, geometry = photo()
    paint = mouth_paint(np.dstack([(picture @ LUMA).astype(np.uint8)] * 3), geometry)
    assert np.ptp(paint.tongue) < 4 and np.ptp(paint.hollow) < 4
