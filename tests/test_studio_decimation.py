"""Decimation keeps the shape, its vertices and its open border."""

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the studio needs the train extra: pip install visavis[train]")

from training.studio.decimation import decimate


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    corner = (np.arange(size - 1)[:, None] * size + np.arange(size - 1)).ravel()
    first = np.stack([corner, corner + size, corner + size + 1], 1)
    second = np.stack([corner, corner + size + 1, corner + 1], 1)
    return np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1).astype(float), np.concatenate([first, second])


def _area(vertices: np.ndarray, triangles: np.ndarray) -> float:
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    return float(np.cross(b - a, c - a)[:, 2].sum() / 2)


def test_a_plane_needs_few_triangles_and_keeps_its_outline() -> None:
    vertices, triangles = _grid(12)
    left = decimate(vertices, triangles, 20)
    assert len(left) <= 20
    assert _area(vertices, left) == pytest.approx(_area(vertices, triangles))
    a, b, c = (vertices[left[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all(), "nothing folds over"


def test_detail_outlives_the_flat() -> None:
    vertices, triangles = _grid(15)
    vertices[:, 2] = 2 * np.exp(-((vertices[:, 0] - 7) ** 2 + (vertices[:, 1] - 7) ** 2) / 3)
    left = decimate(vertices, triangles, 120)
    near = np.hypot(*(vertices[np.unique(left), :2] - 7).T) < 4
    assert near.mean() > 0.5 and vertices[np.unique(left), 2].max() == pytest.approx(2)
