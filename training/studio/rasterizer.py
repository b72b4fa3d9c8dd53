"""An OpenGL rasteriser for portraits, headless through EGL (Mesa's llvmpipe is enough).

Sixteen directional lights share one shadow atlas, so soft shadows, ambient occlusion and a dark mouth come out of one
sum. A G-buffer holds irradiance, albedo and gloss; the irradiance of skin is blurred on screen; hair and lashes are
blended on top, far triangles first; pictures are supersampled and tone-mapped.
"""

from dataclasses import dataclass
from enum import IntEnum

import cv2
import moderngl
import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.head_mesh import Camera
from training.studio import shaders
from training.studio.camera import Lights
from training.studio.identity import Colour
from training.studio.subdivision import vertex_normals

EXPOSURE = 1.25
DIFFUSION_RADIUS = 0.06
"""How far light spreads in skin, decimetres."""
SHADOW_RADIUS = 2.7
"""Decimetres around the subject that the shadow maps cover."""


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


def _bytes(matrix: NDArray[np.floating]) -> bytes:
    return np.ascontiguousarray(np.asarray(matrix, np.float32).T).tobytes()


def _look(eye: NDArray[np.floating], at: NDArray[np.floating], up: tuple[float, float, float]) -> NDArray[np.float64]:
    forward = (at - eye) / np.linalg.norm(at - eye)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    view = np.eye(4)
    view[:3, :3] = right, np.cross(right, forward), -forward
    view[:3, 3] = -view[:3, :3] @ eye
    return view


def _perspective(zoom: float, near: float = 1.0, far: float = 60.0) -> NDArray[np.float64]:
    projection = np.diag([zoom, zoom, -(far + near) / (far - near), 0.0])
    projection[2, 3], projection[3, 2] = -2 * far * near / (far - near), -1
    return projection


class Surface:
    """A mesh on the graphics card: corners with a place, a normal, a texture coordinate and an occlusion."""

    def __init__(
        self,
        rasterizer: "Rasterizer",
        material: Material,
        vertices: NDArray[np.int64],
        uvs: FloatArray,
        triangles: NDArray[np.int32],
        shadow_triangles: NDArray[np.int32] | None = None,
    ) -> None:
        context = rasterizer.context
        self.material, self.vertices, self.triangles = material, vertices, triangles
        self.faces = vertices[triangles]
        image = material.image
        self.image = context.texture((image.shape[1], image.shape[0]), 4, image.tobytes())
        self.image.build_mipmaps()
        self.image.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
        self.mask = None
        if material.mask is not None:
            self.mask = context.texture(material.mask.shape[1::-1], 4, material.mask.tobytes())
            self.mask.build_mipmaps()
            self.mask.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
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

        main = rasterizer.cards if material.kind >= Kind.HAIR else rasterizer.surface
        self.drawn = array(main, self.index)
        self.prepass = array(rasterizer.depth, self.index)
        self.shadow = array(rasterizer.shadow, self.shadow_index)

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

    def release(self) -> None:
        """Give the graphics memory back."""
        arrays = (self.drawn, self.prepass, self.shadow)
        buffers = (self.points, self.uv, self.occlusion, self.index, self.shadow_index, self.image, self.mask)
        for resource in (*arrays, *buffers):
            if resource is not None:
                resource.release()


