"""What the pack of a clip keeps beside its portrait; `engines.clip` plays it."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from engines.avatar import Avatar
from engines.clip import Clip, Reel
from engines.clip_fit import Shots
from engines.clip_track import Track
from engines.expression import EXPRESSION_SIZE, FloatArray
from engines.landmarks import TRACKED, Crop
from engines.media import FRAME_SIZE
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


def hold_still(avatar: Avatar, pack: Path) -> Avatar:
    """`avatar` in a clip of two frames that show the portrait: it is drawn as others are that move."""
    geometry, face = avatar.geometry, avatar.geometry.mesh.deltas.shape[1]
    frames = range(2)
    rest = np.stack([geometry.mesh.neutral[:face] for _ in frames])
    shots = Shots(
        squares=[Crop(FRAME_SIZE / 2, FRAME_SIZE / 2, FRAME_SIZE) for _ in frames],
        cameras=[geometry.camera for _ in frames],
        rest=rest,
        shown=rest,
        eye_centers=np.stack([geometry.mesh.eye_centers for _ in frames]),
        expressions=np.zeros((len(frames), EXPRESSION_SIZE), np.float32),
    )
    points, doubt = (np.zeros((len(frames), len(TRACKED), *shape), np.float32) for shape in ((2,), ()))
    write_clip(pack, Track([to_jpeg(avatar.picture) for _ in frames], points, doubt, ()), shots, rest[0])
    return replace(avatar, clip=Clip(pack, geometry.mesh, geometry.interior))
