"""What a photo hides of its eyes, made up once: all of each eyeball, and lids that are shut.

The iris is found as the disc that is best told from what surrounds it; what the lids hide of it is like the rest at the
same distance from its centre, and the white goes on as it is where it can be seen. Shut lids are skin like that around
them, with lashes as dark as in the photo.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.atlas import fill
from engines.expression import FloatArray
from engines.eye_paint import EyePaint, shut_points, upper_lids
from engines.eyeballs import LIT, Eyeballs, eyes_box
from engines.face_geometry import SourceGeometry
from engines.head_mesh import HeadMesh, Part
from engines.keypoints import KEYPOINT_NAMES
from engines.media import FRAME_SIZE
from engines.pictures import LUMA
from engines.raster import Window, rasterize

IRIS_RADIUS: Final = 0.059
"""Decimetres; people differ by a few hundredths of that."""
IRIS_RANGE: Final = (0.84, 1.2)
"""Radii that are tried, in shares of it: the fit's scale is off by some."""
STRETCHED: Final = 0.8
"""Share of its size when shut that a triangle has in the photo, below which it is part of a lid that comes down."""
_LID, _LASHES = (6, 3), (7, 5)
"""Pixels beside and above what is stretched that are drawn anew, and that lashes reach."""
_BULGE: Final = 0.08
"""By how much the middle of a lid is lighter than its rims."""
_SKIN_RANGE: Final = 0.3
"""By how much the lightness of skin near the eyes differs, in shares of it."""
_LASH_SHARE: Final = 0.85
"""How dark the line of lashes is."""
LEAST_LIGHT, MOST_LIGHT = 0.4, 1.15
"""Bounds of the light on an eyeball."""
_FAR: Final = 2.2
"""Radii of the iris from its centre at which the white has one colour."""
_WHITE: Final = 0.75
"""Lightness of the white of the eye, in shares of its light parts, below which it lies in the shadow of lashes."""
_GLINT, _GLINT_SHARE = 40.0, 0.3
"""Levels by which a highlight is lighter than the iris, at least, and the most of the iris that it fills."""
_INNER: Final = 0.85
"""Share of the iris's radius within which highlights are looked for: at its rim the white shines in."""
_CROSS: Final = np.array([[0, 1, 0], [0, 1, 0], [1, 1, 1], [0, 1, 0], [0, 1, 0]], np.uint8)


def eye_paint(picture: NDArray[np.uint8], geometry: SourceGeometry) -> EyePaint:
    """What `picture` uint8 RGB (512, 512, 3), a photo of a head with its eyes open, does not show of them."""
    box = eyes_box(geometry)
    return EyePaint(_whole_eyeballs(picture, geometry, box), _shut_lids(picture, geometry, box))


def _whole_eyeballs(picture: NDArray[np.uint8], geometry: SourceGeometry, box: Window) -> Eyeballs:
    """`picture` uint8 RGB (512, 512, 3) within `box` without lids, eyeballs all over."""
    raster = rasterize(geometry.points, geometry.mesh.triangles, Window.whole(FRAME_SIZE))
    photo = box.cut(picture).astype(np.float32)
    drawn = np.empty((*photo.shape[:2], 10), np.float32)
    eyeball = raster.parts(geometry.mesh.parts, box) == Part.EYE
    middle = float(raster.pixels[geometry.mesh.keypoints, 0].mean()) - box.left
    for columns in (slice(0, int(middle)), slice(int(middle), box.width)):
        drawn[:, columns] = _whole_eyeball(photo[:, columns], eyeball[:, columns], pixels_per_decimetre(geometry))
    levels = drawn.round().clip(0, 255).astype(np.uint8)
    return Eyeballs(levels[..., :4].copy(), levels[..., 4:7].copy(), levels[..., 7:].copy(), box.left, box.top)


def pixels_per_decimetre(geometry: SourceGeometry) -> float:
    """How large the source picture shows what is as far away as the eyes."""
    lids = geometry.points[geometry.mesh.keypoints][
        [KEYPOINT_NAMES.index(f"lid_{side}_2") for side in ("left", "right")]
    ]
    return FRAME_SIZE / 2 / (geometry.camera.reach * float(lids[:, 2].mean()))


