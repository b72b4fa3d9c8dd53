"""A source picture taken apart: the figure with how much it covers, what the figure hides of itself, and the wall.

A head that turns shows surface that lay at the very edge of its outline or behind its own hair, and uncovers the wall.
Looked up in the picture as it is, the one would bring slivers of the wall along, the other a second ear.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray

SKIN, WORN, PICTURE, GLOBE_SKIN, GLOBE_WORN = range(5)
"""Which picture of the atlas, from the top: skin drawn out over hair and wall, for skin that the source saw at a
grazing angle or not at all; hair and garment drawn out likewise; the figure as it is, cut out; and, of a head that
somebody walked around, the two of its globe (`engines.globe`), for what the source did not see."""
OUTLINE: Final = 2
"""Pixels that the outline is wide."""
SMOOTHING: Final = 6
"""Passes over each scale of the backdrop."""
HALO: Final = 8
"""Pixels outside the mesh up to which there may be hair."""
_HAIRLINE: Final = 1
"""Pixels that the seam between hair and skin is wide, to either side."""
_SMEAR: Final = 3.0
"""Pixels over which colours blend that are drawn out, against streaks."""
_FRINGE: Final = 10
"""Pixels inside the mesh up to which hair may let the wall through."""
_COVERED_FROM: Final = 0.7
"""Share of the way from the wall's colour to the figure's at which a pixel counts as covered: hair varies."""
_NOISE: Final = 12.0
"""Levels by which wall and figure must differ for the picture to tell one from the other."""


@dataclass(frozen=True)
class Atlas:
    """`skin`, `worn`, `picture` and `backdrop`, RGB uint8 (N, N, 3), the last the wall without the figure; `cover`
    float32 (N, N), from 0 to 1, how much of each pixel of `picture` the figure covers. `globe` is nothing, or
    two pictures more."""

    skin: NDArray[np.uint8]
    worn: NDArray[np.uint8]
    picture: NDArray[np.uint8]
    backdrop: NDArray[np.uint8]
    cover: FloatArray
    globe: tuple[NDArray[np.uint8], ...] = ()

    @cached_property
    def figure(self) -> NDArray[np.uint8]:
        """What is looked up, uint8 (n N + 2, N, 4): `SKIN`, `WORN`, `PICTURE` and the `globe`, one below the other,
        each with its cover; the colours are multiplied by it, so that figure and uncovered wall add up to the picture.
        Who looks up four pixels at once finds something beyond the last, too."""
        whole = np.full((*self.cover.shape, 1), 255, np.uint8)
        wall = self.backdrop * (1 - self.cover)[..., None]
        cut = np.concatenate([self.picture - wall, self.cover[..., None] * 255], axis=2)
        skin, worn, *globe = (np.dstack([drawn, whole]) for drawn in (self.skin, self.worn, *self.globe))
        cut = cut.round().clip(0, 255).astype(np.uint8)
        return np.concatenate([skin, worn, cut, *globe, np.zeros((2, *cut.shape[1:]), np.uint8)])

    @cached_property
    def wall(self) -> NDArray[np.uint8]:
        """What it is laid over, uint8 (N, N, 4): the `backdrop`."""
        return np.asarray(cv2.cvtColor(self.backdrop, cv2.COLOR_RGB2RGBA), np.uint8)


@dataclass(frozen=True)
class Plate:
    """A picture, RGB uint8 (N, N, 3), in which the figure stays where it is and need not be told from the wall: what
    is looked up is found in it, and nowhere else, so that a place names no picture."""

    backdrop: NDArray[np.uint8]

    @cached_property
    def figure(self) -> NDArray[np.uint8]:
        """All of it, uint8 (N + 2, N, 4), as that of an `Atlas`."""
        height, width = self.backdrop.shape[:2]
        figure = np.empty((height + 2, width, 4), np.uint8)
        cv2.cvtColor(self.backdrop, cv2.COLOR_RGB2RGBA, figure[:height])
        figure[height:] = 0
        return figure

    @property
    def wall(self) -> NDArray[np.uint8]:
        """The same."""
        return self.figure[:-2]


def widen(mask: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    """`mask` (N, N) with everything within `pixels` of it (in a square)."""
    return np.asarray(cv2.dilate(mask, _square(pixels)), np.uint8)


def make_atlas(picture: NDArray[np.uint8], covered: NDArray[np.uint8], skin: NDArray[np.uint8]) -> Atlas:
    """Take `picture` (N, N, 3) apart, given where the mesh is in it and where its skin shows, uint8 (N, N), 0 or 1."""
    near = widen(covered, HALO)
    backdrop = fill(picture, near)
    inside = cv2.erode(covered, _square(OUTLINE))
    skins, worn = (cv2.erode(part, _square(_HAIRLINE)) & inside for part in (skin, covered - skin))
    figure = _drawn_out(picture, inside, picture)
    cover = _cover(picture, backdrop, covered, near)
    return Atlas(_drawn_out(picture, skins, figure), _drawn_out(picture, worn, figure), picture, backdrop, cover)


def _square(pixels: int) -> NDArray[np.uint8]:
    return np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)


def _drawn_out(
    picture: NDArray[np.uint8], inside: NDArray[np.uint8], otherwise: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Every pixel takes the nearest colour `inside`, softly; `otherwise` where there is no inside."""
    rows, columns = np.nonzero(inside)
    if not len(rows):
        return otherwise
    _, label = cv2.distanceTransformWithLabels(1 - inside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    nearest = np.empty(label.max() + 1, np.int64)
    nearest[label[rows, columns]] = rows * picture.shape[1] + columns
    drawn: NDArray[np.uint8] = picture.reshape(-1, 3)[nearest[label]]
    soft = np.asarray(cv2.GaussianBlur(drawn, (0, 0), _SMEAR), np.uint8)
    return np.where(inside[..., None] > 0, drawn, soft)


def _cover(
    picture: NDArray[np.uint8], backdrop: NDArray[np.uint8], covered: NDArray[np.uint8], near: NDArray[np.uint8]
) -> FloatArray:
    """How much of each pixel the figure covers, float32 (N, N): how far its colour is on the way from the wall's to
    that of the figure beside it; as the mesh says where the two are alike."""
    figure = _drawn_out(picture, cv2.erode(covered, _square(3 * OUTLINE)), picture)
    wall = backdrop.astype(np.float32)
    way = np.asarray(cv2.blur(figure, (5, 5)), np.float32) - wall
    length = (way * way).sum(2)
    share = ((picture - wall) * way).sum(2) / np.maximum(length, 1)
    trust = length / (length + 3 * _NOISE**2)
    mesh = np.asarray(cv2.blur(covered.astype(np.float32), (3, 3)), np.float32)
    cover = trust * np.clip(share / _COVERED_FROM, 0, 1) + (1 - trust) * mesh
    # What is darker than the wall cannot be wall that shines through.
    cover = np.maximum(cover, (1 - picture / np.maximum(wall, 1)).max(2))
    cover[cv2.erode(covered, _square(_FRINGE)) > 0] = 1
    return np.where(near > 0, cover.clip(0, 1), 0).astype(np.float32)


def fill(picture: NDArray[np.uint8], hole: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`picture` with `hole` filled like a membrane stretched over its rim, coarse to fine."""
    known = (1 - hole).astype(np.float32)[..., None]
    levels = [(picture * known, known)]
    while min(levels[-1][0].shape[:2]) > 1:
        half = [max(size // 2, 1) for size in levels[-1][0].shape[1::-1]]
        sums, weight = (cv2.resize(part, half, interpolation=cv2.INTER_AREA) for part in levels[-1])
        levels.append((sums.reshape(*half[::-1], 3), weight.reshape(*half[::-1], 1)))
    sums, weight = levels[-1]
    filled = sums / np.maximum(weight, 1e-6)
    for sums, weight in reversed(levels[:-1]):
        own = sums / np.maximum(weight, 1e-6)
        unknown = weight < 0.5
        filled = cv2.resize(filled, sums.shape[1::-1], interpolation=cv2.INTER_LINEAR).reshape(sums.shape)
        for _ in range(SMOOTHING):
            filled = cv2.blur(np.where(unknown, filled, own), (3, 3)).reshape(sums.shape)
        filled = np.where(unknown, filled, own)
    return filled.round().clip(0, 255).astype(np.uint8)
