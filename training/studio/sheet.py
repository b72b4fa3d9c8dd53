"""Contact sheets: what the studio draws, for people to look at."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.media import Motion
from training.studio.figure import Wardrobe
from training.studio.identity import Identity
from training.studio.rasterizer import Rasterizer
from training.studio.scene import Scene

Picture = NDArray[np.uint8]


def label(picture: Picture, text: str) -> Picture:
    """Write `text` into the upper left corner of a copy."""
    marked = picture.copy()
    shadows = [((x, y), (0, 0, 0)) for x in (5, 7) for y in (17, 19)]
    for place, colour in (*shadows, ((6, 18), (255, 255, 255))):
        cv2.putText(marked, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
    return marked


def contact_sheet(scene: Scene, motions: dict[str, Motion], columns: int = 6, crop: bool = False) -> Picture:
    """Draw each motion, labelled, in rows of `columns`; with `crop` only the middle half (the face), at full detail."""
    cells = []
    for name, motion in motions.items():
        picture = scene.shoot(motion)
        size = len(picture)
        if crop:
            picture = picture[size * 3 // 8 : size * 7 // 8, size // 4 : size * 3 // 4]
        cells.append(label(picture, name))
    return _grid(cells, columns)


def cast_sheet(wardrobe: Wardrobe, rasterizer: Rasterizer, identities: Sequence[Identity], columns: int = 7) -> Picture:
    """Draw each identity at rest, labelled."""
    return _grid([label(Scene(wardrobe, rasterizer, i).shoot(Motion()), i.id) for i in identities], columns)


def _grid(cells: list[Picture], columns: int) -> Picture:
    cells = cells + [np.zeros_like(cells[0])] * (-len(cells) % columns)
    rows = [np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)]
    return np.ascontiguousarray(np.vstack(rows))
