"""Random heads of the studio with their projected keypoints, for the landmark network and the shape basis.

    python -m training.landmark_dataset --assets DATA --out runs/landmarks/frames --identities 250

One file per identity, `head_NNNN.npz`: `images` uint8 (n, 256, 256, 3) RGB; `points` float32 (n, K, 2), the projection
of `engines.keypoints` with the picture in [-1, 1], y down; `tilt` float32 (n, 3), pitch, yaw and roll of the head in
radians. Resumes; the same seed gives the same heads.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from engines.expression import EXPRESSION_INDEX, FloatArray
from engines.head_mesh import Camera
from engines.media import HeadPose, Motion
from training.studio.assets import Assets
from training.studio.camera import Lights, studio_lights
from training.studio.figure import Figure, Wardrobe
from training.studio.head_export import head_mesh
from training.studio.identity import Colour, Identity, random_sliders
from training.studio.rasterizer import Rasterizer
from training.studio.sampler import random_motion
from training.studio.surface import Kind

FRAME: Final = 256
"""Pixels on a side of a rendered frame."""
FRAMES_PER_HEAD: Final = 8


def random_identity(assets: Path, seed: int) -> Identity:
    """Anybody: every skin, hair, brow and garment of `assets`, faces a little beyond those of the cast."""
    rng = np.random.default_rng([seed, 0x1D])

    def one(folder: str, pattern: str) -> str:
        found = sorted(path.stem for path in (assets / folder).glob(pattern))
        return found[rng.integers(len(found))]

    gender = float(np.clip(rng.choice((0.0, 1.0)) + rng.normal(0, 0.12), 0, 1))
    sex = "female" if gender < 0.5 else "male"
    return Identity(
        f"head{seed:04d}",
        gender=gender,
        age=float(rng.uniform(0.3, 0.95)),
        race=tuple(rng.dirichlet((0.6, 0.6, 0.6)).tolist()),
        skin=one("skins/textures", f"*_{sex}_*.jpg"),
        hair=one("hair", "*"),
        garment=one("clothes", "*"),
        weight=float(rng.uniform(0.25, 0.8)),
        muscle=float(rng.uniform(0.3, 0.7)),
        sliders=random_sliders(seed + 5000, float(rng.uniform(0.2, 0.5))),
        brows=one("eyebrows", "eyebrow*"),
        lashes=one("eyelashes", "eyelashes*"),
        iris=one("eyes/materials", "*_eye.png").removesuffix("_eye"),
        hair_colour=_hair_colour(rng),
        hair_recolour=0.85 if rng.random() < 0.7 else 0.0,
        brow_colour=_hair_colour(rng),
        garment_colour=tuple(rng.uniform(0.01, 0.5, 3).tolist()),
        garment_recolour=0.9,
        skin_roughness=float(rng.uniform(0.38, 0.6)),
        lip_tint=(1.0, float(rng.uniform(0.5, 1.0)), float(rng.uniform(0.5, 1.0))),
        lip_recolour=float(rng.choice((0.0, 0.5, 0.8))),
    )


def _hair_colour(rng: np.random.Generator) -> Colour:
    """Linear RGB from black over brown, red and blond to white."""
    light, red, blue = np.exp(rng.uniform(-4.2, -0.5)), rng.uniform(0.45, 1.0), rng.uniform(0.3, 0.95)
    return float(light), float(light * red), float(light * red * blue)


def portrait_motion(rng: np.random.Generator) -> Motion:
    """What people do before a camera: talk, and above all smile; heads up to 25 degrees to the side, rarely more."""
    motion = random_motion(rng)
    expression = motion.expression.copy()
    if rng.random() < 0.4:
        smile, parted = rng.uniform(0.3, 1.1), rng.uniform(0, 1) * (rng.random() < 0.7)
        for side in ("Left", "Right"):
            for name, strength in (("mouthSmile", smile), ("mouthUpperUp", parted), ("mouthLowerDown", 0.6 * parted)):
                expression[EXPRESSION_INDEX[name + side]] = strength * rng.uniform(0.85, 1.15)
        expression[EXPRESSION_INDEX["jawOpen"]] = 0.3 * parted * rng.random()
    widest = (0.35, 0.45, 0.2) if rng.random() < 0.8 else (0.5, 0.75, 0.3)
    pitch, yaw, roll = (float(rng.uniform(-angle, angle)) for angle in widest)
    return Motion(expression, HeadPose(pitch, yaw, roll), motion.gaze)


def random_camera(rng: np.random.Generator, eyes: FloatArray) -> Camera:
    """From a long lens to a phone at arm's length, never quite on the axis."""
    fov, height = float(rng.uniform(9, 40)), float(rng.uniform(2.6, 3.8))
    distance = height / 2 / np.tan(np.radians(fov) / 2)
    x, y = rng.normal(0, 0.15, 2)
    at = (float(x), float(eyes[1] - 0.2 + y), float(eyes[2] - 0.9))
    yaw, rise = rng.normal(0, 0.12, 2)
    eye = (at[0] + distance * float(np.sin(yaw)), at[1] + distance * float(rise), at[2] + distance * float(np.cos(yaw)))
    return Camera(eye, at, fov)


