"""Photos for tests: the first avatar that ships, as if it had been fitted to one, with lips together or parted."""

import numpy as np
from numpy.typing import NDArray

from engines.avatar import list_avatars, load_avatar
from engines.face_geometry import SourceGeometry
from engines.mouth_making import inner_cheeks, lip_masks
from training.studio.sampler import lips_of, motion

TEETH = (226, 208, 178)
"""Colour of the teeth in `parted_photo`."""


def photo() -> tuple[NDArray[np.uint8], SourceGeometry]:
    """Picture and geometry of somebody whose lips touch."""
    avatar = load_avatar(list_avatars()[0])
    return avatar.picture, avatar.geometry


def parted_photo(spill: int = 0) -> tuple[NDArray[np.uint8], SourceGeometry]:
    """The same with a grin full of teeth, which begin `spill` pixels above where the mesh has them."""
    picture, geometry = photo()
    pictured = geometry.mesh.pose(motion(lips_of("I")))
    geometry = SourceGeometry(geometry.mesh, geometry.camera, geometry.interior, pictured)
    opening = lip_masks(geometry, inner_cheeks(geometry.mesh))[0] > 0
    grin = picture.copy()
    for shift in range(spill + 1):
        grin[np.roll(opening, -shift, axis=0)] = TEETH
    return grin, geometry