def _whole_eyeball(photo: FloatArray, eyeball: NDArray[np.bool_], unit: float) -> FloatArray:
    """One eye, where `eyeball` (h, w) shows, completed over all of `photo`, with how much of it lies behind its cornea,
    the light on it, and what shines on it: float32 (h, w, 10)."""
    sure = cv2.erode(eyeball.astype(np.uint8), _CROSS)
    if sure.sum() < 20:
        return np.dstack([photo, np.zeros_like(photo[..., :1]), np.full_like(photo, LIT), np.zeros_like(photo)])
    light = photo @ LUMA
    x, y, radius = find_iris(light, sure > 0, IRIS_RADIUS * unit)
    rows, columns = np.mgrid[: photo.shape[0], : photo.shape[1]].astype(np.float32)
    distance = np.hypot(columns - x, rows - y)
    shine = find_highlights(photo, (sure > 0) & (distance < _INNER * radius), distance)
    photo = photo - shine
    light = photo @ LUMA
    white, disc = (sure > 0) & (distance > radius + 2), (sure > 0) & (distance < radius + 1)
    if white.any():
        white &= light > _WHITE * np.quantile(light[white], 0.7)
    if white.any() and disc.any():  # what is light near the rim is a lid's edge
        dark = light < (np.median(light[white]) + np.median(light[disc])) / 2
        disc &= dark | (cv2.erode(sure, np.ones((5, 5), np.uint8)) > 0)
    far = distance > _FAR * radius
    known = np.where(far[..., None], np.median(photo[white], axis=0) if white.any() else photo.mean((0, 1)), photo)
    ball = fill(known.astype(np.float32), (1 - (white | far)).astype(np.uint8)).astype(np.float32)
    iris = _whole_iris(photo, disc.astype(np.uint8), distance)
    inside = np.clip((radius + 0.8 - distance) / 1.6, 0, 1)[..., None]
    ball += (iris - ball) * inside
    sure = (white | disc).astype(np.uint8)
    seen = cv2.GaussianBlur(sure.astype(np.float32), (0, 0), 0.7)[..., None]
    seen = np.clip(2 * seen - 0.6, 0, 1)
    ball = np.asarray(ball + (photo - ball) * seen, np.float32)
    known_light = eyeball & ((seen[..., 0] > 0.5) | (inside[..., 0] == 0))
    return np.dstack([ball, 255 * inside, _light(photo, ball, inside, known_light), shine])


def find_highlights(photo: FloatArray, iris: NDArray[np.bool_], distance: FloatArray) -> FloatArray:
    """What lamps and windows add to the `photo` (h, w, 3), float32 likewise: much more light than is usual on the
    `iris` (h, w) at the same `distance` (h, w) from its middle. It must be small beside the iris, or it is none."""
    if iris.sum() < 20:
        return np.zeros_like(photo)
    light = photo @ LUMA
    usual = float(np.median(light[iris]))
    spread = float(np.median(np.abs(light[iris] - usual)))
    core = iris & (light > usual + max(_GLINT, 4 * spread))
    if not 0 < core.sum() < _GLINT_SHARE * iris.sum():
        return np.zeros_like(photo)
    near = cv2.dilate(core.astype(np.uint8), np.ones((5, 5), np.uint8)) & iris
    plain = _whole_iris(photo, (iris & (near == 0)).astype(np.uint8), distance)
    return np.asarray(np.maximum(photo - plain, 0) * near[..., None], np.float32)


