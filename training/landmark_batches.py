"""Crops of rendered heads as a bad camera sees them: turned, hidden, recoloured, blurred, and crops without a face.

The studio is clean and knows neither beards nor glasses. What a photo may have and a render has not is drawn over it
at the known keypoints, and colours and textures are bent much further than real cameras do, so that the network learns
shapes rather than the studio's look.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.expression import FloatArray
from engines.keypoints import KEYPOINT_NAMES, MIRROR
from engines.landmarks import CROP_SIZE, TRACKED, Crop, cut
from training.landmark_distractors import noise, without_face

_ROW: Final = {KEYPOINT_NAMES[index]: row for row, index in enumerate(TRACKED)}
_SPAN: Final = np.linspace(-1, 1, CROP_SIZE, dtype=np.float32)
_GRAIN: Final = np.random.default_rng(0).standard_normal((400, 400, 3), dtype=np.float32)
_MIRRORED: Final = [TRACKED.index(MIRROR[index]) for index in TRACKED]


@dataclass(frozen=True)
class Heads:
    """Rendered frames: `images` uint8 (n, h, w, 3), tracked `points` float32 (n, P, 2) in pixels."""

    images: NDArray[np.uint8]
    points: FloatArray

    @classmethod
    def load(cls, files: list[Path]) -> "Heads":
        """Read what `training.landmark_dataset` wrote."""
        images, points = [], []
        for file in files:
            with np.load(file) as arrays:
                images.append(arrays["images"])
                points.append((arrays["points"][:, list(TRACKED)] + 1) * (arrays["images"].shape[1] / 2))
        return cls(np.concatenate(images), np.concatenate(points).astype(np.float32))


@dataclass(frozen=True)
class Batch:
    """B crops (B, 3, 128, 128) in [0, 1]; `points` (B, P, 2) in [-1, 1], what lies outside not counting;
    `present` (B,), 1 where a face fills the crop: points are labelled only there."""

    crops: Tensor
    points: Tensor
    present: Tensor


def _pixels(points: FloatArray) -> FloatArray:
    return np.asarray((points + 1) * (CROP_SIZE / 2), np.float32)


def _paint(picture: FloatArray, mask: NDArray[np.uint8], colour: FloatArray, soft: float) -> None:
    """Lay `colour` (broadcast to the picture) over `picture` float32 (h, w, 3) where `mask` is 255."""
    share = cv2.GaussianBlur(mask, (0, 0), soft).astype(np.float32)[..., None] / 255
    picture += (colour - picture) * share


def _polygon(points: list[FloatArray]) -> NDArray[np.uint8]:
    mask = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 255)
    return mask


def _add_beard(rng: np.random.Generator, picture: FloatArray, points: FloatArray) -> None:
    """Dark or grey noise over jaw and chin, and over the upper lip, each with some chance; lips stay free."""

    def at(name: str) -> FloatArray:
        return points[_ROW[name]]

    light = np.exp(rng.uniform(-3, -0.4)) * 255
    hairs = noise(rng, 110) * rng.uniform(0.1, 0.5) * light + light * np.array(
        [1, rng.uniform(0.7, 1), rng.uniform(0.5, 1)]
    )
    colour = np.asarray(hairs, np.float32)
    kept = picture.copy()
    mask = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    if rng.random() < 0.7:
        low = (at("chin") - at("chin_crease")) * rng.uniform(0.0, 0.9)
        names = ["outline_left_3", "outline_left_4", "surface_left_14", "chin", "surface_right_14", "outline_right_4"]
        rim = [at(name) + low * (name in ("chin", "surface_left_14", "surface_right_14")) for name in names]
        cheek = rng.uniform(0, 0.6)
        upper = [
            at("outline_right_3"),
            at("jowl_right") * (1 - cheek) + at("cheek_low_right") * cheek,
            at("mouth_corner_right"),
            at("chin_crease"),
            at("mouth_corner_left"),
            at("jowl_left") * (1 - cheek) + at("cheek_low_left") * cheek,
        ]
        mask |= _polygon(rim + upper)
    if rng.random() < 0.8:
        arch = [at("mouth_corner_left"), at("alar_left"), at("nose_base"), at("alar_right"), at("mouth_corner_right")]
        mask |= _polygon(
            [*arch, at("lip_upper_outer_right_1"), at("lip_upper_outer_middle"), at("lip_upper_outer_left_1")]
        )
    _paint(picture, mask, colour, float(rng.uniform(0.8, 3)))
    picture += (kept - picture) * rng.uniform(0, 0.5)


def _add_glasses(rng: np.random.Generator, picture: FloatArray, points: FloatArray) -> None:
    """Two rims about the lids, a bridge and arms; dark or glossy panes now and then."""
    colour = (rng.uniform(0, 120) + rng.uniform(0, 60, 3)).tolist() if rng.random() < 0.8 else [200.0] * 3
    thick = int(rng.integers(1, 4))
    eyes = []
    for side in ("left", "right"):
        lids = points[[_ROW[f"lid_{side}_{number}"] for number in range(8)]]
        eyes.append(lids.mean(0))
    across = eyes[0] - eyes[1]
    span = float(np.hypot(*across))
    angle = float(np.degrees(np.arctan2(across[1], across[0])))
    wide, high, drop = rng.uniform(0.3, 0.44) * span, rng.uniform(0.22, 0.38) * span, rng.uniform(-0.02, 0.1) * span
    layer = picture.copy()
    shade = rng.random()
    for eye, ear in zip(eyes, ("surface_left_5", "surface_right_5"), strict=True):
        centre = eye + np.array([0, drop])
        axes = ((float(centre[0]), float(centre[1])), (2 * wide, 2 * high), angle)
        box = np.round(cv2.boxPoints(axes)).astype(np.int32)
        if shade < 0.25:
            pane = layer.copy()
            cv2.ellipse(pane, axes, (rng.uniform(0, 60, 3) if shade < 0.12 else rng.uniform(120, 255, 3)).tolist(), -1)
            layer += (pane - layer) * rng.uniform(0.2, 0.97 if shade < 0.06 else 0.6)
        if rng.random() < 0.5:
            cv2.polylines(layer, [box], True, colour, thick, cv2.LINE_AA)
        else:
            cv2.ellipse(layer, axes, colour, thick, cv2.LINE_AA)
        outer = centre + (centre - (eyes[0] + eyes[1]) / 2) / span * 2 * wide
        cv2.line(
            layer, np.round(outer).astype(int).tolist(), np.round(points[_ROW[ear]]).astype(int).tolist(), colour, thick
        )
    inner = [eye + (np.mean(eyes, 0) - eye) / (span / 2) * min(wide, span / 2) for eye in eyes]
    cv2.line(layer, np.round(inner[0]).astype(int).tolist(), np.round(inner[1]).astype(int).tolist(), colour, thick)
    picture[:] = layer


def _add_headwear(rng: np.random.Generator, picture: FloatArray, points: FloatArray) -> None:
    """A hat, a fringe or hair at the sides: a rough patch above the brows or beside the face."""
    brow = (points[_ROW["brow_left_1"]] + points[_ROW["brow_right_1"]]) / 2
    up = brow - points[_ROW["nose_tip"]]
    across = points[_ROW["outline_left_1"]] - points[_ROW["outline_right_1"]]
    colour = (
        rng.uniform(0, 255)
        + rng.uniform(-70, 70, 3) * rng.random()
        + noise(rng, int(rng.integers(4, 120))) * rng.uniform(2, 40)
    )
    if rng.random() < 0.6:
        line, reach = brow + up * rng.uniform(0.15, 0.9), across * rng.uniform(0.55, 0.9)
        bend = up * rng.uniform(-0.3, 0.4)
        top = up * rng.uniform(1.2, 2.5)
        mask = _polygon(
            [line - reach - bend, line, line + reach - bend, line + reach * 0.8 + top, line - reach * 0.8 + top]
        )
    else:
        mask = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
        inner, wide = rng.uniform(0.38, 0.52), rng.uniform(0.1, 0.35)
        for sign in (-1, 1):
            near, far = across * inner * sign, across * (inner + wide) * sign
            low = up * -rng.uniform(0.3, 2.5)
            mask |= _polygon([brow + near + up, brow + far + up, brow + far + low, brow + near + low])
    _paint(picture, mask, np.asarray(colour, np.float32), float(rng.uniform(0.5, 3)))


def _add_obstacles(rng: np.random.Generator, picture: FloatArray) -> None:
    """Hands, cups, microphones: a few shapes of one colour anywhere."""
    for _ in range(rng.integers(1, 4)):
        mask = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
        place = rng.integers(0, CROP_SIZE, 2).tolist()
        if rng.random() < 0.5:
            axes = rng.integers(4, 34, 2).tolist()
            cv2.ellipse(mask, place, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
        else:
            cv2.line(mask, place, rng.integers(0, CROP_SIZE, 2).tolist(), 255, int(rng.integers(2, 22)))
        colour = rng.uniform(0, 255, 3) + noise(rng, 12) * rng.uniform(0, 25)
        _paint(picture, mask, np.asarray(colour, np.float32), float(rng.uniform(0.4, 2)))


def _recolour(rng: np.random.Generator, picture: FloatArray) -> NDArray[np.uint8]:
    """Texture, light, sharpness, cast, gamma, contrast: `picture` (h, w, 3) about [0, 255] to bytes."""
    if rng.random() < 0.5:
        picture *= 1 + noise(rng, int(rng.integers(5, 120))) * rng.uniform(0.02, 0.22)
    if rng.random() < 0.5:  # a lamp, a window, a shadow
        angle, edge = rng.uniform(0, 2 * np.pi), rng.uniform(-0.6, 0.6)
        across = _SPAN[None] * np.float32(np.cos(angle)) + _SPAN[:, None] * np.float32(np.sin(angle))
        ramp = np.tanh((across - np.float32(edge)) * np.float32(np.exp(rng.uniform(-0.5, 3))))
        strength = rng.uniform(0.1, 0.65)
        picture *= (1 + np.float32(strength) * ramp)[..., None] * rng.uniform(0.9, 1.1, 3).astype(np.float32)
    if rng.random() < 0.35:  # another camera's idea of sharpness
        kernel = rng.standard_normal((3, 3)).astype(np.float32) * np.float32(rng.uniform(0.02, 0.3))
        kernel[1, 1] += 1 - kernel.sum()
        picture = np.asarray(cv2.filter2D(picture, -1, kernel))
    if rng.random() < 0.5:
        mixed = np.eye(3) + rng.normal(0, 0.15, (3, 3))
        picture = np.asarray(cv2.transform(picture, mixed / mixed.sum(1, keepdims=True)))
    shown = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.22:
        shown = np.asarray(cv2.cvtColor(cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)
    levels: NDArray[Any] = np.arange(256, dtype=np.float32)[:, None] / 255 * rng.normal(1, 0.12, 3).astype(np.float32)
    levels = 255 * levels.clip(0, 1) ** np.float32(np.exp(rng.normal(0, 0.35)))
    middle = float(shown.mean())
    levels = middle * rng.uniform(0.7, 1.25) + (levels - middle) * np.float32(rng.uniform(0.5, 1.5))
    return np.asarray(cv2.LUT(shown, levels.clip(0, 255).astype(np.uint8)[None]), np.uint8)


def _spoil(rng: np.random.Generator, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blur, low resolution, noise and JPEG."""
    kind = rng.random()
    if kind < 0.3:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 2.2))), np.uint8)
    elif kind < 0.5:
        size = int(CROP_SIZE * rng.uniform(0.3, 0.8))
        small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
        picture = np.asarray(cv2.resize(small, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_LINEAR), np.uint8)
    elif kind < 0.6:
        length = int(rng.integers(3, 9))
        kernel = np.zeros((length, length), np.float32)
        cv2.line(kernel, (0, int(rng.integers(length))), (length - 1, int(rng.integers(length))), 1.0)
        picture = np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()), np.uint8)
    if rng.random() < 0.6:
        top, left = rng.integers(_GRAIN.shape[0] - CROP_SIZE, size=2)
        grain = _GRAIN[top : top + CROP_SIZE, left : left + CROP_SIZE] * np.float32(rng.uniform(1, 16))
        picture = np.clip(picture + grain, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 90))])[1]
        picture = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return picture


