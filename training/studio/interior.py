"""The inside of the mouth, unlit: one small texture for teeth and tongue, and where each vertex lies in it.

The renderer rasterises it at native resolution; its network only has to light it. The proxies' own texture
coordinates have a seam down every tooth, so their pictures are baked anew: either arch of teeth as a panorama seen
from outside, the tongue as seen from the front and above.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.raster import Window, rasterize
from training.studio.assets import ObjMesh, Points
from training.studio.figure import TEETH, TONGUE, Wardrobe
from training.studio.head_export import is_lower, skin_vertices, teeth_topology
from training.studio.subdivision import corners
from training.studio.surface import bleed

ATLAS_WIDTH, ATLAS_HEIGHT = 512, 128
"""Texels: the upper arch over the lower one at the left, the tongue at the right."""
ARCH_WIDTH = 384
ARCH_REACH = np.radians(75.0)
"""Angle to either side of the middle, seen from the arch's centre."""
ARCH_HEIGHT = 0.20
"""Decimetres of teeth and gum, from their free edge."""
ARCH_BACK = 0.55
"""Decimetres from the incisors back to the arch's centre."""


def _panorama(teeth: Points, lower: bool) -> Points:
    """Where vertices of one arch (N, 3) lie in its panorama: u and v (down) in [0, 1], depth from outside."""
    back = teeth[:, 2] - (teeth[:, 2].max() - ARCH_BACK)
    angle, radius = np.arctan2(teeth[:, 0], back), np.hypot(teeth[:, 0], back)
    edge = teeth[:, 1].max() if lower else teeth[:, 1].min() + ARCH_HEIGHT
    places = [angle / ARCH_REACH / 2 + 0.5, (edge - teeth[:, 1]) / ARCH_HEIGHT, 1 - radius]
    return np.clip(np.stack(places, 1), 0.0, 1.0)


def _view_of_tongue(tongue: Points) -> Points:
    """As `_panorama`, seen along (0, -1, -1)."""
    places = np.stack([tongue[:, 0], -(tongue[:, 1] - tongue[:, 2]), -(tongue[:, 1] + tongue[:, 2])], 1)
    low, high = places.min(0), places.max(0)
    return np.array((places - low) / (high - low))


def _bake(
    mesh: ObjMesh, texture: NDArray[np.uint8], places: Points, chosen: NDArray[np.bool_], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """The `texture` of a proxy whose `chosen` vertices move to `places`: uint8 (height, width, 3)."""
    width, height = size
    cut = corners(mesh.faces, mesh.face_uvs)
    triangles = cut.triangles[chosen[cut.vertices][cut.triangles].all(1)]
    points = (places[cut.vertices] * (width, height, 1) - (1, 1, 0)).astype(np.float32)
    uvs = mesh.uvs[cut.uvs].astype(np.float32)
    both = np.concatenate([triangles, triangles[:, ::-1]])
    raster = rasterize(points, both, Window(1.0, 0, 0, width, height))
    shown = raster.interpolate(both, uvs)
    high, wide = texture.shape[:2]
    smooth = cv2.GaussianBlur(texture, (0, 0), 3.0)
    x, y = shown[..., 0] * wide - 0.5, shown[..., 1] * high - 0.5
    baked = cv2.remap(smooth, x, y, cv2.INTER_LINEAR)
    baked[..., 3] = 255 * np.isfinite(raster.depth)
    picture: NDArray[np.uint8] = bleed(baked.astype(np.uint8))[..., :3]
    return picture


def write_interior(wardrobe: Wardrobe, folder: Path) -> None:
    """Write `interior.png` and `interior.npz`: `uv` float16 (D, 2), v down, for the face of every head mesh."""
    assets = wardrobe.assets
    proxies = assets.proxy(TEETH), assets.proxy(TONGUE)
    teeth, tongue = (wardrobe.proxy_vertices(proxy, wardrobe.reference) for proxy in proxies)
    lower = is_lower(wardrobe)
    image = assets.texture("teeth/materials/teeth.png")
    places, arches = np.zeros_like(teeth), []
    for chosen in (~lower, lower):
        places[chosen] = _panorama(teeth[chosen], bool(lower[chosen].all()))
        arches.append(_bake(proxies[0].mesh, image, places, chosen, (ARCH_WIDTH, ATLAS_HEIGHT // 2)))
    view = _view_of_tongue(tongue)
    image, size = assets.texture(f"{TONGUE}/tongue01_diffuse.png"), (ATLAS_WIDTH - ARCH_WIDTH, ATLAS_HEIGHT)
    seen = _bake(proxies[1].mesh, image, view, np.ones(len(tongue), bool), size)
    cv2.imwrite(str(folder / "interior.png"), np.hstack([np.vstack(arches), seen])[..., ::-1])

    share = ARCH_WIDTH / ATLAS_WIDTH
    kept, _ = teeth_topology(wardrobe)
    in_arch = places[:, :2] * (share, 0.5) + np.where(lower, 0.5, 0.0)[:, None] * (0, 1)
    in_view = view[:, :2] * (1 - share, 1) + (share, 0)
    uv: FloatArray = np.concatenate([np.zeros((len(skin_vertices(wardrobe)), 2)), in_arch[kept], in_view])
    np.savez_compressed(folder / "interior.npz", uv=uv.astype(np.float16))