def _light(photo: FloatArray, ball: FloatArray, iris: FloatArray, known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """How light the `photo` (h, w, 3) shows the eyeball, `LIT` being as it was drawn: lids and lashes throw shadows on
    it that stay where they are when it turns. They have a colour, but on the `iris` (h, w, 1) it cannot be told. Beyond
    what is `known` (h, w) it goes on."""
    shown, drawn = (cv2.GaussianBlur(picture, (0, 0), 0.7) for picture in (photo, ball))
    grey = ((shown @ LUMA) / np.maximum(drawn @ LUMA, 1))[..., None]
    coloured = shown / np.maximum(drawn, 1)
    share = np.clip(coloured + (grey - coloured) * iris, LEAST_LIGHT, MOST_LIGHT) * LIT
    return fill(share.round().astype(np.uint8), 1 - known.astype(np.uint8))


def find_iris(light: FloatArray, sure: NDArray[np.bool_], expected: float) -> tuple[float, float, float]:
    """Centre x, y and radius of the disc of about the `expected` radius that is best told, by its `light` (h, w), from
    the rest of what is `sure` (h, w) to be eyeball."""
    rows, columns = np.nonzero(sure)
    values = light[rows, columns]
    values = np.minimum(values, np.quantile(values, 0.9))  # a highlight on the iris is none of the white
    middle = columns.mean(), rows.mean()
    best, found = -np.inf, (float(middle[0]), float(middle[1]), expected)
    for step, reach in ((1.0, 7), (0.5, 2)):
        x, y, size = found
        xs, ys = (at + step * np.arange(-reach, reach + 1) for at in (x, y))
        sizes = np.linspace(*IRIS_RANGE, 7) * expected if step == 1.0 else size + 0.3 * np.arange(-2, 3)
        for across in xs:
            for down in ys:
                away = np.hypot(columns - across, rows - down)
                for radius in sizes:
                    inside = np.clip(radius + 0.5 - away, 0, 1)
                    count = inside.sum()
                    if count < 8 or count > len(values) - 8:
                        continue
                    dark, bright = (inside @ values) / count, ((1 - inside) @ values) / (len(values) - count)
                    apart = (bright - dark) * np.sqrt(count * (len(values) - count)) / len(values)
                    off = ((across - middle[0]) / expected) ** 2 + 4 * ((down - middle[1]) / expected) ** 2
                    score = apart * (1 - 0.1 * off - 1.5 * (radius / expected - 1) ** 2)
                    if score > best:
                        best, found = score, (float(across), float(down), float(radius))
    return found


def _whole_iris(photo: FloatArray, sure: NDArray[np.uint8], distance: FloatArray) -> FloatArray:
    """Iris and pupil at every pixel: as on average at that `distance` (h, w) from their centre."""
    ring = distance.round().astype(int).ravel()
    counts = np.bincount(ring, sure.ravel())
    sums = np.stack([np.bincount(ring, (photo[..., c] * sure).ravel()) for c in range(3)], 1)
    known = np.nonzero(counts)[0]
    profile = np.stack([np.interp(np.arange(len(counts)), known, sums[known, c] / counts[known]) for c in range(3)], 1)
    return np.asarray(profile[ring].reshape(photo.shape), np.float32)


def _shut_lids(picture: NDArray[np.uint8], geometry: SourceGeometry, box: Window) -> NDArray[np.uint8]:
    """The lids as they look when shut, uint8 RGBA (h, w, 4) within `box`. Of `picture`, bent until its eyes are shut,
    the skin around is taken: what little shows of the lids themselves is stretched over each eye."""
    mesh, shut = geometry.mesh, shut_points(geometry)
    raster = rasterize(shut, mesh.triangles, Window.whole(FRAME_SIZE))
    pixels, own = raster.pixels, Window.whole(FRAME_SIZE).pixels(geometry.points)
    places = box.cut(raster.interpolate(mesh.triangles, np.ascontiguousarray(own[:, :2])))
    warped = cv2.remap(picture, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    shares = _areas(own, mesh) / np.minimum(_areas(pixels, mesh), -1e-3)
    triangle = box.cut(raster.triangle)
    lid = (triangle >= 0) & upper_lids(mesh)[triangle] & (shares[triangle] < STRETCHED)
    lid &= _around_lids(mesh, pixels, box)
    lid = cv2.morphologyEx(lid.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    alpha = cv2.GaussianBlur(_grown(lid, _LID).astype(np.float32), (0, 0), 1.5)
    middle = int(pixels[mesh.keypoints, 0].mean()) - box.left
    sides = ("right", slice(0, middle)), ("left", slice(middle, box.width))
    unknown = _grown(lid, _LASHES)
    for _, columns in sides:
        unknown[:, columns] |= _no_skin(warped[:, columns] @ LUMA, lid[:, columns])
    skin = fill(np.asarray(warped, np.uint8), unknown).astype(np.float32)
    for side, columns in sides:
        height, line = _margin(lid, columns)
        skin *= 1 + _BULGE * (np.sin(np.pi * height.clip(0, 1)) - 0.5 * (height > 0) * (height < 1))[..., None]
        skin += (_lash_colour(picture, own, mesh, side) - skin) * (_LASH_SHARE * line)[..., None]
        alpha = np.maximum(alpha, line)
    return np.dstack([skin, alpha * 255]).round().clip(0, 255).astype(np.uint8)


def _no_skin(light: FloatArray, lid: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 where something is much darker or lighter than the skin around the `lid` (h, w): brows, glasses, and glints."""
    around = _grown(lid, (2 * _LASHES[0], 2 * _LASHES[1])) > _grown(lid, _LASHES)
    if not around.any():
        return np.zeros_like(lid)
    return (np.abs(light / np.median(light[around]) - 1) > _SKIN_RANGE).astype(np.uint8)


def _areas(pixels: FloatArray, mesh: HeadMesh) -> FloatArray:
    """Twice the area (T,) of the triangles, below 0 for those that face the camera."""
    a, b, c = (pixels[mesh.triangles[:, corner], :2] for corner in range(3))
    return np.asarray((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0], np.float32)


def _keypoints(pixels: FloatArray, mesh: HeadMesh, names: list[str]) -> FloatArray:
    return np.asarray(pixels[mesh.keypoints[[KEYPOINT_NAMES.index(name) for name in names]], :2], np.float32)


def _around_lids(mesh: HeadMesh, pixels: FloatArray, box: Window) -> NDArray[np.bool_]:
    """Where, within `box`, an eye and what is above it may be."""
    mask = np.zeros((box.height, box.width), np.uint8)
    for side in ("left", "right"):
        places = _keypoints(pixels, mesh, [f"lid_{side}_{number}" for number in range(8)]) - (box.left, box.top)
        x, y = places.mean(0).tolist()
        width = float(np.ptp(places[:, 0]))
        cv2.ellipse(mask, ((x, y - 0.12 * width), (1.35 * width, 1.1 * width), 0.0), 1, -1)
    return mask > 0


def _lash_colour(picture: NDArray[np.uint8], pixels: FloatArray, mesh: HeadMesh, side: str) -> FloatArray:
    """Colour (3,) of the upper lid's margin where it is darkest."""
    margin = _curve(_keypoints(pixels, mesh, [f"lid_{side}_{number}" for number in range(5)]))
    found = []
    for shift in (-2.0, -1.0, 0.0, 1.0):
        x, y = margin[:, 0], margin[:, 1] + np.float32(shift)
        found.append(cv2.remap(picture, x[None], y[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0])
    colours = np.stack(found).astype(np.float32)
    light = colours @ LUMA
    darkest = np.take_along_axis(colours, light.argmin(0)[None, :, None], axis=0)[0]
    return np.asarray(np.median(darkest, axis=0), np.float32)


def _curve(places: FloatArray) -> FloatArray:
    """A smooth line (33, 2) through `places` (N, 2) of about even distance: a parabola in their mean direction."""
    along = np.linspace(-1, 1, len(places))
    fitted = [np.polyval(np.polyfit(along, places[:, axis], 3), np.linspace(-1, 1, 33)) for axis in (0, 1)]
    return np.stack(fitted, 1).astype(np.float32)


def _margin(lid: NDArray[np.uint8], columns: slice) -> tuple[FloatArray, FloatArray]:
    """Of the shut `lid` (h, w) in those `columns`: how high above its margin each pixel is, in shares of its height,
    and how much of the line of lashes it shows."""
    height, line = np.zeros(lid.shape, np.float32), np.zeros(lid.shape, np.float32)
    found = np.nonzero(lid[:, columns].any(0))[0]
    if len(found) < 8:
        return height, line
    x = np.arange(max(columns.start, found[0] + columns.start - _LID[0]), found[-1] + columns.start + _LID[0] + 1)
    x = x[x < columns.stop]
    known = found + columns.start
    at = (known - known.mean()) / (np.ptp(known) / 2)
    edge = lid.shape[0] - 1 - lid[::-1, known].argmax(0)
    here = (x - known.mean()) / (np.ptp(known) / 2)
    margin = np.polyval(np.polyfit(at, edge, 4), here.clip(-1, 1))
    rows = np.arange(lid.shape[0])[:, None]
    high = float((edge - lid[:, known].argmax(0)).max())
    height[:, x] = (margin - rows) / high
    thick = 0.03 * len(x)
    taper = np.sqrt(np.clip(1.1 - here**2, 0, 1)).astype(np.float32)
    line[:, x] = np.exp(-(((rows - margin + 0.4 * thick) / thick) ** 2)) * taper
    return height, line


def _grown(mask: NDArray[np.uint8], pixels: tuple[int, int]) -> NDArray[np.uint8]:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels[0] + 1, 2 * pixels[1] + 1))
    return np.asarray(cv2.dilate(mask, disc), np.uint8)