def degrade(rng: np.random.Generator, crop: NDArray[np.uint8], points: FloatArray) -> NDArray[np.uint8]:
    """A worse photo of the same face: `crop` uint8 (128, 128, 3), `points` (P, 2) in [-1, 1]."""
    picture, places = crop.astype(np.float32), _pixels(points)
    if rng.random() < 0.3:
        _add_beard(rng, picture, places)
    if rng.random() < 0.3:
        _add_headwear(rng, picture, places)
    if rng.random() < 0.3:
        _add_glasses(rng, picture, places)
    if rng.random() < 0.25:
        _add_obstacles(rng, picture)
    return _spoil(rng, _recolour(rng, picture))


def _random_crop(rng: np.random.Generator, points: FloatArray) -> tuple[Crop, bool]:
    """Around a face as a search would lay it, or far enough off to count as none."""
    fitting = Crop.around(points)
    turned = float(rng.normal(0, 0.25))
    if rng.random() < 0.75:
        factor, shift = np.exp(rng.normal(0.03, 0.2)), rng.normal(0, 0.09, 2)
        present = True
    elif rng.random() < 0.4:
        factor, shift, present = np.exp(rng.uniform(-0.45, 0.6)), rng.uniform(-0.3, 0.3, 2), True
    else:
        present = False
        away = rng.uniform(0, 2 * np.pi)
        choice = rng.integers(3)
        factor = (1.0, rng.uniform(2.3, 4), rng.uniform(0.2, 0.45))[choice]
        far = rng.uniform(0.6, 1.0) if choice == 0 else rng.uniform(0, 0.4)
        shift = far * np.array([np.cos(away), np.sin(away)])
    side = fitting.side * float(factor)
    crop = Crop(fitting.x + float(shift[0]) * side, fitting.y + float(shift[1]) * side, side, turned)
    return crop, present


