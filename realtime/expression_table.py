"""The expression of every frame as a CSV table: what others drive a 3-D character with, and what a judge measures.

Row k is the frame shown at k / 25 s. Columns: `time` in seconds; the coefficients under ARKit's names and `tongueUp`,
0 to 1, exactly as the renderer is given them; the head pose, angles in radians and translation in decimetres; the gaze
relative to the head in radians. Signs as in `engines.media.HeadPose`.

`mouthClose` is how firmly lips are pressed together, 1 in a p, b or m, however far the jaw is open. A character whose
`mouthClose` takes back what `jawOpen` opens, as Apple's does, wants the lesser of the two there.
"""

import csv
from pathlib import Path
from typing import Final

from engines.expression import EXPRESSION_NAMES
from engines.media import MEDIA_RATE, MotionFrame

POSE_NAMES: Final = ("headPitch", "headYaw", "headRoll", "headX", "headY", "headZ")
GAZE_NAMES: Final = ("gazePitch", "gazeYaw")
HEADER: Final = ("time", *EXPRESSION_NAMES, *POSE_NAMES, *GAZE_NAMES)


class ExpressionTable:
    """A table being written to `path`. Raises `OSError` when that cannot be."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        self._writer.writerow(HEADER)

    def write(self, moved: MotionFrame) -> None:
        """Append one frame, in the order of media time from 0 on."""
        motion = moved.motion
        values = (*motion.expression, *motion.pose.vector(), *motion.gaze)
        self._writer.writerow([f"{moved.media_time / MEDIA_RATE:.2f}", *(f"{value:.5f}" for value in values)])

    def close(self) -> None:
        self._file.close()
