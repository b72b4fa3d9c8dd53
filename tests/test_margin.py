import cv2
import numpy as np
from numpy.typing import NDArray

from engines import atlas
from engines.margin import Margin


def drawn(rng: np.random.Generator, size: int) -> NDArray[np.int32]:
    """Blots of triangles, some of them at the edge of the picture."""
    soft = cv2.GaussianBlur(rng.random((size, size)), (0, 0), 3)
    return np.where(soft > np.quantile(soft, 0.8), rng.integers(0, 9, soft.shape), -1).astype(np.int32)


def softened(covered: NDArray[np.uint8]) -> NDArray[np.uint8]:
    blurred = cv2.GaussianBlur(covered * np.uint8(255), (3, 3), 0.8)
    return np.asarray(np.minimum(blurred * 1.2 + 1e-6, 255), np.uint8)


def test_a_margin_is_what_filters_of_pictures_say() -> None:
    rng = np.random.default_rng(0)
    for nearest in (drawn(rng, 64), drawn(rng, 128), np.full((32, 32), -1, np.int32), np.zeros((32, 32), np.int32)):
        margin, covered = Margin.of(nearest), (nearest >= 0).astype(np.uint8)
        np.testing.assert_array_equal(margin.covered, covered)
        np.testing.assert_array_equal(margin.soft, softened(covered))
        np.testing.assert_array_equal(margin.beside, atlas.widen(covered, atlas.HALO) - covered)


def test_all_that_a_pixels_neighbours_can_be_is_blurred_alike() -> None:
    patterns = np.arange(512)[:, None] >> np.arange(9) & 1
    tiles = np.pad(patterns.reshape(-1, 3, 3), ((0, 0), (2, 3), (2, 3)))
    covered = tiles.reshape(16, 32, 8, 8).transpose(0, 2, 1, 3).reshape(128, 256).astype(np.uint8)
    np.testing.assert_array_equal(Margin.of(covered.astype(np.int32) - 1).soft, softened(covered))