def make_sample(
    rng: np.random.Generator,
    image: NDArray[np.uint8],
    points: FloatArray,
    distractors: list[NDArray[np.uint8]] | None = None,
) -> tuple[NDArray[np.uint8], FloatArray, bool]:
    """A degraded crop (128, 128, 3), its points (P, 2) and whether a face fills it."""
    if rng.random() < 0.5:
        image = image[:, ::-1]
        points = points[_MIRRORED] * np.array([-1, 1], np.float32) + np.array([image.shape[1], 0], np.float32)
    crop, present = _random_crop(rng, points)
    border = (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT, cv2.BORDER_CONSTANT)[rng.integers(3)]
    picture, inside = cut(np.ascontiguousarray(image), crop, CROP_SIZE, border), crop.to_crop(points)
    if present and rng.random() < 0.2:
        other = without_face(rng, picture, distractors or []).astype(np.float32)
        return _spoil(rng, _recolour(rng, other)), inside, False
    return degrade(rng, picture, inside), inside, present


def batches(heads: Heads, distractors: list[NDArray[np.uint8]], size: int, seed: int) -> Iterator[Batch]:
    """Endless random batches; the same seed gives the same."""
    rng = np.random.default_rng(seed)
    while True:
        chosen = rng.integers(len(heads.images), size=size)
        samples = [make_sample(rng, heads.images[index], heads.points[index], distractors) for index in chosen]
        crops = np.stack([sample[0] for sample in samples]).transpose(0, 3, 1, 2).astype(np.float32) / 255
        points = np.stack([sample[1] for sample in samples])
        present = np.array([sample[2] for sample in samples], np.float32)
        yield Batch(torch.from_numpy(crops), torch.from_numpy(points), torch.from_numpy(present))
