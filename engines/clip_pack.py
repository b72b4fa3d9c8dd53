"""What the pack of a clip keeps beside its portrait; `engines.clip` plays it."""

from pathlib import Path

import numpy as np

from engines.clip import Reel
from engines.clip_fit import Shots
from engines.clip_track import Track
from engines.expression import FloatArray
from engines.pictures import to_jpeg
from engines.portrait import frame


def write_clip(pack: Path, track: Track, shots: Shots, base: FloatArray) -> None:
    """Keep the frames of `track` and their geometry; `base` float32 (V, 3), the head that they share."""
    faces = [to_jpeg(frame(track.frame(index), square)) for index, square in enumerate(shots.squares)]
    shapes = np.stack([shots.rest - base, shots.shown - shots.rest], axis=1)
    np.save(pack / "mesh.npy", shapes.astype(np.float16))
    np.savez_compressed(
        pack / "clip.npz",
        base=base,
        faces=Reel.write(pack / "faces.mjpeg", faces),
        frames=Reel.write(pack / "frames.mjpeg", track.frames),
        squares=np.array([(square.x, square.y, square.side, square.roll) for square in shots.squares]),
        cameras=np.array([(*camera.eye, *camera.at, camera.fov_degrees, camera.roll) for camera in shots.cameras]),
        eye_centers=shots.eye_centers.astype(np.float32),
        expressions=shots.expressions.astype(np.float32),
    )
