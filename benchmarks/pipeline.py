"""`python -m benchmarks.pipeline`: what a frame costs, without any network around it.

Pipelines run side by side, each in a thread of its own, as fast as they can on speech-like noise: features, Audio2Exp,
motion, rendering and the conversion to I420. Printed in milliseconds per frame, with the frames that all make together.
"""

import argparse
import time
from threading import Thread

import numpy as np

from engines.avatar import list_avatars, load_avatar
from engines.features import CHUNK_SAMPLES
from engines.media import FRAME_TICKS, AudioChunk
from engines.openvino_backend import OpenVinoBackend, Precision
from engines.pipeline import Engine, Pipeline


def run(pipeline: Pipeline, frames: int, seconds: list[float]) -> None:
    """Push `frames` frames and append what each took."""
    rng = np.random.default_rng(0)
    for index in range(frames):
        begun = time.perf_counter()
        for half in (0, 1):
            pcm = (rng.standard_normal(CHUNK_SAMPLES) * 2000).astype(np.int16)
            pipeline.push(AudioChunk(pcm, (2 * index + half) * FRAME_TICKS // 2))
        seconds.append(time.perf_counter() - begun)


def measure(precision: Precision, sessions: int, frames: int) -> str:
    """One row of the table."""
    engine = Engine.load(backend=OpenVinoBackend(precision))
    avatar = load_avatar(list_avatars()[0])
    pipelines = [engine.open(avatar, seed=seed) for seed in range(sessions)]
    for pipeline in pipelines:
        run(pipeline, 5, [])
    seconds: list[float] = []
    threads = [Thread(target=run, args=(pipeline, frames, seconds)) for pipeline in pipelines]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = sessions * frames / (time.perf_counter() - begun)
    p50, p95, p99 = np.percentile(np.array(seconds) * 1000, [50, 95, 99])
    return f"| {precision} | {sessions} | {p50:.1f} | {p95:.1f} | {p99:.1f} | {rate:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    print("| precision | pipelines | p50 ms | p95 ms | p99 ms | frames/s in all |")
    print("|---|---|---|---|---|---|")
    for precision in ("bf16", "f32"):
        for sessions in options.sessions:
            print(measure(precision, sessions, options.frames), flush=True)


if __name__ == "__main__":
    main()
