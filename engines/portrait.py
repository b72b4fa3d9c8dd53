"""An avatar from a portrait: find the face, fit the head, frame the picture, write the pack.

The head mesh is first fitted as a person (`engines.face_fit`) and then bent until its keypoints lie on the picture's.
A mouth that stands open in the picture is told apart from the person: the pack says both where the picture shows each
vertex and what the head is like at rest, lips sealed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.face_basis import FaceBasis
from engines.face_fit import FaceFit, fit_face
from engines.head_bend import bend
from engines.head_mesh import Camera, HeadMesh
from engines.keypoints import KEYPOINT_NAMES
from engines.landmarks import TRACKED, Crop, Face, LandmarkFinder
from engines.lips import settle_lips
from engines.media import FRAME_SIZE
from engines.pictures import Refusal
from engines.silhouette import dressed

SMALLEST_FACE, SMALL_FACE = 100.0, 200.0
"""Pixels from the chin to the hairline below which a face is refused, and below which the avatar will look soft."""
FACE_HEIGHT: Final = 1.85
"""Decimetres of the same."""
WIDEST_YAW, WIDEST_PITCH = np.radians(24.0), np.radians(20.0)
"""How far a head may be turned away."""
LEAST_SHARPNESS: Final = 0.12
DARK_EYES: Final = 0.15
"""`eye_light` below which the eyes are behind something dark."""
COVERED_MOUTH: Final = 0.99
"""`mouth_redness` below which it is covered."""
DARKEST_FACE: Final = 30.0
"""Level of the lighter parts of a face below which nothing of it can be told."""
LARGEST_MISFIT: Final = 0.075
"""Decimetres between keypoints and fitted head beyond which the keypoints are no face's."""
DRAGGED: Final = 0.25
"""Decimetres around a dragged point over which its neighbours follow."""

_ROW: Final = {KEYPOINT_NAMES[index]: row for row, index in enumerate(TRACKED)}


class NoPortrait(Refusal):
    """The picture cannot become an avatar."""


@dataclass(frozen=True)
class Portrait:
    """A fitted portrait. `picture` uint8 RGB (512, 512, 3) as `camera` sees the head; `mesh` at rest; `pictured`
    float32 (V, 3), its vertices as the picture shows them, or None where that is at rest; `points` float32 (P, 2), the
    tracked keypoints in [-1, 1] of the picture; `crop`, the square of the photo that it is; `notes` for the person."""

    picture: NDArray[np.uint8]
    mesh: HeadMesh
    camera: Camera
    pictured: FloatArray | None
    points: FloatArray
    crop: Crop
    notes: tuple[str, ...]


def make_portrait(
    photo: NDArray[np.uint8], face: Face, basis: FaceBasis, moved: Mapping[str, tuple[float, float]] | None = None
) -> Portrait:
    """Turn the `face` of `photo` uint8 RGB (h, w, 3) into a portrait. `moved` names keypoints and says where they
    really are, in pixels. Raises `NoPortrait`."""
    notes: tuple[str, ...] = ()
    points, doubt = settle_lips(photo, face.points)[0], face.doubt
    if moved:
        points, doubt = drag(points, doubt, face.crop.side / 2.6, moved)
    fit = fit_face(basis, points, doubt, face.roll)
    check_fit(photo, face, fit, certain=bool(moved))
    height = fit.pixels_per_decimetre * FACE_HEIGHT
    if height < SMALL_FACE:
        notes = (f"The face is only about {height:.0f} pixels high: the avatar will look soft.",)
    places = fit.crop.to_crop(points)
    mesh, pictured = bend(basis, fit, places, doubt / np.float32(fit.pixels_per_decimetre))
    picture = frame(photo, fit.crop)
    mesh, pictured = dressed(mesh, pictured, fit.camera, picture)
    return Portrait(picture, mesh, fit.camera, pictured, places, fit.crop, notes)


def choose_face(photo: NDArray[np.uint8], finder: LandmarkFinder) -> tuple[Face, tuple[str, ...]]:
    """The largest face, and a note when there are others. Raises `NoPortrait`."""
    faces = finder.find(photo)
    if not faces:
        raise NoPortrait(
            "no_face",
            "No face was found. Use a picture of one person from the front, well lit, with nothing over the face.",
        )
    notes = (f"{len(faces)} faces were found; the largest was taken.",) if len(faces) > 1 else ()
    return faces[0], notes


