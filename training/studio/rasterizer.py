"""An OpenGL rasteriser for portraits, headless through EGL (Mesa's llvmpipe is enough).

Sixteen directional lights share one shadow atlas, so soft shadows, ambient occlusion and a dark mouth come out of one
sum. A G-buffer holds irradiance, albedo and gloss; the irradiance of skin is blurred on screen; hair and lashes are
blended on top, far triangles first; pictures are supersampled and tone-mapped.
"""

from typing import Any

import moderngl
import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.head_mesh import Camera
from training.studio import shaders
from training.studio.camera import Lights
from training.studio.surface import Kind, Material, Surface

EXPOSURE = 1.25
DIFFUSION_RADIUS = 0.06
"""How far light spreads in skin, decimetres."""
SHADOW_RADIUS = 2.7
"""Decimetres around the subject that the shadow maps cover."""


def _bytes(matrix: NDArray[np.floating]) -> bytes:
    return np.ascontiguousarray(np.asarray(matrix, np.float32).T).tobytes()


def _set(program: Any, **uniforms: Any) -> None:
    """Set uniforms by name, arrays and matrices from their bytes."""
    for name, value in uniforms.items():
        if isinstance(value, bytes):
            program[name].write(value)
        else:
            program[name].value = value


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


class Rasterizer:
    """Draws square pictures of `size` pixels. One per process: it owns the OpenGL context."""

    def __init__(self, size: int = 512, supersampling: int = 2, shadow_size: int = 1024) -> None:
        headless: Any = {"backend": "egl"}
        self.context = context = moderngl.create_context(standalone=True, **headless)
        self.size, self.supersampling, self.shadow_size = size, supersampling, shadow_size
        self.wide = wide = size * supersampling
        sources = {
            "surface": (shaders.VERTEX, shaders.SURFACE),
            "cards": (shaders.VERTEX, shaders.CARDS),
            "depth": (shaders.VERTEX, shaders.DEPTH),
            "shadow": (shaders.SHADOW_VERTEX, shaders.SHADOW),
            "blur": (shaders.SCREEN_VERTEX, shaders.DIFFUSION),
            "compose": (shaders.SCREEN_VERTEX, shaders.COMPOSE),
            "tone": (shaders.SCREEN_VERTEX, shaders.TONE),
        }
        self._programs = {name: context.program(*pair) for name, pair in sources.items()}
        self._screen = {name: context.vertex_array(self._programs[name], []) for name in ("blur", "compose", "tone")}

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

    def add(
        self,
        material: Material,
        vertices: NDArray[np.int64],
        uvs: FloatArray,
        triangles: NDArray[np.int32],
        shadow_triangles: NDArray[np.int32] | None = None,
    ) -> Surface:
        """Bring in a mesh: see `Surface`."""
        surface = Surface(self.context, self._programs, material, vertices, uvs, triangles, shadow_triangles)
        self.surfaces.append(surface)
        return surface

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

    def render(
        self, camera: Camera, lights: Lights, center: NDArray[np.floating], gloss_for: Camera | None = None
    ) -> NDArray[np.uint8]:
        """Draw the surfaces: sRGB uint8 (size, size, 3), top row first. Shadows reach `SHADOW_RADIUS` from `center`;
        surfaces may gloss as they do for another camera, `gloss_for`."""
        matrices = self._draw_shadows(lights, center)
        self._set_view(camera, lights, matrices, gloss_for or camera)
        self._draw_gbuffer()
        self._blur(1 / np.tan(np.radians(camera.fov_degrees) / 2))
        self._compose()
        self._draw_cards()
        return self._develop()

    def _visible(self) -> list[Surface]:
        return [surface for surface in self.surfaces if surface.visible]

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
            _set(self._programs["shadow"], light=_bytes(matrix))
            for surface in self.surfaces:
                if surface.material.casts_shadow:
                    _set(self._programs["shadow"], kind=surface.material.kind)
                    surface.image.use(0)
                    surface.shadow.render()
        target.scissor = (0, 0, self.shadow_size, self.shadow_size)
        return matrices

    def _set_view(self, camera: Camera, lights: Lights, matrices: list[NDArray[np.float64]], gloss_for: Camera) -> None:
        eye, at = np.array(camera.eye), np.array(camera.at)
        distance = float(np.linalg.norm(eye - at))
        place = {
            "view": _bytes(_look(eye, at, (0.0, 1.0, 0.0))),
            "projection": _bytes(_perspective(1 / np.tan(np.radians(camera.fov_degrees) / 2))),
        }
        light = {
            "light_matrix": b"".join(_bytes(matrix) for matrix in matrices),
            "light_direction": lights.directions.tobytes(),
            "light_colour": lights.colours.tobytes(),
            "camera": camera.eye,
            "eye": gloss_for.eye,
            "shadow": 1,
            "image": 0,
            "tile": 1 / self.shadow_size,
            "bias": 0.0022,
            "normal_offset": 0.028,
        }
        _set(self._programs["depth"], **place)
        _set(self._programs["cards"], **place, **light)
        _set(self._programs["surface"], **place, **light, mask=2, reference_depth=distance)
        _set(self._programs["blur"], reference_depth=distance)

    def _draw_gbuffer(self) -> None:
        context = self.context
        self._shadows.use(1)
        self._into_gbuffer.use()
        self._into_gbuffer.clear(0, 0, 0, 0)
        context.enable(moderngl.DEPTH_TEST)
        context.cull_face = "back"
        solid = [surface for surface in self._visible() if surface.material.kind < Kind.HAIR]

        def cull(surface: Surface) -> None:
            (context.enable if surface.material.kind == Kind.SKIN else context.disable)(moderngl.CULL_FACE)
            surface.image.use(0)

        context.depth_func = "<"
        for surface in solid:
            cull(surface)
            _set(self._programs["depth"], kind=surface.material.kind, cut=0.5)
            surface.prepass.render()
        context.depth_func = "<="
        for surface in solid:
            cull(surface)
            material = surface.material
            if surface.mask is not None:
                surface.mask.use(2)
            names = ("kind", "tint", "recolour", "bump", "roughness", "lip", "iris_tint")
            _set(self._programs["surface"], **{name: getattr(material, name) for name in names})
            surface.drawn.render()
        context.disable(moderngl.CULL_FACE | moderngl.DEPTH_TEST)

    def _blur(self, zoom: float) -> None:
        _set(self._programs["blur"], lit=0, scale=DIFFUSION_RADIUS * zoom * 0.5)
        passes = ((self._lit, self._into_blurred, (1, 0)), (self._blurred, self._into_lit, (0, 1)))
        for source, target, direction in passes:
            target.use()
            source.use(0)
            _set(self._programs["blur"], direction=direction)
            self._screen["blur"].render(vertices=3)

    def _compose(self) -> None:
        if self._backdrop is None:
            raise RuntimeError("set_backdrop comes before render")
        self._into_picture.use()
        self._into_picture.depth_mask = False
        layers = {"lit": self._lit, "albedo": self._albedo, "gloss": self._gloss, "backdrop": self._backdrop}
        for unit, (name, texture) in enumerate(layers.items()):
            texture.use(unit)
            _set(self._programs["compose"], **{name: unit})
        self._screen["compose"].render(vertices=3)

    def _draw_cards(self) -> None:
        context, program = self.context, self._programs["cards"]
        context.enable(moderngl.DEPTH_TEST)
        self._shadows.use(1)
        cards = sorted((s for s in self._visible() if s.material.kind >= Kind.HAIR), key=lambda s: -s.material.kind)
        hair = [surface for surface in cards if surface.material.opaque_above <= 1]
        self._into_picture.color_mask = False, False, False, False
        self._into_picture.depth_mask = True
        for surface in hair:  # depth first: only the foremost layer is worth its sixteen lights
            surface.image.use(0)
            _set(self._programs["depth"], kind=surface.material.kind, cut=surface.material.opaque_above)
            surface.prepass.render()
        self._into_picture.color_mask = True, True, True, True
        self._into_picture.depth_mask = False
        for blended in (0, 1):
            _set(program, blended=blended)
            if blended:
                context.enable(moderngl.BLEND)
                context.blend_func = (moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA)
            for surface in cards if blended else hair:
                material = surface.material
                surface.image.use(0)
                names = ("kind", "tint", "recolour", "contrast")
                _set(program, cut=material.opaque_above, **{name: getattr(material, name) for name in names})
                surface.drawn.render()
        self._into_picture.depth_mask = True
        context.disable(moderngl.BLEND | moderngl.DEPTH_TEST)

    def _develop(self) -> NDArray[np.uint8]:
        self._out.use()
        self._picture.use(0)
        pixel = (1 / self.wide, 1 / self.wide)
        _set(self._programs["tone"], picture=0, samples=self.supersampling, exposure=EXPOSURE, pixel=pixel)
        self._screen["tone"].render(vertices=3)
        pixels = np.frombuffer(self._out.read(components=3, alignment=1), np.uint8)
        return np.ascontiguousarray(pixels.reshape(self.size, self.size, 3)[::-1])
