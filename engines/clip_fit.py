"""Fit one head to every frame of a clip: who it is, once; how it stands and looks, frame by frame.

Each frame gets a square of its own, which follows the head as a calm hand would, and a camera that sees the head where
the frame shows it. What matters is not where the mesh is but that it stays with the picture: lips are drawn where they
are in the frame, moved by what the voice adds, so that neither square nor fit can make them swim.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.clip_track import Track, longest, smooth
from engines.expression import EXPRESSION_INDEX, FloatArray
from engines.eyes import lids_of
from engines.face_basis import FaceBasis
from engines.face_fit import DISTANCE, FaceFit, fit_face
from engines.head_bend import OPENING, Field, bend_frame
from engines.head_mesh import Camera
from engines.landmarks import Crop
from engines.media import FRAME_RATE
from engines.portrait import WIDEST_PITCH, WIDEST_YAW, NoPortrait

SITTINGS: Final = 6
"""Frames that tell together who it is."""
CALM: Final = 12.0
"""Frames, a standard deviation, over which the square's way is smoothed."""
NEAREST: Final = 0.75
"""Least side of a square, in sides of the one that frames the head as in a portrait, where the frame is no larger."""
ENDS: Final = 0.2
"""Share of the clip at either end in which the moment is looked for at which it turns back."""
SPEECH: Final = 0.05
"""Deviation of `jawOpen` over time from which on the person in the clip is talking."""
_JAW: Final = EXPRESSION_INDEX["jawOpen"]


@dataclass(frozen=True)
class Shots:
    """N frames of a clip as one head with V vertices: `squares` of the frames; `cameras` that see the head in them;
    `rest` float32 (N, V, 3), the vertices with the mouth shut, `shown` as the frames show them, and `eye_centers`
    (N, 2, 3); `expressions` (N, EXPRESSION_SIZE) as found."""

    squares: list[Crop]
    cameras: list[Camera]
    rest: FloatArray
    shown: FloatArray
    eye_centers: FloatArray
    expressions: FloatArray

    @property
    def openings(self) -> FloatArray:
        """The part of the expressions that opens the mouth."""
        return self.expressions * OPENING

    @property
    def lids(self) -> FloatArray:
        """How far the lids are down (N, 2)."""
        return np.stack([lids_of(expression) for expression in self.expressions]).astype(np.float32)


def fit_track(track: Track, basis: FaceBasis) -> tuple[Track, list[FaceFit], FaceBasis]:
    """The part of `track` in which the head is turned towards the camera, its fits, and the head in a space of its
    own. Raises `NoPortrait` when too little is left."""
    faces = [track.face(index) for index in range(len(track))]
    sitting = np.linspace(0, len(faces) - 1, SITTINGS).round().astype(int)
    shapes = [fit_face(basis, *_seen(track, index)).shape for index in sitting]
    person = basis.person(np.mean(shapes, axis=0, dtype=np.float32))
    fits = [fit_face(person, *_seen(track, index)) for index in range(len(track))]
    towards = [abs(fit.yaw) < WIDEST_YAW and abs(fit.pitch) < WIDEST_PITCH for fit in fits]
    begin, end = longest(towards, set())
    if end - begin < FRAME_RATE:
        raise NoPortrait("too_turned", "The head is turned away. Use a clip of somebody who looks at the camera.")
    begin, end = _calm_ends(track.points, begin, end)
    return track.part(begin, end), fits[begin:end], person


def _seen(track: Track, index: int) -> tuple[FloatArray, FloatArray, float]:
    face = track.face(index)
    return face.points, face.doubt, face.roll


def _calm_ends(points: FloatArray, begin: int, end: int) -> tuple[int, int]:
    """Where to turn back: the head hardly moves there, so that its way back does not begin with a jerk."""
    speed = smooth(np.linalg.norm(np.diff(points, axis=0), axis=2).mean(1), 1.0)
    span = max(1, int((end - begin) * ENDS))
    return begin + int(speed[begin : begin + span].argmin()), end - span + int(speed[end - 1 - span : end - 1].argmin())


def take_shots(track: Track, fits: list[FaceFit], person: FaceBasis) -> Shots:
    """The geometry of every frame."""
    head = person.mean
    squares = _squares([fit.crop for fit in fits], *track.frame(0).shape[:2])
    cameras = [_seen_from(fit, square) for fit, square in zip(fits, squares, strict=True)]
    unit = float(np.mean([fit.pixels_per_decimetre for fit in fits]))
    field = Field(head, head.neutral, track.doubt.mean(0) / np.float32(unit))
    bent = [
        bend_frame(field, fit.expression, camera, square.to_crop(points))
        for fit, camera, square, points in zip(fits, cameras, squares, track.points, strict=True)
    ]
    return Shots(
        squares,
        cameras,
        np.stack([one.rest for one in bent]),
        np.stack([one.shown for one in bent]),
        np.stack([one.eye_centers for one in bent]),
        np.stack([fit.expression for fit in fits]),
    )


def best_frame(fits: list[FaceFit]) -> int:
    """The frame that makes the best portrait: mouth shut, eyes open, looking at the camera."""

    def fault(fit: FaceFit) -> float:
        turned = (fit.yaw / WIDEST_YAW) ** 2 + (fit.pitch / WIDEST_PITCH) ** 2
        return float((fit.expression * OPENING).sum() + 2 * lids_of(fit.expression).max() + 0.5 * turned)

    return min(range(len(fits)), key=lambda index: fault(fits[index]))


def talks(fits: list[FaceFit]) -> bool:
    """Whether the mouth moves."""
    return float(np.std([fit.expression[_JAW] for fit in fits])) > SPEECH


def _squares(crops: list[Crop], height: int, width: int) -> list[Crop]:
    """Upright squares that follow the head softly, within frames of `height` and `width` if they can be."""
    places = np.array([(crop.x, crop.y, np.log(crop.side)) for crop in crops])
    calm = smooth(places, min(CALM, len(places) / 4))

    def within(x: float, y: float, side: float) -> Crop:
        near = max(NEAREST * side, min(side, height, width))
        x, y = (
            float(np.clip(at, near / 2, size - near / 2)) if near < size else at
            for at, size in ((x, width), (y, height))
        )
        return Crop(x, y, near)

    return [within(float(x), float(y), float(np.exp(side))) for x, y, side in calm]


def _inside(at: float, side: float, size: int) -> float:
    """The middle of a stretch of `side` at `at` that is to lie within `size`, if it can."""
    return float(np.clip(at, side / 2, size - side / 2)) if side <= size else at


def _seen_from(fit: FaceFit, square: Crop) -> Camera:
    """The camera of `fit`, but for another `square` of the picture than the fit's own."""
    near = fit.crop.side / square.side
    reach = fit.camera.reach / near
    camera = replace(fit.camera, fov_degrees=2 * float(np.degrees(np.arctan(reach))), roll=square.roll - fit.crop.roll)
    x, y = square.to_crop(np.array([fit.crop.x, fit.crop.y], np.float32))
    right, up, _ = camera.axes
    shift: NDArray[np.float64] = (y * up - x * right) * DISTANCE * reach
    eye, at = (tuple(float(value) for value in np.array(place) + shift) for place in (camera.eye, camera.at))
    return replace(camera, eye=(eye[0], eye[1], eye[2]), at=(at[0], at[1], at[2]))
