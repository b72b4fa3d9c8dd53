"""Follow one face through a clip: where its keypoints are in every frame, and which stretch of the clip can be used."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.expression import FloatArray
from engines.landmarks import Crop, Face, LandmarkFinder
from engines.lips import settle_lips
from engines.media import FRAME_RATE
from engines.pictures import from_jpeg, to_jpeg
from engines.portrait import NoPortrait, choose_face

LEAST_SECONDS: Final = 2
"""Of a clip in which the face can be followed."""
JUMP: Final = 0.2
"""By which share of its crop's side a face may move, or grow, from one frame to the next."""
CUT: Final = 28.0
"""Mean difference in levels between two frames, coarsely seen, from which on the camera is another."""
SEARCH_FRAMES: Final = 10
"""A face that was lost is searched for in every so manyth frame only: that takes a second."""
_COARSE: Final = (32, 18)
_SMOOTHING: Final = 1.0
"""Frames, a standard deviation, over which the keypoints are averaged once the head holds still."""


@dataclass(frozen=True)
class Track:
    """A face in consecutive frames: `points` float32 (N, P, 2) and `doubt` (N, P) in pixels, `frames` as JPEG;
    `notes` for the person."""

    frames: list[bytes]
    points: FloatArray
    doubt: FloatArray
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, index: int) -> NDArray[np.uint8]:
        """A frame, RGB uint8 (h, w, 3)."""
        return from_jpeg(self.frames[index])

    def face(self, index: int) -> Face:
        """The face in a frame."""
        return Face(self.points[index], self.doubt[index], 1.0)

    def part(self, begin: int, end: int, *notes: str) -> "Track":
        """The frames from `begin` to before `end`."""
        return Track(self.frames[begin:end], self.points[begin:end], self.doubt[begin:end], (*self.notes, *notes))


def follow(frames: Iterable[NDArray[np.uint8]], finder: LandmarkFinder) -> Track:
    """The longest stretch of `frames`, RGB uint8 (h, w, 3), in which the largest face can be followed without a cut;
    keypoints smooth in time. Raises `NoPortrait`."""
    kept: list[bytes] = []
    seen: list[Face | None] = []
    cuts: set[int] = set()
    notes: tuple[str, ...] = ()
    before: FloatArray | None = None
    searched = -SEARCH_FRAMES
    nobody: NoPortrait | None = None
    for index, frame in enumerate(frames):
        coarse = cv2.resize(frame, _COARSE, interpolation=cv2.INTER_AREA).astype(np.float32)
        if before is not None and np.abs(coarse - before).mean() > CUT:
            cuts.add(index)
        before = coarse
        last = seen[-1] if seen and index not in cuts else None
        face = finder.settle(frame, last.crop) if last is not None else None
        if face is not None and last is not None and _jumps(last.crop, face.crop):
            cuts.add(index)
        if face is None and (index in cuts or index - searched >= SEARCH_FRAMES):
            searched = index
            try:
                face, notes = choose_face(frame, finder)
            except NoPortrait as refusal:
                nobody = refusal
        if face is not None:
            face = Face(settle_lips(frame, face.points)[0], face.doubt, face.presence)
        seen.append(face)
        kept.append(to_jpeg(frame))
    if nobody is not None and not any(seen):
        raise nobody
    begin, end = longest([face is not None for face in seen], cuts)
    if end - begin < LEAST_SECONDS * FRAME_RATE:
        raise NoPortrait(
            "too_short",
            f"A face can be followed for {(end - begin) / FRAME_RATE:.1f} seconds only; {LEAST_SECONDS} are needed. "
            "Use a clip without cuts, of one person who stays in the picture.",
        )
    if end - begin < 0.9 * len(seen):
        notes = (*notes, f"Of the clip, {begin / FRAME_RATE:.1f} to {end / FRAME_RATE:.1f} s are used.")
    faces = [face for face in seen[begin:end] if face is not None]
    points = smooth_points(np.stack([face.points for face in faces]))
    return Track(kept[begin:end], points, np.stack([face.doubt for face in faces]), notes)


def _jumps(one: Crop, other: Crop) -> bool:
    away = np.hypot(one.x - other.x, one.y - other.y) / one.side
    return bool(max(away, abs(np.log(other.side / one.side))) > JUMP)


def longest(usable: list[bool], cuts: set[int]) -> tuple[int, int]:
    """Begin and end of the longest run of frames that are all usable, with none of the `cuts` after its first."""
    best, begin = (0, 0), 0
    for index, use in enumerate([*usable, False]):
        if not use or index in cuts:
            if index - begin > best[1] - best[0]:
                best = begin, index
            begin = index if use else index + 1
    return best


def smooth_points(points: FloatArray) -> FloatArray:
    """Points (N, P, 2) without their tremble: averaged over time within the head, which itself may move as it likes.

    Where the head is in a frame, many points tell together, and precisely.
    """
    reference = points.mean(0)
    turns, shifts = zip(*(_similarity(frame, reference) for frame in points), strict=True)
    still = np.stack([frame @ turn + shift for frame, turn, shift in zip(points, turns, shifts, strict=True)])
    calm = smooth(still, _SMOOTHING)
    back = [(one - shift) @ np.linalg.inv(turn) for one, turn, shift in zip(calm, turns, shifts, strict=True)]
    return np.stack(back).astype(np.float32)


def smooth(values: NDArray[np.floating], sigma: float) -> NDArray[np.float64]:
    """`values` (N, ...) averaged over time by a bell of deviation `sigma` frames; beyond the ends they go on as they
    came, mirrored about their last value."""
    reach = int(np.ceil(3 * sigma))
    flat = values.reshape(len(values), -1).astype(np.float64)
    head, tail = 2 * flat[0] - flat[reach:0:-1], 2 * flat[-1] - flat[-2 : -2 - reach : -1]
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.concatenate([head, flat, tail])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    return np.asarray(windows @ (bell / bell.sum()), np.float64).reshape(values.shape)


def _similarity(points: FloatArray, reference: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix (2, 2) and shift (2,) that turn, scale and move `points` onto `reference`, by least squares."""
    a, b = points - points.mean(0), reference - reference.mean(0)
    cos, sin = float((a * b).sum()), float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum())
    turn = np.array([[cos, sin], [-sin, cos]]) / float((a * a).sum())
    return turn, reference.mean(0) - points.mean(0) @ turn
