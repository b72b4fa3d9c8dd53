"""`python -m benchmarks.clips`: what a picture of a clip costs beside one of a portrait.

The same voice is heard and drawn by pipelines that take turns, frame by frame, so that a machine which others use as
well is slow or fast for all of them: an avatar as a portrait, as a clip, and each within all of its photo or clip as it
is shown live. Printed in milliseconds of the processor per frame, and as shares of the portrait's. By default an avatar
that ships is held still in a clip; `--avatar` names one of your own, which was made of a clip.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from engines.avatar import Avatar, list_avatars, load_avatar
from engines.clip_pack import hold_still
from engines.media import CHUNK_SAMPLES, FRAME_TICKS, AudioChunk
from engines.pipeline import Engine, Pipeline
from engines.portrait_pack import user_folder
from engines.scene import Scene
from realtime.director import SCENE_PIXELS

WARM_UP: Final = 10
"""Frames of each that do not count."""
_SHOWN: Final = ("portrait", "clip", "portrait in its photo", "whole clip")


def run(pipelines: dict[str, Pipeline], frames: int) -> dict[str, list[float]]:
    """Seconds of the processor that each frame of each took."""
    rng, seconds = np.random.default_rng(0), {name: list[float]() for name in pipelines}
    for index in range(frames):
        pcm = (rng.standard_normal((2, CHUNK_SAMPLES)) * 2000).astype(np.int16)
        for name, pipeline in pipelines.items():
            begun = time.thread_time()
            for half in (0, 1):
                pipeline.push(AudioChunk(pcm[half], (2 * index + half) * FRAME_TICKS // 2))
            seconds[name].append(time.thread_time() - begun)
    return {name: each[WARM_UP:] for name, each in seconds.items()}


def pipelines(avatar: Avatar) -> dict[str, Pipeline]:
    """Of an avatar with a clip, as itself and as its portrait."""
    engine, portrait = Engine.load(), replace(avatar, clip=None)
    opened = {name: engine.open(portrait if "portrait" in name else avatar, seed=1) for name in _SHOWN}
    scene = Scene.load(avatar.folder, SCENE_PIXELS) if Scene.exists(avatar.folder) else None
    if scene is None:
        return {name: opened[name] for name in _SHOWN[:2]}
    opened[_SHOWN[2]].scene, opened[_SHOWN[3]].scene = scene.at(0), scene
    return opened


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--avatar", help="id of one that was made of a clip")
    parser.add_argument("--avatar-folder", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.avatar:
            avatar = load_avatar(options.avatar, user_folder(options.avatar_folder))
        else:
            avatar = hold_still(load_avatar(list_avatars()[0]), Path(folder))
        costs = run(pipelines(avatar), options.frames)
    print("| shown | p50 ms | p95 ms | p99 ms | of the portrait's |\n|---|---|---|---|---|")
    base = float(np.median(costs["portrait"]))
    for name, seconds in costs.items():
        figures = " | ".join(f"{each:.1f}" for each in np.percentile(np.array(seconds) * 1000, [50, 95, 99]))
        print(f"| {name} | {figures} | {float(np.median(seconds)) / base:.2f} |")


if __name__ == "__main__":
    main()
