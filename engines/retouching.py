"""Retouch a photo: find out once what it cannot show of a face that moves."""

import numpy as np
from numpy.typing import NDArray

from engines.eye_making import eye_paint
from engines.face_geometry import SourceGeometry
from engines.lip_making import sealed_lips
from engines.mouth_making import mouth_paint
from engines.retouch import Retouch


def retouch(picture: NDArray[np.uint8], geometry: SourceGeometry) -> Retouch:
    """That of `picture` uint8 RGB (512, 512, 3), a photo of the head of `geometry`."""
    mouth = mouth_paint(picture, geometry)
    return Retouch(mouth, eye_paint(picture, geometry), sealed_lips(picture, geometry, mouth.cheeks))