def random_lights(rng: np.random.Generator) -> Lights:
    """A studio's, a window's, a lamp's or plain daylight."""
    side = float(rng.choice((-1, 1)) * rng.uniform(0.0, 1.3))
    lights = studio_lights(
        side, rng.uniform(0.6, 2.4), rng.uniform(0.1, 1.0), rng.uniform(0, 1.2), rng.uniform(0.3, 1.4)
    )
    warmth = rng.normal(0, 0.12)
    return replace(lights, colours=lights.colours * np.array([1 + warmth, 1, 1 - warmth], np.float32))


def clutter(rng: np.random.Generator, size: int = FRAME) -> NDArray[np.uint8]:
    """A made-up background, RGB uint8 (size, size, 3): broad colours, noise of many scales, edges, shapes, text."""
    low, high = np.sort(rng.uniform(0, 255, (2, 3)), axis=0)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    angle = rng.uniform(0, 2 * np.pi)
    share = (0.5 + 0.7 * ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)))[..., None]
    picture = np.asarray(low + (high - low) * share, np.float32)
    for cells in (3, 7, 19, 60):
        if rng.random() < 0.6:
            noise = rng.normal(0, rng.uniform(5, 45), (cells, cells, 3 if rng.random() < 0.4 else 1))
            picture += cv2.resize(noise.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC).reshape(
                size, size, -1
            )
    picture += (picture.mean(2, keepdims=True) - picture) * rng.uniform(0, 1)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    for _ in range(rng.integers(0, 14)):
        colour = (rng.uniform(0, 255) + rng.uniform(-90, 90, 3) * rng.random()).tolist()
        places = rng.integers(-size // 4, size * 5 // 4, (4, 2)).astype(np.int32)
        kind = rng.integers(5)
        if kind == 0:
            cv2.rectangle(picture, places[0].tolist(), places[1].tolist(), colour, -1)
        elif kind == 1:
            axes = rng.integers(4, size // 3, 2).tolist()
            cv2.ellipse(picture, places[0].tolist(), axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
        elif kind == 2:
            cv2.line(picture, places[0].tolist(), places[1].tolist(), colour, int(rng.integers(1, 12)), cv2.LINE_AA)
        elif kind == 3:
            cv2.fillPoly(picture, [places], colour)
        else:
            letters = "".join(chr(rng.integers(65, 122)) for _ in range(6))
            cv2.putText(
                picture, letters, places[0].tolist(), int(rng.integers(0, 4)), float(rng.uniform(0.4, 3)), colour, 2
            )
    if rng.random() < 0.6:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.5, 9)))
    return np.asarray(picture, np.uint8)


def render_head(wardrobe: Wardrobe, rasterizer: Rasterizer, seed: int) -> dict[str, NDArray[Any]]:
    """The arrays of one file: see the module."""
    rng = np.random.default_rng([seed, 0xF0])
    figure = Figure(wardrobe, rasterizer, random_identity(wardrobe.assets.root, seed))
    if rng.random() < 0.12:
        rasterizer.surfaces = [one for one in rasterizer.surfaces if one.material.kind != Kind.HAIR]
    mesh = head_mesh(figure)
    images, points, tilts = [], [], []
    for _ in range(FRAMES_PER_HEAD):
        motion = portrait_motion(rng)
        camera = random_camera(rng, figure.eye_centers.mean(0))
        rasterizer.set_backdrop(clutter(rng))
        figure.pose(motion, np.array(camera.eye))
        images.append(rasterizer.render(camera, random_lights(rng), figure.light_center))
        points.append(camera.project(mesh.pose(motion))[mesh.keypoints, :2])
        tilts.append((motion.pose.pitch, motion.pose.yaw, motion.pose.roll))
    return {"images": np.stack(images), "points": np.stack(points), "tilt": np.array(tilts, np.float32)}


def write_heads(assets: Path, out: Path, seeds: range) -> None:
    """Write what is missing of the heads of `seeds` to the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    wardrobe, rasterizer = Wardrobe(Assets(assets)), Rasterizer(FRAME, supersampling=1, shadow_size=512)
    for seed in tqdm(seeds, unit="head"):
        file = out / f"head_{seed:04d}.npz"
        if not file.is_file():
            unfinished = file.with_name(f".{file.name}")
            np.savez(unfinished, allow_pickle=False, **render_head(wardrobe, rasterizer, seed))
            unfinished.rename(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True, help="MakeHuman's data folder")
    parser.add_argument("--out", type=Path, default=Path("runs/landmarks/frames"))
    parser.add_argument("--identities", type=int, default=250)
    parser.add_argument("--first", type=int, default=0, help="seed of the first head")
    options = parser.parse_args()

    write_heads(options.assets, options.out, range(options.first, options.first + options.identities))


if __name__ == "__main__":
    main()
