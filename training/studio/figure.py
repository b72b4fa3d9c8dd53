"""A figure on the set: the surfaces of one identity, dressed and rigged, and the head mesh that goes with them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.head_mesh import bone_transforms, rotation
from engines.media import Motion
from training.studio.assets import Assets, Face, Points, Proxy
from training.studio.identity import Colour, Identity, shape
from training.studio.rasterizer import Rasterizer
from training.studio.rig import Binding, Blendshape, blendshapes, eye_centers, head_joints, side_of_vertex
from training.studio.subdivision import Corners, corners, select, subdivide, vertex_normals
from training.studio.surface import Kind, Material, Surface, bleed

EYES, TEETH, TONGUE = "eyes/high-poly", "teeth/teeth_base", "tongue/tongue01"
TEETH_DROP = np.array([0.0, -0.045, 0.0])
"""The teeth sit too high for the upper incisors to show below the lip: all of them move down."""
GARMENT_GAP = 0.03
"""Decimetres that a garment stands off along its normals, so that the skin below does not show through."""
MOST_HAIR = 6000
"""Triangles up to which hair is subdivided, against polygonal silhouettes."""
TONE_CONTRAST = 0.8
"""How much of its contrast a skin keeps when it takes on another tone."""
REFERENCE = Identity("reference", 0.5, 0.5, (1, 1, 1), skin="", hair="", garment="")
"""Whoever is between all: crops are chosen on this identity, so that every figure has the same topology."""


@dataclass(frozen=True)
class Cut:
    """A part of a mesh ready to draw: `refine` (drawn vertices, mesh vertices), texture coordinates, triangles."""

    refine: sparse.csr_matrix
    corners: Corners
    uvs: Points
    shadow_triangles: NDArray[np.int32] | None = None


class Wardrobe:
    """Topology shared by all figures of one set of assets: what is cut, how it is subdivided. Kept once made."""

    def __init__(self, assets: Assets) -> None:
        self.assets = assets
        self.reference = shape(assets, REFERENCE)
        self.neck = float(self.reference[assets.groups["joint-neck"]][:, 1].mean())
        self._cuts: dict[str, Cut] = {}

    def proxy_vertices(self, proxy: Proxy, base: Points) -> Points:
        vertices: Points = proxy.references @ base + proxy.scaled_offsets(base)
        return vertices

    def body_faces(self, below_neck: float, width: float) -> Callable[[int, Face], bool]:
        """Whether a base face is skin above the chest, no lower than `below_neck` under the neck's root and at most
        `width` from the middle."""
        inside = (self.reference[:, 1] > self.neck - below_neck) & (np.abs(self.reference[:, 0]) < width)
        groups = self.assets.base.face_groups
        return lambda index, face: groups[index] == "body" and all(inside[vertex] for vertex in face)

    def body(self) -> Cut:
        """The bust, subdivided; its shadows are cast by the unsubdivided mesh."""
        if "body" not in self._cuts:
            base = self.assets.base
            faces, face_uvs = select(base.faces, base.face_uvs, self.body_faces(2.7, 3.5))
            fine = subdivide(len(base.vertices), faces, len(base.uvs), face_uvs)
            cut = corners(fine.faces, fine.face_uvs)
            used, vertices = np.unique(cut.vertices, return_inverse=True)
            first = {int(used[vertex]): corner for corner, vertex in reversed(list(enumerate(vertices)))}
            fans = [(f[0], f[k], f[k + 1]) for f in faces for k in range(1, len(f) - 1)]
            shadow = np.array([[first[vertex] for vertex in fan] for fan in fans])
            joined = Corners(vertices, cut.uvs, cut.triangles)
            uvs = fine.uv_matrix @ base.uvs
            self._cuts["body"] = Cut(fine.matrix[used].tocsr(), joined, uvs, shadow.astype(np.int32))
        return self._cuts["body"]

    def proxy(self, folder: str) -> Cut:
        """A proxy: garments (cut above the chest), the tongue and most hair subdivided, the rest as it is."""
        if folder not in self._cuts:
            proxy = self.assets.proxy(folder)
            mesh = proxy.mesh
            faces, face_uvs = mesh.faces, mesh.face_uvs
            if folder.startswith("clothes/"):
                fitted = self.proxy_vertices(proxy, self.reference)
                near = (fitted[:, 1] > self.neck - 3.2) & (np.abs(fitted[:, 0]) < 4.2)
                faces, face_uvs = select(faces, face_uvs, lambda index, face: any(near[vertex] for vertex in face))
            coarse = corners(faces, face_uvs)
            cut = Cut(sparse.identity(len(mesh.vertices), format="csr"), coarse, mesh.uvs)
            smooth = folder == TONGUE or folder.startswith("clothes/")
            if smooth or (folder.startswith("hair/") and len(coarse.triangles) <= MOST_HAIR):
                fine = subdivide(len(mesh.vertices), faces, len(mesh.uvs), face_uvs)
                drawn = corners(fine.faces, fine.face_uvs)
                at = {
                    pair: row for row, pair in enumerate(zip(drawn.vertices.tolist(), drawn.uvs.tolist(), strict=True))
                }
                rows = [at[pair] for pair in zip(coarse.vertices.tolist(), coarse.uvs.tolist(), strict=True)]
                shadow = np.array(rows, np.int32)[coarse.triangles]
                cut = Cut(fine.matrix, drawn, fine.uv_matrix @ mesh.uvs, shadow)
            self._cuts[folder] = cut
        return self._cuts[folder]


@dataclass(frozen=True)
class _Layer:
    """A surface with the blendshape that moves it."""

    surface: Surface
    shape: Blendshape
    refine: sparse.csr_matrix
    is_ball: bool = False


class Figure:
    """`identity` built into `rasterizer` (which forgets whoever stood there before)."""

    def __init__(self, wardrobe: Wardrobe, rasterizer: Rasterizer, identity: Identity) -> None:
        rasterizer.clear()
        assets = self.assets = wardrobe.assets
        self.wardrobe, self.rasterizer, self.identity = wardrobe, rasterizer, identity
        self.base = shape(assets, identity)
        self.joints = head_joints(assets, self.base)
        self.eye_centers = eye_centers(assets, self.base)
        lips, moved = assets.target("expression/units/caucasian/mouth-parling")
        self._lips = lips[np.abs(moved).sum(1) > 0.01]
        hair, garment = f"hair/{identity.hair}", f"clothes/{identity.garment}"
        brows, lashes = f"eyebrows/{identity.brows}", f"eyelashes/{identity.lashes}"
        self.shapes = blendshapes(assets, identity, self._bindings((hair, garment, brows, lashes)))
        self.shapes[hair] = self._tilted(self.shapes[hair])
        self._layers: list[_Layer] = []
        self._add_skin()
        self._add_eyes()
        self._add(TEETH, Material(Kind.TEETH, assets.texture("teeth/materials/teeth.png")))
        self._add(TONGUE, Material(Kind.TONGUE, assets.texture(f"{TONGUE}/tongue01_diffuse.png"), bump=0.006))
        for folder, tint in ((brows, identity.brow_colour), (lashes, (0.008, 0.006, 0.005))):
            image = bleed(assets.texture(f"{folder}/{folder.split('/')[1]}.png"))
            self._add(folder, Material(Kind.BROW, image, tint=tint, casts_shadow=False))
        style = Material(
            Kind.HAIR,
            bleed(self.diffuse(hair)),
            tint=identity.hair_colour,
            recolour=identity.hair_recolour,
            contrast=identity.hair_contrast,
            opaque_above=0.75,
        )
        self._add(hair, style)
        cloth = Material(
            Kind.CLOTH,
            bleed(self.diffuse(garment)),
            tint=identity.garment_colour,
            recolour=identity.garment_recolour,
            bump=0.01,
        )
        self._add(garment, cloth)

    def _tilted(self, hair: Blendshape) -> Blendshape:
        pivot = self.eye_centers.mean(0) + np.array([0.0, 0.3, -0.9], np.float32)
        turn = rotation(*np.radians(self.identity.hair_tilt)).astype(np.float32)
        if self.identity.hair_mirrored:
            turn = turn @ np.diag([-1.0, 1.0, 1.0]).astype(np.float32)
        return replace(hair, neutral=(hair.neutral - pivot) @ turn.T + pivot)

    def _bindings(self, worn: tuple[str, ...]) -> dict[str, Binding]:
        assets = self.assets
        count = len(self.base)
        bindings = {"body": Binding(sparse.identity(count, format="csr"), np.zeros((count, 3)))}
        for folder in (EYES, TEETH, TONGUE, *worn):
            proxy = assets.proxy(folder)
            offsets = proxy.scaled_offsets(self.base) + (TEETH_DROP if folder == TEETH else 0.0)
            moves = folder != EYES and not folder.startswith(("hair/", "clothes/"))
            bindings[folder] = Binding(proxy.references, offsets, moves)
        return bindings

    def diffuse(self, folder: str) -> NDArray[np.uint8]:
        """The colour texture of a proxy, as `Assets.texture`."""
        found = [p for p in (self.assets.root / folder).glob("*diffuse.*") if p.suffix in (".png", ".jpg")]
        if not found:
            raise FileNotFoundError(f"no *diffuse.png or .jpg in {self.assets.root / folder}")
        return self.assets.texture(f"{folder}/{found[0].name}")

    def _add(self, folder: str, material: Material, chosen: NDArray[np.bool_] | None = None) -> None:
        cut = self.wardrobe.proxy(folder) if folder != "body" else self.wardrobe.body()
        triangles = cut.corners.triangles if chosen is None else cut.corners.triangles[chosen]
        surface = self.rasterizer.add(
            material,
            cut.corners.vertices,
            cut.uvs[cut.corners.uvs].astype(np.float32),
            triangles,
            cut.shadow_triangles,
        )
        self._layers.append(_Layer(surface, self.shapes[folder], cut.refine.astype(np.float32), folder == EYES))

    def _add_skin(self) -> None:
        """The alpha channel of the skin's picture becomes its fine relief: green without what is broader than 6 texels
        of 2048."""
        image = self.assets.texture(f"skins/textures/{self.identity.skin}.jpg").copy()
        if self.identity.skin_tone is not None:
            image[..., :3] = _toned(image[..., :3], self.assets.texture("masks/mpfb_face.jpg"), self.identity.skin_tone)
        green = image[..., 1].astype(np.float32)
        relief = green - cv2.GaussianBlur(green, (0, 0), 6 * image.shape[0] / 2048)
        image[..., 3] = np.clip(128 + relief * 1.6, 0, 255)
        lip = (*self.identity.lip_tint, self.identity.lip_recolour)
        mask, roughness = self.assets.skin_mask, self.identity.skin_roughness
        self._add("body", Material(Kind.SKIN, image, mask=mask, bump=0.03, roughness=roughness, lip=lip))

    def _add_eyes(self) -> None:
        """Where the eye's picture is transparent it is cornea: reflections only."""
        image = self.assets.texture(f"eyes/materials/{self.identity.iris}_eye.png")
        cut = self.wardrobe.proxy(EYES)
        middle = cut.uvs[cut.corners.uvs][cut.corners.triangles].mean(1)
        height, width = image.shape[:2]
        x = np.clip((middle[:, 0] * width).astype(int), 0, width - 1)
        y = np.clip((middle[:, 1] * height).astype(int), 0, height - 1)
        solid = image[y, x, 3] > 40
        warm = {"brown": (1.0, 0.60, 0.36), "brownlight": (1.1, 0.75, 0.45)}
        self._add(EYES, Material(Kind.EYE, image, iris_tint=warm.get(self.identity.iris, (1.0, 1.0, 1.0))), solid)
        self._add(EYES, Material(Kind.CORNEA, image, casts_shadow=False), ~solid)

    def pose(self, motion: Motion, camera_eye: NDArray[np.floating]) -> None:
        """Move all surfaces; hair is sorted as seen from `camera_eye` (3,)."""
        transforms = bone_transforms(self.joints, motion.pose)
        turn = rotation(motion.gaze[0], motion.gaze[1], 0.0).astype(np.float32)
        lips = 0.0
        for layer in self._layers:
            kind = layer.surface.material.kind
            vertices = layer.shape.express(motion.expression)
            if kind == Kind.SKIN:
                lips = float(np.sort(vertices[self._lips, 2])[-30:].mean())
            if layer.is_ball:
                vertices = turn_eyes(vertices, self.eye_centers, turn)
            occlusion = self._occlusion(kind, vertices, lips)
            placed = layer.refine @ layer.shape.skin(vertices, transforms)
            if kind == Kind.CLOTH:
                placed = placed + GARMENT_GAP * vertex_normals(placed, layer.surface.faces)
            if occlusion is not None:
                occlusion = layer.refine @ occlusion
            layer.surface.update(placed, occlusion, camera_eye if kind == Kind.HAIR else None)

    def _occlusion(self, kind: Kind, vertices: FloatArray, lips: float) -> FloatArray | None:
        """Teeth and tongue darken with their depth behind the lips; eyeballs towards their rim and under the lid."""
        if kind in (Kind.TEETH, Kind.TONGUE):
            return np.exp(-1.6 * np.maximum(0, lips - vertices[:, 2] - 0.12)).astype(np.float32)
        if kind != Kind.EYE:
            return None
        away = vertices - self.eye_centers[side_of_vertex(vertices) - 1]
        rim = np.clip((np.hypot(away[:, 0], away[:, 1]) - 0.05) / 0.09, 0, 1)
        lid = np.clip((away[:, 1] - 0.01) / 0.06, 0, 1)
        return np.clip(1 - 0.5 * rim - 0.35 * lid, 0.15, 1).astype(np.float32)

    @property
    def light_center(self) -> Points:
        """What the shadow maps look at."""
        centre: Points = self.eye_centers.mean(0).astype(np.float64) * [0, 1, 1] - [0, 0.7, 0.9]
        return centre


def _toned(skin: NDArray[np.uint8], face: NDArray[np.uint8], tone: Colour) -> NDArray[np.uint8]:
    """The picture of a skin (h, w, 3) with the mean of its face, in linear RGB, moved to `tone`."""
    inside = cv2.resize(face[..., 0], skin.shape[1::-1]) > 128
    shade = (np.arange(256) / 255.0) ** 2.2
    table = np.empty((1, 256, 3), np.uint8)
    for channel, goal in enumerate(tone):
        counts = np.bincount(skin[..., channel][inside], minlength=256)
        mean = float(counts @ shade / counts.sum())
        table[0, :, channel] = (255 * np.clip(goal * (shade / mean) ** TONE_CONTRAST, 0, 1) ** (1 / 2.2)).round()
    toned: NDArray[np.uint8] = cv2.LUT(skin, table).astype(np.uint8)
    return toned


def turn_eyes(vertices: FloatArray, centers: FloatArray, turn: FloatArray) -> FloatArray:
    """Turn eyeballs (N, 3), left and right told apart by x, about `centers` (2, 3)."""
    pivot = centers[side_of_vertex(vertices) - 1]
    turned: FloatArray = ((vertices - pivot) @ turn.T + pivot).astype(np.float32)
    return turned