def check_fit(photo: NDArray[np.uint8], face: Face, fit: FaceFit, certain: bool = False) -> None:
    """Raise `NoPortrait` with the reason when the face cannot be animated well; `certain` skips doubts about the
    keypoints, because a person has set them."""
    height = fit.pixels_per_decimetre * FACE_HEIGHT
    if height < SMALLEST_FACE:
        raise NoPortrait(
            "too_small",
            f"The face is about {height:.0f} pixels high; at least {SMALLEST_FACE:.0f} are needed. "
            "Use a larger picture or one taken from nearer.",
        )
    if abs(fit.yaw) > WIDEST_YAW or abs(fit.pitch) > WIDEST_PITCH:
        sides = f"{abs(np.degrees(fit.yaw)):.0f} degrees to the side"
        heights = f"{abs(np.degrees(fit.pitch)):.0f} degrees {'up' if fit.pitch < 0 else 'down'}"
        away = sides if abs(fit.yaw) > WIDEST_YAW else heights
        raise NoPortrait("too_turned", f"The head is turned about {away}. Use a picture that looks at the camera.")
    if light(photo, face) < DARKEST_FACE:
        raise NoPortrait("too_dark", "The face is too dark to be seen. Use a picture taken in more light.")
    if sharpness(photo, fit) < LEAST_SHARPNESS:
        raise NoPortrait("too_blurred", "The face is out of focus or moved. Use a sharper picture.")
    if certain:
        return
    unit = fit.pixels_per_decimetre
    lids = face.doubt[[row for name, row in _ROW.items() if name.startswith("lid")]].mean() / unit
    rest = np.median(face.doubt) / unit
    if (lids > 0.06 and lids > 1.5 * rest) or eye_light(photo, face) < DARK_EYES:
        raise NoPortrait("eyes_hidden", "The eyes cannot be seen. Take off dark glasses and keep hair off the eyes.")
    if mouth_redness(photo, face) < COVERED_MOUTH:
        raise NoPortrait("mouth_hidden", "The mouth cannot be seen. Take off a mask, and put away what is before it.")
    if fit.misfit > LARGEST_MISFIT:
        raise NoPortrait("unclear", "What looks like a face does not fit a head. Use a clear picture from the front.")


def eye_light(photo: NDArray[np.uint8], face: Face) -> float:
    """Brightness of the lighter eye with its lids, in shares of the cheeks': above 0.2 unless dark glasses hide it."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    half = max(2, round(0.12 * face.eye_distance))

    def brightness(stem: str) -> float:
        rows = [row for name, row in _ROW.items() if name.startswith(stem)]
        x, y = (int(value) for value in face.points[rows].mean(0))
        patch = grey[max(0, y - half) : max(0, y + half), max(0, x - half) : max(0, x + half)]
        return float(np.median(patch)) if patch.size else 0.0

    cheeks = max(brightness("cheek_left"), brightness("cheek_right"), 1.0)
    return max(brightness("lid_left"), brightness("lid_right")) / cheeks


def light(photo: NDArray[np.uint8], face: Face) -> float:
    """Level, 0 to 255, of the lighter tenth of the face."""
    shown = _part(photo, face.points, 0.0)
    return float(np.quantile(cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY), 0.9)) if shown.size else 0.0


def mouth_redness(photo: NDArray[np.uint8], face: Face) -> float:
    """Red to green where the lips should be, in shares of the cheeks': above 1, in any light and of any skin, unless a
    mask hides them. Of a grey picture about 1."""

    def redness(stems: tuple[str, ...], margin: float) -> FloatArray:
        rows = [row for name, row in _ROW.items() if name.startswith(stems)]
        shown = _part(photo, face.points[rows], margin * face.eye_distance)
        if not shown.size:
            return np.ones(1, np.float32)
        smooth = cv2.GaussianBlur(shown.astype(np.float32), (0, 0), 0.02 * face.eye_distance + 0.3)
        return np.asarray(((smooth[..., 0] + 1) / (smooth[..., 1] + 1)).ravel(), np.float32)

    cheeks = np.mean([np.median(redness((stem,), 0.1)) for stem in ("cheek_left", "cheek_right")])
    # Not the middle of the mouth's: teeth are paler than cheeks.
    return float(np.quantile(redness(("lip_", "mouth_corner"), 0.0), 0.75) / cheeks)


def _part(photo: NDArray[np.uint8], points: FloatArray, margin: float) -> NDArray[np.uint8]:
    """The upright rectangle of `photo` around `points` (n, 2) with a margin, as far as there is one."""
    left, top = (max(0, int(value)) for value in points.min(0) - margin)
    right, bottom = (max(0, int(value) + 1) for value in points.max(0) + margin)
    return photo[top:bottom, left:right]


def sharpness(photo: NDArray[np.uint8], fit: FaceFit) -> float:
    """How much of the face's contrast lies in fine detail: about 0 for a blurred picture, above 0.2 for a sharp one."""
    size = 256
    inner = replace(fit.crop, side=fit.crop.side * 0.45)
    grey = cv2.cvtColor(_resampled(photo, inner, size), cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 2.0)
    broad = cv2.GaussianBlur(grey, (0, 0), 2.0) - cv2.GaussianBlur(grey, (0, 0), 12.0)
    return float(fine.std() / (broad.std() + 1e-3))