class Rasterizer:
    """Draws square pictures of `size` pixels. One per process: it owns the OpenGL context."""

    def __init__(self, size: int = 512, supersampling: int = 2, shadow_size: int = 1024) -> None:
        self.context = context = moderngl.create_context(standalone=True, backend="egl")
        self.size, self.supersampling, self.shadow_size = size, supersampling, shadow_size
        self.wide = wide = size * supersampling
        self.surface = context.program(shaders.VERTEX, shaders.SURFACE)
        self.cards = context.program(shaders.VERTEX, shaders.CARDS)
        self.depth = context.program(shaders.VERTEX, shaders.DEPTH)
        self.shadow = context.program(shaders.SHADOW_VERTEX, shaders.SHADOW)
        self._screen = {
            name: context.program(shaders.SCREEN_VERTEX, source)
            for name, source in (("blur", shaders.DIFFUSION), ("compose", shaders.COMPOSE), ("tone", shaders.TONE))
        }
        self._screen_arrays = {name: context.vertex_array(program, []) for name, program in self._screen.items()}

        def target(dtype: str = "f2") -> moderngl.Texture:
            texture = context.texture((wide, wide), 4, dtype=dtype)
            texture.repeat_x = texture.repeat_y = False
            return texture

        self._lit, self._blurred, self._gloss, self._picture = target(), target(), target(), target()
        self._albedo = target("f4")
        depth = context.depth_texture((wide, wide))
        self._into_gbuffer = context.framebuffer([self._lit, self._albedo, self._gloss], depth)
        self._into_lit = context.framebuffer([self._lit])
        self._into_blurred = context.framebuffer([self._blurred])
        self._into_picture = context.framebuffer([self._picture], depth)
        self._out = context.framebuffer([context.texture((size, size), 4)])
        self._shadows = context.depth_texture((shadow_size, shadow_size))
        self._shadows.compare_func = "<="
        self._shadows.filter = (moderngl.LINEAR, moderngl.LINEAR)
        self._into_shadows = context.framebuffer([], self._shadows)
        self._backdrop: moderngl.Texture | None = None
        self.surfaces: list[Surface] = []

    def add(self, surface: Surface) -> None:
        self.surfaces.append(surface)

    def clear(self) -> None:
        """Release all surfaces."""
        for surface in self.surfaces:
            surface.release()
        self.surfaces = []

    def set_backdrop(self, image: NDArray[np.uint8]) -> None:
        """What stands behind: sRGB uint8 (h, w, 3), top row first."""
        if self._backdrop is not None:
            self._backdrop.release()
        flipped = np.ascontiguousarray(image[::-1])
        self._backdrop = self.context.texture(image.shape[1::-1], 3, flipped.tobytes(), alignment=1)
        self._backdrop.repeat_x = self._backdrop.repeat_y = False

    def render(self, camera: Camera, lights: Lights, center: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Draw the surfaces: sRGB uint8 (size, size, 3), top row first. Shadows reach `SHADOW_RADIUS` from `center`."""
        matrices = self._draw_shadows(lights, center)
        self._set_view(camera, lights, matrices)
        self._draw_gbuffer()
        self._blur(1 / np.tan(np.radians(camera.fov_degrees) / 2))
        self._compose()
        self._draw_cards()
        return self._develop()

    def _draw_shadows(self, lights: Lights, center: NDArray[np.floating]) -> list[NDArray[np.float64]]:
        context, tile = self.context, self.shadow_size // 4
        target = self._into_shadows
        target.use()
        target.viewport = (0, 0, self.shadow_size, self.shadow_size)
        target.clear(depth=1.0)
        context.enable(moderngl.DEPTH_TEST)
        context.disable(moderngl.BLEND | moderngl.CULL_FACE)
        box = np.diag([1 / SHADOW_RADIUS, 1 / SHADOW_RADIUS, -0.2, 1.0])
        box[2, 3] = -1.2
        matrices = []
        for index, direction in enumerate(lights.directions):
            up = (0.0, 1.0, 0.0) if abs(direction[1]) < 0.95 else (0.0, 0.0, 1.0)
            matrix = box @ _look(center + direction * 6, center, up)
            matrices.append(matrix)
            target.viewport = target.scissor = ((index % 4) * tile, (index // 4) * tile, tile, tile)
            self.shadow["light"].write(_bytes(matrix))
            for surface in self.surfaces:
                if surface.material.casts_shadow:
                    self.shadow["kind"].value = surface.material.kind
                    surface.image.use(0)
                    surface.shadow.render()
        target.scissor = None
        return matrices

    def _set_view(self, camera: Camera, lights: Lights, matrices: list[NDArray[np.float64]]) -> None:
        eye, at = np.array(camera.eye), np.array(camera.at)
        view = _bytes(_look(eye, at, (0.0, 1.0, 0.0)))
        projection = _bytes(_perspective(1 / np.tan(np.radians(camera.fov_degrees) / 2)))
        for program in (self.surface, self.cards, self.depth):
            program["view"].write(view)
            program["projection"].write(projection)
        for program in (self.surface, self.cards):
            program["light_matrix"].write(b"".join(_bytes(matrix) for matrix in matrices))
            program["light_direction"].write(lights.directions.tobytes())
            program["light_colour"].write(lights.colours.tobytes())
            program["eye"].value = camera.eye
            program["shadow"].value, program["image"].value = 1, 0
            program["tile"].value, program["bias"].value = 1 / self.shadow_size, 0.0022
            program["normal_offset"].value = 0.028
        distance = float(np.linalg.norm(eye - at))
        self.surface["mask"].value = 2
        self.surface["reference_depth"].value = distance
        self._screen["blur"]["reference_depth"].value = distance

    def _draw_gbuffer(self) -> None:
        context, program = self.context, self.surface
        self._shadows.use(1)
        self._into_gbuffer.use()
        self._into_gbuffer.clear(0, 0, 0, 0)
        context.enable(moderngl.DEPTH_TEST)
        context.cull_face = "back"
        solid = [surface for surface in self.surfaces if surface.material.kind < Kind.HAIR]

        def cull(surface: Surface) -> None:
            (context.enable if surface.material.kind == Kind.SKIN else context.disable)(moderngl.CULL_FACE)
            surface.image.use(0)

        context.depth_func = "<"
        for surface in solid:
            cull(surface)
            self.depth["kind"].value = surface.material.kind
            surface.prepass.render()
        context.depth_func = "<="
        for surface in solid:
            cull(surface)
            material = surface.material
            if surface.mask is not None:
                surface.mask.use(2)
            for name in ("kind", "tint", "recolour", "bump", "roughness", "lip", "iris_tint"):
                program[name].value = getattr(material, name)
            surface.drawn.render()
        context.disable(moderngl.CULL_FACE | moderngl.DEPTH_TEST)

    def _blur(self, zoom: float) -> None:
        program = self._screen["blur"]
        program["lit"].value, program["scale"].value = 0, DIFFUSION_RADIUS * zoom * 0.5
        passes = ((self._lit, self._into_blurred, (1, 0)), (self._blurred, self._into_lit, (0, 1)))
        for source, target, direction in passes:
            target.use()
            source.use(0)
            program["direction"].value = direction
            self._screen_arrays["blur"].render(vertices=3)

    def _compose(self) -> None:
        if self._backdrop is None:
            raise RuntimeError("set_backdrop comes before render")
        self._into_picture.use()
        self._into_picture.depth_mask = False
        program = self._screen["compose"]
        layers = {"lit": self._lit, "albedo": self._albedo, "gloss": self._gloss, "backdrop": self._backdrop}
        for unit, (name, texture) in enumerate(layers.items()):
            texture.use(unit)
            program[name].value = unit
        self._screen_arrays["compose"].render(vertices=3)

    def _draw_cards(self) -> None:
        context, program = self.context, self.cards
        context.enable(moderngl.DEPTH_TEST)
        self._shadows.use(1)
        cards = sorted((s for s in self.surfaces if s.material.kind >= Kind.HAIR), key=lambda s: -s.material.kind)
        for blended in (0, 1):
            self._into_picture.depth_mask = not blended
            program["blended"].value = blended
            if blended:
                context.enable(moderngl.BLEND)
                context.blend_func = (moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA)
            for surface in cards:
                material = surface.material
                if blended or material.opaque_above <= 1:
                    surface.image.use(0)
                    for name in ("kind", "tint", "recolour", "contrast"):
                        program[name].value = getattr(material, name)
                    program["cut"].value = material.opaque_above
                    surface.drawn.render()
        self._into_picture.depth_mask = True
        context.disable(moderngl.BLEND | moderngl.DEPTH_TEST)

    def _develop(self) -> NDArray[np.uint8]:
        self._out.use()
        self._picture.use(0)
        program = self._screen["tone"]
        program["picture"].value, program["samples"].value = 0, self.supersampling
        program["exposure"].value, program["pixel"].value = EXPOSURE, (1 / self.wide, 1 / self.wide)
        self._screen_arrays["tone"].render(vertices=3)
        pixels = np.frombuffer(self._out.read(components=3, alignment=1), np.uint8)
        return np.ascontiguousarray(pixels.reshape(self.size, self.size, 3)[::-1])
