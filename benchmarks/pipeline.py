"""`python -m benchmarks.pipeline`: what a frame costs, without any network around it.

Pipelines run side by side, each in a thread of its own, as fast as they can on speech-like noise: features, Audio2Exp,
motion, rendering and the conversion to I420. Printed in milliseconds per frame, with the frames that all make together;
and, for whoever shares the machine with others, the processor's time that went into a frame.
"""

import argparse
import gc
import time
from threading import Thread

import numpy as np

from engines.avatar import list_avatars, load_avatar
from engines.media import CHUNK_SAMPLES, FRAME_TICKS, AudioChunk
from engines.memory import use_large_pages
from engines.openvino_backend import OpenVinoBackend, Precision
from engines.pipeline import Engine, Pipeline


def run(pipeline: Pipeline, frames: int, seconds: list[tuple[float, float]]) -> None:
    """Push `frames` frames and append what each took, and took of the processor."""
    rng = np.random.default_rng(0)
    for index in range(frames):
        begun, used = time.perf_counter(), time.thread_time()
        for half in (0, 1):
            pcm = (rng.standard_normal(CHUNK_SAMPLES) * 2000).astype(np.int16)
            pipeline.push(AudioChunk(pcm, (2 * index + half) * FRAME_TICKS // 2))
        seconds.append((time.perf_counter() - begun, time.thread_time() - used))


def measure(precision: Precision, sessions: int, frames: int) -> str:
    """One row of the table."""
    engine = Engine.load(backend=OpenVinoBackend(precision))
    avatar = load_avatar(list_avatars()[0])
    pipelines = [engine.open(avatar, seed=seed) for seed in range(sessions)]
    for pipeline in pipelines:
        run(pipeline, 5, [])
    gc.freeze()  # as the server does
    use_large_pages()
    seconds: list[tuple[float, float]] = []
    threads = [Thread(target=run, args=(pipeline, frames, seconds)) for pipeline in pipelines]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = sessions * frames / (time.perf_counter() - begun)
    whole, used = np.array(seconds).T * 1000
    figures = [*np.percentile(whole, [50, 95, 99]), *np.percentile(used, [50, 99])]
    return f"| {precision} | {sessions} | {' | '.join(f'{figure:.1f}' for figure in figures)} | {rate:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    print("| precision | pipelines | p50 ms | p95 ms | p99 ms | of the processor, p50 ms | p99 ms | frames/s in all |")
    print("|---|---|---|---|---|---|---|---|")
    for precision in ("bf16", "f32"):
        for sessions in options.sessions:
            print(measure(precision, sessions, options.frames), flush=True)


if __name__ == "__main__":
    main()
