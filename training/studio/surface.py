"""What stands in front of the camera: materials, and meshes on the graphics card."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

import cv2
import moderngl
import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from training.studio.identity import Colour
from training.studio.subdivision import vertex_normals


class Kind(IntEnum):
    """How a surface is shaded (the numbers are those of the shaders)."""

    SKIN = 0
    EYE = 1
    TEETH = 2
    TONGUE = 3
    CLOTH = 4
    HAIR = 6
    BROW = 7
    CORNEA = 8


@dataclass(frozen=True)
class Material:
    """A kind of surface with its picture, uint8 RGBA (h, w, 4), bottom row first; `mask` as `Assets.skin_mask`."""

    kind: Kind
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None = None
    tint: Colour = (1.0, 1.0, 1.0)
    recolour: float = 0.0
    contrast: float = 2.0
    bump: float = 0.0
    roughness: float = 0.5
    lip: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 0.0)
    iris_tint: Colour = (1.0, 1.0, 1.0)
    opaque_above: float = 1.01
    casts_shadow: bool = True


def bleed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fill the colour of transparent texels from their neighbours, against dark fringes in the smaller mipmaps."""
    alpha = image[..., 3:].astype(np.float32) / 255
    colour = image[..., :3].astype(np.float32) * alpha
    filled, weight = colour.copy(), alpha.copy()
    for size in (3, 9, 31, 91):
        near = cv2.blur(alpha, (size, size))[..., None]
        empty = (weight < 0.05) & (near > 1e-4)
        filled = np.where(empty, cv2.blur(colour, (size, size)) / np.maximum(near, 1e-4), filled)
        weight = np.where(empty, 1, weight)
    solid = np.where(alpha > 0.05, image[..., :3], filled).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.dstack([solid, image[..., 3]]))


def _texture(context: moderngl.Context, image: NDArray[np.uint8]) -> moderngl.Texture:
    texture = context.texture((image.shape[1], image.shape[0]), 4, image.tobytes())
    texture.build_mipmaps()
    texture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
    return texture


class Surface:
    """A mesh on the graphics card: corners with a place, a normal, a texture coordinate and an occlusion. One that is
    not `visible` still casts its shadow."""

    def __init__(
        self,
        context: moderngl.Context,
        programs: Mapping[str, moderngl.Program],
        material: Material,
        vertices: NDArray[np.int64],
        uvs: FloatArray,
        triangles: NDArray[np.int32],
        shadow_triangles: NDArray[np.int32] | None = None,
    ) -> None:
        self.material, self.vertices, self.triangles = material, vertices, triangles
        self.visible = True
        self._context = context
        self.faces = vertices[triangles]
        self.image = _texture(context, material.image)
        self.mask = None if material.mask is None else _texture(context, material.mask)
        self.points = context.buffer(reserve=len(vertices) * 24, dynamic=True)
        self.uv = context.buffer(uvs.astype(np.float32).tobytes())
        self.occlusion = context.buffer(np.ones(len(vertices), np.float32).tobytes(), dynamic=True)
        self.index = context.buffer(triangles.astype(np.int32).tobytes(), dynamic=True)
        shadow = triangles if shadow_triangles is None else shadow_triangles
        self.shadow_index = context.buffer(shadow.astype(np.int32).tobytes())
        names = ("in_position", "in_normal", "in_uv", "in_occlusion")

        def array(program: moderngl.Program, index: moderngl.Buffer) -> moderngl.VertexArray:
            has = [name for name in names if name in program]
            parts = [
                (self.points, "3f 3f" if "in_normal" in has else "3f 12x", *[n for n in names[:2] if n in has]),
                (self.uv, "2f", "in_uv"),
            ]
            if "in_occlusion" in has:
                parts.append((self.occlusion, "1f", "in_occlusion"))
            return context.vertex_array(program, parts, index)

        self.drawn = array(programs["cards" if material.kind >= Kind.HAIR else "surface"], self.index)
        self.prepass = array(programs["depth"], self.index)
        self.shadow = array(programs["shadow"], self.shadow_index)

    def update(
        self,
        positions: FloatArray,
        occlusion: FloatArray | None = None,
        sort_from: NDArray[np.float32] | None = None,
    ) -> None:
        """Move to `positions` (vertices, 3); `occlusion` (vertices,) 0 dark to 1 open; far triangles come first when
        seen from `sort_from` (3,)."""
        packed = np.empty((len(self.vertices), 6), np.float32)
        packed[:, :3] = positions[self.vertices]
        packed[:, 3:] = vertex_normals(positions, self.faces)[self.vertices]
        self.points.write(packed.tobytes())
        if occlusion is not None:
            self.occlusion.write(occlusion[self.vertices].astype(np.float32).tobytes())
        if sort_from is not None:
            centres = positions[self.faces].mean(1)
            order = np.argsort(-((centres - sort_from) ** 2).sum(1))
            self.index.write(np.ascontiguousarray(self.triangles[order].astype(np.int32)).tobytes())

    @contextmanager
    def blank(self) -> Iterator[None]:
        """White all over for a while."""
        image, white = self.image, _texture(self._context, np.full((4, 4, 4), 255, np.uint8))
        self.image = white
        yield
        self.image = image
        white.release()

    def release(self) -> None:
        """Give the graphics memory back."""
        arrays = (self.drawn, self.prepass, self.shadow)
        buffers = (self.points, self.uv, self.occlusion, self.index, self.shadow_index, self.image, self.mask)
        for resource in (*arrays, *buffers):
            if resource is not None:
                resource.release()
