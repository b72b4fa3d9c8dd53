"""How far one picture is from another: errors, structure, and what the eye makes of it. Pictures are uint8 RGB."""

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray

Picture = NDArray[np.uint8]


def squared_error(first: Picture, second: Picture) -> float:
    """Mean over pixels and channels, in levels squared."""
    return float(((first.astype(np.float32) - second.astype(np.float32)) ** 2).mean())


def decibels(errors: list[float]) -> float:
    """PSNR of the pooled squared error."""
    return float(10 * np.log10(255**2 / max(float(np.mean(errors)), 1e-9)))


def structural_similarity(first: Picture, second: Picture) -> float:
    """SSIM over luma with a Gaussian window of sigma 1.5 (Wang et al., 2004)."""
    a, b = _luma(first), _luma(second)

    def blur(image: FloatArray) -> FloatArray:
        return np.asarray(cv2.GaussianBlur(image, (11, 11), 1.5))

    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    )
    return float(similarity.mean())


def gradient_deviation(first: Picture, second: Picture) -> float:
    """GMSD over luma (Xue et al., 2014): how unevenly edges were kept, 0 for equal pictures. It follows what people
    judge better than PSNR and SSIM, and needs no network."""
    prewitt = np.array([[1, 0, -1]] * 3, np.float32) / 3

    def magnitude(picture: Picture) -> FloatArray:
        image = cv2.blur(_luma(picture), (2, 2))[::2, ::2]
        across, down = (cv2.filter2D(image, -1, kernel) for kernel in (prewitt, prewitt.T))
        return np.asarray(np.hypot(across, down))

    a, b = magnitude(first), magnitude(second)
    constant = 170.0
    return float(((2 * a * b + constant) / (a * a + b * b + constant)).std())


def flicker(frames: NDArray[np.uint8]) -> float:
    """Mean magnitude of the second difference over time of (n, h, w, 3), in levels: what shakes, not what moves."""
    return float(np.mean([np.abs(a - 2 * b + c).mean() for a, b, c in _triples(frames)]))


def _triples(frames: NDArray[np.uint8]) -> list[tuple[NDArray[np.int16], ...]]:
    whole = [frame.astype(np.int16) for frame in frames]
    return list(zip(whole[:-2], whole[1:-1], whole[2:], strict=True))


def _luma(picture: Picture) -> FloatArray:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32)
