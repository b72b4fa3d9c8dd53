"""Fit the space of heads to the keypoints of one picture: camera, shape and expression by regularised least squares.

The camera is a pinhole at a portrait's distance with a fixed field of view; where it stands, and which square of the
picture it sees, is found together with who the person is and how they look (Gauss-Newton on some 60 numbers).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.expression import EXPRESSION_INDEX, EXPRESSION_SIZE, FloatArray
from engines.face_basis import FaceBasis
from engines.head_mesh import Camera
from engines.landmarks import TRACKED, Crop

FIELD_OF_VIEW: Final = 17.0
FRAME_HEIGHT: Final = 3.2
"""Degrees, and decimetres of the head's plane that the picture shows: as the avatars that ship are framed."""
DISTANCE: Final = FRAME_HEIGHT / 2 / float(np.tan(np.radians(FIELD_OF_VIEW) / 2))
NOISE: Final = 0.02
"""Decimetres by which a keypoint may be off although the network is sure of it."""
ROUNDS: Final = 14

_STIFFNESS: Final = {
    "jawOpen": 0.3,
    "mouthUpperUp": 0.4,
    "mouthLowerDown": 0.4,
    "mouthSmile": 0.5,
    "mouthStretch": 0.3,
    "mouthFrown": 0.2,
    "mouthPucker": 0.2,
    "mouthFunnel": 0.2,
    "mouthPress": 0.2,
    "browInnerUp": 0.4,
    "browOuterUp": 0.4,
    "browDown": 0.4,
    "eyeBlink": 0.2,
    "eyeWide": 0.3,
    "eyeSquint": 0.3,
    "cheekSquint": 0.3,
}
"""How strongly each expression may be expected in a portrait: a standard deviation."""
EXPRESSIONS: Final = tuple(
    index for name, index in EXPRESSION_INDEX.items() if name.removesuffix("Left").removesuffix("Right") in _STIFFNESS
)
_SPREAD: Final = np.array(
    [
        deviation
        for name in EXPRESSION_INDEX
        if (deviation := _STIFFNESS.get(name.removesuffix("Left").removesuffix("Right"))) is not None
    ]
)


@dataclass(frozen=True)
class FaceFit:
    """Who is seen from where: `camera` on the head at rest; `crop`, the square of the picture that it sees; `shape`
    float32 (C,) in standard deviations; `expression` float32 (EXPRESSION_SIZE,); `yaw` and `pitch` of the camera about
    the head in radians; `misfit`, the mean distance in decimetres that is left between keypoints and head."""

    camera: Camera
    crop: Crop
    shape: FloatArray
    expression: FloatArray
    yaw: float
    pitch: float
    misfit: float

    @property
    def pixels_per_decimetre(self) -> float:
        """Of the picture, at the head."""
        return self.crop.side / FRAME_HEIGHT


def camera_around(basis: FaceBasis, yaw: float, pitch: float) -> Camera:
    """A camera that looks at the head from `yaw` to the model's left and `pitch` above, in radians."""
    _, y, z = (float(value) for value in basis.mean.eye_centers.mean(0))
    at = (0.0, y - 0.20, z - 1.0)
    flat = DISTANCE * float(np.cos(pitch))
    eye = (flat * float(np.sin(yaw)), at[1] + DISTANCE * float(np.sin(pitch)), at[2] + flat * float(np.cos(yaw)))
    return Camera(eye, at, FIELD_OF_VIEW)


class _Model:
    """Predicted pixels of the tracked keypoints for one vector of numbers: yaw, pitch, centre (x, y) in sides of the
    first guess, logarithm of the side, roll; then shape; then expressions."""

    def __init__(self, basis: FaceBasis, start: Crop) -> None:
        rows = basis.mean.keypoints[list(TRACKED)]
        self._basis, self._start = basis, start
        self._mean = basis.mean.neutral[rows]
        self._directions = np.concatenate([basis.components[:, rows], basis.mean.deltas[list(EXPRESSIONS)][:, rows]])

    def crop(self, x: NDArray[np.float64]) -> Crop:
        start = self._start
        centre = start.x + x[2] * start.side, start.y + x[3] * start.side
        return Crop(float(centre[0]), float(centre[1]), float(start.side * np.exp(x[4])), float(start.roll + x[5]))

    def camera(self, x: NDArray[np.float64]) -> Camera:
        return camera_around(self._basis, float(x[0]), float(x[1]))

    def predict(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixels (P, 2)."""
        head = self._mean + np.tensordot(x[6:], self._directions, axes=1)
        return self._place(x, head).astype(np.float64)

    def _place(self, x: NDArray[np.float64], head: NDArray[np.floating]) -> FloatArray:
        return self.crop(x).to_picture(self.camera(x).project(head.astype(np.float32))[..., :2])

    def slopes(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivatives (P * 2, numbers), by small steps."""
        head = self._mean + np.tensordot(x[6:], self._directions, axes=1)
        here = self._place(x, head)
        columns = [((self._place(x, head + 0.1 * d) - here) / 0.1).ravel() for d in self._directions]
        for index in range(6):
            step = np.zeros(len(x))
            step[index] = 2e-3
            columns.insert(index, ((self._place(x + step, head) - here) / 2e-3).ravel())
        return np.stack(columns, axis=1).astype(np.float64)


def fit_face(basis: FaceBasis, points: FloatArray, doubt: FloatArray, roll: float) -> FaceFit:
    """The head whose tracked keypoints lie at `points` (P, 2) pixels, each within about `doubt` (P,) pixels; `roll` is
    a first guess of the head's tilt in radians."""
    around = Crop.around(points, roll)
    model = _Model(basis, Crop(around.x, around.y, around.side * 1.2, roll))
    numbers = 6 + len(basis.components) + len(EXPRESSIONS)
    x = np.zeros(numbers)
    deviation = np.concatenate([[0.3, 0.2, 1.0, 1.0, 1.0, 0.5], np.ones(len(basis.components)), _SPREAD])
    for _ in range(ROUNDS):
        unit = model.crop(x).side / FRAME_HEIGHT
        error = points - model.predict(x)
        sigma = np.hypot(NOISE * unit, doubt)
        distance = np.linalg.norm(error, axis=1) / sigma
        weight = 1 / (sigma * np.sqrt(np.maximum(1.0, distance / 1.5)))
        slopes = model.slopes(x) * np.repeat(weight, 2)[:, None]
        prior = np.diag(1 / deviation**2)
        right = slopes.T @ (error * weight[:, None]).ravel() - prior @ x
        x = x + np.linalg.solve(slopes.T @ slopes + prior, right)
        x[6 : numbers - len(EXPRESSIONS)] = x[6 : numbers - len(EXPRESSIONS)].clip(-3.5, 3.5)
        x[-len(EXPRESSIONS) :] = x[-len(EXPRESSIONS) :].clip(0, 1.2)
    expression = np.zeros(EXPRESSION_SIZE, np.float32)
    expression[list(EXPRESSIONS)] = x[-len(EXPRESSIONS) :]
    crop = model.crop(x)
    misfit = float(np.linalg.norm(points - model.predict(x), axis=1).mean()) / (crop.side / FRAME_HEIGHT)
    shape = x[6 : numbers - len(EXPRESSIONS)].astype(np.float32)
    return FaceFit(model.camera(x), crop, shape, expression, float(x[0]), float(x[1]), misfit)
