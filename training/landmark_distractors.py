"""Crops that show no face: clutter, textures, patterns, heads upside down or in pieces."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.landmarks import CROP_SIZE, Crop, cut
from training.landmark_dataset import clutter


def noise(rng: np.random.Generator, cells: int, size: int = CROP_SIZE, channels: int = 1) -> FloatArray:
    """Smooth noise of standard deviation about 1, (size, size, channels)."""
    coarse = rng.standard_normal((cells, cells, channels), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).reshape(size, size, channels))


def load_distractors(assets: Path) -> list[NDArray[np.uint8]]:
    """MakeHuman's textures, RGB: skin, cloth, hair and irises that are nobody's face."""
    files = [
        path
        for folder in ("skins/textures", "clothes", "hair", "eyes/materials", "tongue", "teeth")
        for path in sorted((assets / folder).rglob("*"))
        if path.suffix in (".jpg", ".png")
    ]
    pictures = [cv2.imread(str(path), cv2.IMREAD_COLOR) for path in files]
    return [
        np.ascontiguousarray(cv2.resize(picture, (768, 768), interpolation=cv2.INTER_AREA)[..., ::-1], np.uint8)
        for picture in pictures
        if picture is not None
    ]


def _pattern(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Bricks, waves, dots or noise like nature's (its power falls with the frequency)."""
    y, x = np.mgrid[0:CROP_SIZE, 0:CROP_SIZE].astype(np.float32)
    kind = rng.integers(4)
    if kind == 0:
        slope = rng.uniform(0.8, 2.2)
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(CROP_SIZE), np.fft.rfftfreq(CROP_SIZE), indexing="ij")) + 0.004
        white = rng.standard_normal((3, CROP_SIZE, CROP_SIZE), dtype=np.float32)
        white += rng.uniform(0, 4) * white[:1]
        field = np.fft.irfft2(np.fft.rfft2(white) / frequency**slope).transpose(1, 2, 0)
        field = field / field.std() * rng.uniform(20, 70) + rng.uniform(60, 190, 3)
        return np.clip(field, 0, 255).astype(np.uint8)
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, 50)
    u, v = (x * np.cos(angle) + y * np.sin(angle)) / period, (y * np.cos(angle) - x * np.sin(angle)) / period
    u = u + noise(rng, 6)[..., 0] * rng.uniform(0, 0.4)
    v = v + noise(rng, 6)[..., 0] * rng.uniform(0, 0.4)
    if kind == 1:
        field = np.sin(2 * np.pi * u) * (np.sin(2 * np.pi * v * rng.uniform(0.2, 1)) if rng.random() < 0.5 else 1)
    elif kind == 2:
        wide = rng.uniform(1, 3)
        u = u / wide + 0.5 * (np.floor(v) % 2)
        field = np.where((u % 1 < 0.08) | (v % 1 < 0.12), -1, 1) + 0.2 * noise(rng, 90)[..., 0]
    else:
        field = np.where(np.hypot(u % 1 - 0.5, v % 1 - 0.5) < rng.uniform(0.15, 0.45), 1, -1) * 1.0
    share = (np.clip(field, -1, 1)[..., None] + 1) / 2
    low, high = rng.uniform(0, 255, (2, 3))
    return np.clip(low + (high - low) * share + noise(rng, 20) * rng.uniform(0, 20), 0, 255).astype(np.uint8)


def without_face(
    rng: np.random.Generator, crop: NDArray[np.uint8], distractors: list[NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Clutter, a texture, a pattern, the head upside down, or the crop in shuffled tiles: skin, but no face."""
    kind = rng.random()
    if kind < 0.15:
        return clutter(rng, CROP_SIZE)
    if kind < 0.35:
        return _pattern(rng)
    if kind < 0.65 and distractors:
        texture = distractors[rng.integers(len(distractors))]
        side = float(np.exp(rng.uniform(np.log(60), np.log(700))))
        x, y = rng.uniform(0, texture.shape[0], 2)
        return cut(texture, Crop(float(x), float(y), side, float(rng.uniform(0, 6.28))), CROP_SIZE, cv2.BORDER_REFLECT)
    if kind < 0.75:
        return np.ascontiguousarray(crop[::-1])
    count = int(rng.integers(2, 6))
    tile = CROP_SIZE // count
    tiles = [crop[r * tile : (r + 1) * tile, c * tile : (c + 1) * tile] for r in range(count) for c in range(count)]
    shuffled = clutter(rng, CROP_SIZE)
    for place, which in enumerate(rng.permutation(count * count)):
        row, column = divmod(place, count)
        piece = tiles[which] if rng.random() < 0.5 else tiles[which][::-1]
        shuffled[row * tile : (row + 1) * tile, column * tile : (column + 1) * tile] = piece
    return shuffled
