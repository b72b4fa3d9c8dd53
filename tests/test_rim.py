from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import atlas
from engines.head_mesh import Part
from engines.place import MASK, NOWHERE, SHELF
from engines.rim import CELL, Rim, outline

SIZE, EDGE = 128, 66
"""Pixels of the picture, and up to which column there is hair."""
PARTS = np.array([Part.HAIR, Part.SKIN], np.uint8)


@dataclass
class Hair:
    """Hair at the left, `moved` to the right by so many pixels; every second row ends two pixels early."""

    moved: float = 0.0

    def __post_init__(self) -> None:
        rows, columns = np.mgrid[:SIZE, :SIZE]
        self.nearest = np.where(columns < EDGE - 2 * (rows % 2), 0, -1).astype(np.int32)
        x = np.clip(columns - self.moved, 0, None)
        here = (np.round(x * 32).astype(np.uint32)) | (rows * 32).astype(np.uint32) << np.uint32(14)
        covered = self.nearest >= 0
        self.place = np.where(covered, here | np.uint32(atlas.PICTURE << SHELF), np.uint32(NOWHERE)).astype(np.uint32)
        self.cover, self.seen = (np.where(covered, 255, 0).astype(np.uint8) for _ in range(2))

    def smoothed(self, beyond: int = 0) -> "Hair":
        """In a source in which the hair reaches so many pixels farther."""
        covered = (self.nearest >= 0).astype(np.uint8)
        source = outline(np.roll(covered, beyond - round(self.moved), axis=1))
        rim = Rim.find(self.nearest, PARTS, covered, self.place, self.seen)
        rim.smooth(self.nearest, covered, source, self.place, self.cover, self.seen)
        self.cells = rim.kinds > 0
        return self

    def away(self) -> NDArray[np.float64]:
        """By how many pixels each place is from where its pixel is, to the left and up: (N, N, 2)."""
        rows, columns = np.mgrid[:SIZE, :SIZE]
        return np.dstack([columns - (self.place & MASK) / 32, rows - (self.place >> np.uint32(14) & MASK) / 32])

    def shelf(self) -> NDArray[np.uint32]:
        return self.place >> np.uint32(SHELF)


MIDDLE = slice(2 * CELL, SIZE - 2 * CELL)


def test_an_outline_has_no_rags_and_ends_where_the_mesh_does() -> None:
    soft = outline((Hair().nearest >= 0).astype(np.uint8))[MIDDLE]
    assert (np.abs(np.diff(soft.astype(int), axis=0)) < 60).all(), "where rows end by two pixels sooner and later"
    assert (soft[:, EDGE - 5] == 255).all() and (soft[:, EDGE + 3] == 0).all()
    half = (soft >= 128).sum(axis=1)
    assert (np.abs(half - (EDGE - 1)) <= 1).all()


def test_an_outline_is_a_picture_blurred_and_made_steep_again() -> None:
    covered = (cv2.GaussianBlur(np.random.default_rng(0).random((SIZE, 2 * SIZE)), (0, 0), 3) > 0.5).astype(np.uint8)
    blurred = cv2.subtract(cv2.blur(covered * np.uint8(255), (5, 5)), 77)
    np.testing.assert_array_equal(outline(covered), cv2.convertScaleAbs(blurred, alpha=2.5))


def test_what_has_not_moved_stays_as_it_is_with_the_strands_beside_it() -> None:
    before, hair = Hair(), Hair().smoothed()
    covered = before.nearest >= 0
    assert (hair.place == before.place)[covered].all() and (hair.cover == before.cover)[covered].all()
    beside = hair.away()[MIDDLE, EDGE : EDGE + 4]
    np.testing.assert_allclose(beside, 0, atol=1 / 32)
    assert (hair.shelf()[MIDDLE, EDGE : EDGE + 4] == atlas.PICTURE).all() and (hair.cover[MIDDLE, EDGE] == 255).all()


def test_cards_that_stray_go_with_the_others() -> None:
    hair = Hair(moved=3)
    hair.place[40:44, EDGE - 8 : EDGE - 3] -= np.uint32(9 * 32)
    hair.smoothed()
    np.testing.assert_allclose(hair.away()[MIDDLE, EDGE - 8 : EDGE + 6, 0], 3, atol=1.5)
    np.testing.assert_allclose(hair.away()[MIDDLE, EDGE - 8 : EDGE + 6, 1], 0, atol=0.3)


def test_the_targets_outline_counts_where_the_sources_would_surely_leave_it() -> None:
    hair = Hair(moved=3).smoothed(beyond=20)
    assert (hair.cover[MIDDLE, EDGE + 4 : EDGE + 8] == 0).all(), "the source has hair there, the mesh has not"
    near = Hair(moved=3).smoothed()
    assert (near.cover[MIDDLE, : EDGE + 4] == 255).all(), "the picture says itself how much it covers"


def test_hair_that_the_source_hardly_saw_is_drawn_out_with_a_soft_outline() -> None:
    hair = Hair(moved=3)
    hair.seen[:] = 0
    hair.smoothed()
    assert (hair.shelf()[MIDDLE, EDGE - 8 : EDGE - 2] == atlas.WORN).all()
    soft = outline((hair.nearest >= 0).astype(np.uint8))
    np.testing.assert_array_equal(hair.cover[MIDDLE, EDGE - 2 : EDGE + 4], soft[MIDDLE, EDGE - 2 : EDGE + 4])


def test_other_parts_and_what_is_not_at_the_rim_are_left_alone() -> None:
    hair = Hair(moved=3)
    hair.nearest[(hair.nearest >= 0) & (np.mgrid[:SIZE, :SIZE][0] >= SIZE // 2)] = 1
    place, cover = hair.place.copy(), hair.cover.copy()
    place[8:12, 8:12] -= np.uint32(9 * 32)
    hair.place[8:12, 8:12] -= np.uint32(9 * 32)
    hair.smoothed()
    np.testing.assert_array_equal(hair.place[SIZE // 2 :], place[SIZE // 2 :])
    np.testing.assert_array_equal(hair.cover[SIZE // 2 :], cover[SIZE // 2 :])
    np.testing.assert_array_equal(hair.place[:, : EDGE - 24], place[:, : EDGE - 24])
    middle, first, edge = SIZE // 2 // CELL, (EDGE - 24) // CELL, EDGE // CELL
    assert not hair.cells[middle + 1 :].any() and not hair.cells[:, :first].any() and hair.cells[2, edge]
