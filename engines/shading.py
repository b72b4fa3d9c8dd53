"""How the skin has turned since the source: by that, the light on it has changed.

The light that matt surface reflects is a function of its normal (Ramamoorthi and Hanrahan 2001, "An Efficient
Representation for Irradiance Environment Maps"). A cheek that folds in a smile is smooth in the source, so that no
picture says where it will be dark; the normals of the mesh do.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.compiled import compiled
from engines.expression import FloatArray
from engines.raster import Raster, Window, barycentric

SLOPES: Final = 6
"""Values of a place: the normal, and how far it has turned."""
TURN_SCALE: Final = 4.0
"""By which small turns become numbers that a network minds."""


def skin_normals(vertices: FloatArray, skin: NDArray[np.int32]) -> FloatArray:
    """Unit normals (V, 3) of posed `vertices` (V, 3), as their triangles of `skin` (S, 3) lie; 0 where there is
    none."""
    normals = np.zeros_like(vertices)
    _find_normals(vertices, skin, normals)
    return normals


def find_slopes(
    raster: Raster, triangles: NDArray[np.int32], now: FloatArray, source: FloatArray, window: Window, found: FloatArray
) -> None:
    """In the middle of every square cell of a `window` of the picture the normal of the skin, and `TURN_SCALE` times
    what it differs by from the one there in the source, into `found` float32 (rows, columns, 6): 0 where no skin is
    drawn. Normals (V, 3) are the vertices' `now` and in the `source`."""
    within = window.within(raster.window)
    cell = window.height // len(found)
    _look_up(raster.triangle, raster.pixels, triangles, now, source, within.left, within.top, cell, found)


@compiled(fastmath=True)
def _find_normals(vertices: Any, skin: Any, normals: Any) -> None:
    for t in range(skin.shape[0]):
        a, b, c = skin[t, 0], skin[t, 1], skin[t, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for v in (a, b, c):
            normals[v, 0] += x
            normals[v, 1] += y
            normals[v, 2] += z
    for v in range(normals.shape[0]):
        x, y, z = normals[v, 0], normals[v, 1], normals[v, 2]
        length = np.sqrt(x * x + y * y + z * z)
        if length > 0:
            inverse = np.float32(1) / length
            normals[v, 0], normals[v, 1], normals[v, 2] = x * inverse, y * inverse, z * inverse


@compiled(fastmath=True)
def _look_up(
    nearest: Any, pixels: Any, triangles: Any, now: Any, source: Any, left: int, top: int, cell: int, found: Any
) -> None:  # fmt: skip
    found[:] = 0
    for row in range(found.shape[0]):
        y = top + row * cell + cell // 2
        if y < 0 or y >= nearest.shape[0]:
            continue
        for column in range(found.shape[1]):
            x = left + column * cell + cell // 2
            if x < 0 or x >= nearest.shape[1] or nearest[y, x] < 0:
                continue
            t = nearest[y, x]
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            wb, wc = barycentric(pixels, a, b, c, x, y)
            wa, place = np.float32(1) - wb - wc, found[row, column]
            for k in range(3):
                normal = wa * now[a, k] + wb * now[b, k] + wc * now[c, k]
                place[k] = normal
                before = wa * source[a, k] + wb * source[b, k] + wc * source[c, k]
                place[3 + k] = (normal - before) * np.float32(TURN_SCALE)
