"""A scene: one figure on the set with its camera, lights and backdrop."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engines.head_mesh import Camera
from engines.media import Motion
from training.studio.camera import backdrop, portrait_camera, studio_lights
from training.studio.figure import Figure, Wardrobe
from training.studio.identity import Identity
from training.studio.rasterizer import Rasterizer
from training.studio.surface import Kind, Surface


@dataclass(frozen=True)
class EyeShots:
    """The eyes at rest as the portrait's camera sees them, sRGB uint8 (size, size, 3): `bare` of all around them, in
    light that nothing keeps from them, and also `white` instead of coloured, or `wet` with their corneas; and `lit`,
    dry and white in the dressed head, as lids and lashes leave light on them."""

    bare: NDArray[np.uint8]
    white: NDArray[np.uint8]
    wet: NDArray[np.uint8]
    lit: NDArray[np.uint8]


class Scene:
    """`identity` in front of the camera, ready to be shot."""

    def __init__(self, wardrobe: Wardrobe, rasterizer: Rasterizer, identity: Identity) -> None:
        self.figure = Figure(wardrobe, rasterizer, identity)
        self.camera = portrait_camera(self.figure.eye_centers.mean(0), identity)
        self.lights = studio_lights(
            identity.key_side,
            identity.key_light,
            identity.fill_light,
            identity.rim_light,
            identity.dome_light,
            identity.key_warmth,
        )
        self._rasterizer = rasterizer
        rasterizer.set_backdrop(backdrop(identity))

    def shoot(self, motion: Motion) -> NDArray[np.uint8]:
        """The picture of `motion`: sRGB uint8 (size, size, 3), top row first."""
        self.figure.pose(motion, np.array(self.camera.eye))
        return self._shoot_as_posed()

    def shot(self, camera: Camera) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """At rest as another `camera` sees it, as glossy as for the first: sRGB uint8 (size, size, 3), dressed, and
        without hair and garment, which still cast their shadows."""
        self.figure.pose(Motion(), np.array(camera.eye))
        worn = self._of_kind(Kind.HAIR, Kind.CLOTH)
        pictures = []
        for visible in (True, False):
            for surface in worn:
                surface.visible = visible
            pictures.append(self._rasterizer.render(camera, self.lights, self.figure.light_center, self.camera))
        for surface in worn:
            surface.visible = True
        return pictures[0], pictures[1]

    def eyes(self) -> EyeShots:
        """The eyes at rest, in parts."""
        self.figure.pose(Motion(), np.array(self.camera.eye))
        (ball,), (cornea,) = (self._of_kind(kind) for kind in (Kind.EYE, Kind.CORNEA))
        cornea.visible = False
        with ball.blank():
            lit = self._shoot_as_posed()
        others = [surface for surface in self._rasterizer.surfaces if surface not in (ball, cornea)]
        materials = [surface.material for surface in others]
        for surface in others:
            surface.visible, surface.material = False, replace(surface.material, casts_shadow=False)
        bare = self._shoot_as_posed()
        with ball.blank():
            white = self._shoot_as_posed()
        cornea.visible = True
        wet = self._shoot_as_posed()
        for surface, material in zip(others, materials, strict=True):
            surface.visible, surface.material = True, material
        return EyeShots(bare, white, wet, lit)

    def _of_kind(self, *kinds: Kind) -> list[Surface]:
        return [surface for surface in self._rasterizer.surfaces if surface.material.kind in kinds]

    def _shoot_as_posed(self) -> NDArray[np.uint8]:
        return self._rasterizer.render(self.camera, self.lights, self.figure.light_center)
