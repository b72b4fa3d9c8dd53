"""`python -m benchmarks.ratios`: our compact step against the networks of others, on this CPU, in one run.

Step by step of a picture: ours from 40 ms of sound to the I420 planes of 512 x 512 pixels, all included; of the others
only the networks that run for every picture, without sound, pose, pasting or colour. Their weights are random, which
costs the same. All in OpenVINO on as many threads; where it has no 5-D sampler the graph is rewritten (see
`build_trt.rewrite`). What is told is the processor's time, and the candidates take turns, since other work disturbs the
machine; what counts are the ratios.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import onnx
import torch
from torch import nn

from benchmarks.wav2lip_size import Wav2LipSize
from benchmarks.work import Work, count, total
from build_trt import full_size
from build_trt.contracts import Contract, Tensor
from build_trt.export import export
from build_trt.graph import Graph
from build_trt.rewrite import without_volumes
from engines.avatar import list_avatars, load_avatar
from engines.media import CHUNK_SAMPLES, FRAME_TICKS, AudioChunk
from engines.openvino_backend import OpenVinoBackend, Precision
from engines.pipeline import WEIGHTS, Engine
from networks.face_vid2vid import FaceVid2Vid
from networks.live_portrait import LivePortrait

OURS: Final = "Visavis, compact"
WAV2LIP: Final = Contract(
    "wav2lip_size",
    (Tensor("mel", (1, 1, 80, 16)), Tensor("faces", (1, 6, 96, 96), span=(0, 1))),
    (Tensor("face", (1, 3, 96, 96)),),
)
Step = Callable[[], object]


def per_picture(family: Sequence[tuple[Contract, nn.Module]]) -> list[tuple[Contract, nn.Module]]:
    """The networks that run for every picture."""
    return [(contract, network) for contract, network in family if contract.name.endswith(("warping", "generator"))]


def rivals() -> dict[str, list[tuple[Contract, nn.Module]]]:
    """By name and size of the picture, with random weights."""
    torch.manual_seed(0)
    return {
        "Wav2Lip-sized, 96 x 96": [(WAV2LIP, Wav2LipSize().eval())],
        "face-vid2vid, 256 x 256": per_picture(list(full_size.face_vid2vid(FaceVid2Vid().eval()))),
        "LivePortrait, 512 x 512": per_picture(list(full_size.live_portrait(LivePortrait().eval()))),
    }


def export_all(networks: Sequence[tuple[Contract, nn.Module]], folder: Path) -> list[tuple[Path, Work]]:
    """Files that OpenVINO reads, and their work. What an earlier run exported into `folder` is used again."""
    files = []
    for contract, network in networks:
        exported = folder / contract.file
        graph = Graph.read(exported if exported.exists() else export(network, contract, folder))
        path = folder / f"rewritten_{contract.file}"
        onnx.save(without_volumes(graph).model(), str(path))
        files.append((path, count(graph)))
    return files


def ours(backend: OpenVinoBackend) -> Step:
    """From 40 ms of sound to a picture's planes."""
    pipeline = Engine.load(backend=backend).open(load_avatar(list_avatars()[0]))
    rng = np.random.default_rng(0)
    ticks = iter(range(1 << 30))

    def step() -> None:
        for _ in range(2):
            pcm = (rng.standard_normal(CHUNK_SAMPLES) * 2000).astype(np.int16)
            pipeline.push(AudioChunk(pcm, next(ticks) * FRAME_TICKS // 2))

    return step


def theirs(backend: OpenVinoBackend, files: Sequence[Path]) -> Step:
    """One run of every network that a picture needs."""
    rng = np.random.default_rng(0)
    runs = []
    for path in files:
        network = backend.load(path)
        inputs = {name: rng.uniform(0, 1, shape).astype(np.float32) for name, shape in network.inputs.items()}
        runs.append((network, inputs))

    def step() -> None:
        for network, inputs in runs:
            network.run(inputs)

    return step


def compact_work() -> Work:
    """Of all that a picture needs."""
    names = ("audio_features", "audio2exp", "renderer_painter")
    return total(count(Graph.read(WEIGHTS / f"{name}.onnx")) for name in names)


def interleave(steps: dict[str, Step], rounds: int, most: float) -> dict[str, list[float]]:
    """Seconds of processor time of each: in every round all take their turn, the quick ones for `most` seconds or 20
    times."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(rounds):
        for name, step in steps.items():
            until = time.perf_counter() + most
            for _ in range(20):
                begun = time.process_time()
                step()
                seconds[name].append(time.process_time() - begun)
                if time.perf_counter() > until:
                    break
    return seconds


def table(precision: Precision, threads: int, rounds: int, files: dict[str, list[tuple[Path, Work]]]) -> str:
    backend = OpenVinoBackend(precision, threads)
    steps = {OURS + ", 512 x 512": ours(backend)}
    works = {OURS + ", 512 x 512": compact_work()}
    for name, parts in files.items():
        steps[name] = theirs(backend, [path for path, _ in parts])
        works[name] = total(work for _, work in parts)
    seconds = interleave(steps, rounds, 2.0)
    medians = {name: float(np.median(each)) for name, each in seconds.items()}
    first = next(iter(medians.values()))
    lines = []
    for name, median in medians.items():
        numbers = f"{works[name].flops / 1e9:.2f} | {1000 * median:.1f} | {len(seconds[name])} | {median / first:.1f}"
        lines.append(f"| {name} | {numbers} |")
    conditions = f"{precision}, {threads} thread{'s' * (threads > 1)}, {rounds} rounds"
    head = [
        f"\n{conditions}; load {os.getloadavg()[0]:.1f} at the end\n",
        "| step of one picture | GFLOP | processor ms, median | runs | times ours |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*head, *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=("f32", "bf16"), nargs="+", default=["bf16", "f32"])
    parser.add_argument("--networks", type=Path, help="folder to keep the others' networks in (default: none)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with TemporaryDirectory() as temporary:
        folder = options.networks or Path(temporary)
        files = {name: export_all(networks, folder) for name, networks in rivals().items()}
        for precision in options.precision:
            print(table(precision, options.threads, options.rounds, files), flush=True)


if __name__ == "__main__":
    main()
