"""Labelled frames for training the renderer, written shard by shard.

In the root lies the mouth's unlit inside, `interior.png` and `interior.npz`. One folder per identity: `source.png` (at
rest, looking at the camera), `mesh.npz` (`HeadMesh`), `globe_*` (`Globe`), `eyeballs.npz` (`Eyeballs`), `camera.json`,
and shards `frames_NN.npz`, `states.npz`, `sequence.npz` with `images` uint8 (n, 512, 512, 3) RGB, `expression` float32
(n, 53), `pose` float32 (n, 6) as pitch, yaw, roll, x, y, z, and `gaze` float32 (n, 2). Everything else that is known of
a frame follows from its mesh and its motion (`labels`).
"""

import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from engines.face_geometry import Interior, SourceGeometry
from engines.media import FRAME_SIZE, Motion
from training.studio.assets import Assets
from training.studio.cast import HELD_OUT, SHIPPED
from training.studio.crowd import passer_by
from training.studio.eyeballs import make_eyeballs
from training.studio.figure import Wardrobe
from training.studio.globe import make_globe
from training.studio.head_export import head_mesh
from training.studio.identity import Identity
from training.studio.interior import write_interior
from training.studio.rasterizer import Rasterizer
from training.studio.sampler import random_motion, sequence, states
from training.studio.scene import Scene

SHARD = 15
"""Frames in one shard."""


@dataclass(frozen=True)
class Job:
    """One file to write for `identity`: `kind` is source, states, sequence or frames_NN."""

    identity: Identity
    kind: str
    count: int


def schedule(crowd: int = 0, shipped: int = 90, each: int = 10) -> list[Job]:
    """All jobs, what matters most first, so that a trainer can begin soon and whoever must stop early loses the
    least: who ships, in rounds of a shard each up to `shipped` frames; the held-out heads' fixed motions; then `crowd`
    passers-by with `each` frames."""

    def begin(identity: Identity) -> list[Job]:
        fixed = [Job(identity, "states", len(states())), Job(identity, "sequence", len(sequence()))]
        return [Job(identity, "source", 1), *fixed]

    jobs: list[Job] = []
    for identity in SHIPPED:
        jobs += begin(identity)
    for at in range(0, shipped, SHARD):
        jobs += [Job(identity, f"frames_{at // SHARD:02d}", min(SHARD, shipped - at)) for identity in SHIPPED]
    for identity in HELD_OUT:
        jobs += begin(identity)
    for number in range(crowd):
        jobs += [Job(passer_by(number), "source", 1), Job(passer_by(number), "frames_00", each)]
    return jobs


def motions(job: Job, seed: int) -> list[Motion]:
    """What `job` shows: the same for the same seed, whatever was written before."""
    if job.kind == "source":
        return [Motion()]
    if job.kind == "states":
        return list(states().values())
    if job.kind == "sequence":
        return sequence()
    rng = np.random.default_rng([seed, zlib.crc32(f"{job.identity.id}/{job.kind}".encode())])
    return [random_motion(rng) for _ in range(job.count)]


def _file(out: Path, job: Job) -> Path:
    return out / job.identity.id / ("source.png" if job.kind == "source" else f"{job.kind}.npz")


def _write_source(scene: Scene, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder.parent / "interior.png").exists():
        write_interior(scene.figure.wardrobe, folder.parent)
    _write_mesh(scene, folder)
    (folder / "camera.json").write_text(json.dumps(asdict(scene.camera)))
    cv2.imwrite(str(folder / ".source.png"), scene.shoot(Motion())[..., ::-1])
    (folder / ".source.png").rename(folder / "source.png")


def _write_mesh(scene: Scene, folder: Path) -> None:
    mesh = head_mesh(scene.figure)
    mesh.save(folder / "mesh.npz")
    make_globe(scene, mesh).save(folder)
    make_eyeballs(scene, SourceGeometry(mesh, scene.camera, Interior.load(folder.parent))).save(folder)


def _write_shard(scene: Scene, shown: list[Motion], file: Path, step: Callable[[], object]) -> None:
    images = []
    for motion in shown:
        images.append(scene.shoot(motion))
        step()
    poses = [(m.pose.pitch, m.pose.yaw, m.pose.roll, *m.pose.translation) for m in shown]
    unfinished = file.with_name(f".{file.name}")
    np.savez(
        unfinished,
        images=np.stack(images),
        expression=np.stack([motion.expression for motion in shown]),
        pose=np.array(poses, np.float32),
        gaze=np.array([motion.gaze for motion in shown], np.float32),
    )
    unfinished.rename(file)


def write_frames(assets: Path, out: Path, jobs: list[Job], seed: int = 0, worker: int = 0, workers: int = 1) -> None:
    """Write what is still missing of `jobs`; `worker` of `workers` takes its share of the identities."""
    jobs = [job for job in jobs if zlib.crc32(job.identity.id.encode()) % workers == worker]
    missing = [job for job in jobs if not _file(out, job).is_file()]
    if not missing:
        return
    wardrobe, rasterizer = Wardrobe(Assets(assets)), Rasterizer(FRAME_SIZE)
    with tqdm(total=sum(job.count for job in missing), unit="frame") as bar:
        for scene, job in _on_set(wardrobe, rasterizer, missing):
            bar.set_description(f"{job.identity.id} {job.kind}")
            file = _file(out, job)
            file.parent.mkdir(parents=True, exist_ok=True)
            if job.kind == "source":
                _write_source(scene, file.parent)
                bar.update()
            else:
                _write_shard(scene, motions(job, seed), file, bar.update)


def write_meshes(assets: Path, out: Path, crowd: int = 0) -> None:
    """Write the meshes, globes and eyeballs (and the mouth's inside) of what lies in `out` anew, beside its pictures.

    An identity that is framed differently by now is left alone, for its pictures show somebody else.
    """
    wardrobe, rasterizer = Wardrobe(Assets(assets)), Rasterizer(FRAME_SIZE)
    write_interior(wardrobe, out)
    for job in schedule(crowd):
        folder = out / job.identity.id
        if job.kind != "source" or not (folder / "source.png").is_file():
            continue
        scene = Scene(wardrobe, rasterizer, job.identity)
        shown, camera = json.loads((folder / "camera.json").read_text()), asdict(scene.camera)
        if not all(np.allclose(shown[name], camera[name], atol=1e-4) for name in camera):
            print(f"{folder}: framed differently, left as it is")
            continue
        _write_mesh(scene, folder)
        print(folder / "mesh.npz")


def _on_set(wardrobe: Wardrobe, rasterizer: Rasterizer, jobs: list[Job]) -> Iterator[tuple[Scene, Job]]:
    """Each job with its scene, built anew only when the identity changes."""
    scene: Scene | None = None
    identity: Identity | None = None
    for job in jobs:
        if scene is None or job.identity != identity:
            scene, identity = Scene(wardrobe, rasterizer, job.identity), job.identity
        yield scene, job