def drag(
    points: FloatArray, doubt: FloatArray, unit: float, moved: Mapping[str, tuple[float, float]]
) -> tuple[FloatArray, FloatArray]:
    """Points (P, 2) and doubts (P,) after a person moved some, with neighbours that follow; `unit` is a decimetre in
    pixels. Raises `NoPortrait` for a name that is not tracked."""
    unknown = sorted(set(moved) - set(_ROW))
    if unknown:
        raise NoPortrait("unknown_point", f"There is no point {unknown[0][:40]!r}")
    rows = [_ROW[name] for name in moved]
    places = np.array(list(moved.values()), np.float32)
    distance = np.linalg.norm(points[:, None] - points[rows], axis=2) / (DRAGGED * unit)
    nearness = np.exp(-(distance**2) / 2)
    shift = places - points[rows]
    own = np.linalg.solve(nearness[rows] + 1e-3 * np.eye(len(rows)), shift)
    carried = points + nearness @ own
    carried[rows] = places
    certain = doubt.copy()
    certain[rows] = 0.0
    return carried.astype(np.float32), certain


def frame(photo: NDArray[np.uint8], crop: Crop) -> NDArray[np.uint8]:
    """`crop` of `photo` as RGB (512, 512, 3); what lies beyond the picture is its mirror image, ever more blurred."""
    picture = _resampled(photo, crop, FRAME_SIZE)
    inside = np.full(photo.shape[:2], 255, np.uint8)
    matrix = crop.pixel_matrix(FRAME_SIZE)
    inside = cv2.warpAffine(inside, matrix, (FRAME_SIZE, FRAME_SIZE))
    if inside.min() < 255:
        distance = cv2.distanceTransform((inside < 255).astype(np.uint8), cv2.DIST_L2, 5)
        for sigma, begin in ((4.0, 2.0), (12.0, 16.0), (32.0, 48.0)):
            share = np.clip((distance - begin / 2) / begin, 0, 1)[..., None]
            picture = (picture + (_blurred(picture, sigma) - picture.astype(np.float32)) * share).astype(np.uint8)
    return picture


def _blurred(picture: NDArray[np.uint8], sigma: float) -> FloatArray:
    """The picture blurred by `sigma` pixels, as float32; at a quarter of its size, which nobody can see."""
    small = cv2.resize(picture, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA).astype(np.float32)
    soft = cv2.GaussianBlur(small, (0, 0), sigma / 4)
    return np.asarray(cv2.resize(soft, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _resampled(photo: NDArray[np.uint8], crop: Crop, size: int) -> NDArray[np.uint8]:
    shrink = max(1.0, crop.side / size)
    if shrink > 1.0:
        photo = np.asarray(
            cv2.resize(photo, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA), np.uint8
        )
        crop = crop.scaled(1 / shrink)
    warped = cv2.warpAffine(
        photo, crop.pixel_matrix(size), (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(warped, np.uint8)
