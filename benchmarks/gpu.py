"""`python -m benchmarks.gpu`: what networks and ticks take on a GPU, beside what they must take at least.

Every network by rows and precision, alone on the GPU: p50 and p99 of the milliseconds from pinned input to pinned
output, and the floor from what is counted in its graph. Then ticks: sound to lips (`SpeechStep`) and motion to planes
(`PortraitStep`), with the sessions that this lets in at 25 pictures a second, and what a session keeps in the
GPU's memory. Plans must have been built (`visavis build`, once with each --precision).

With --torch the networks run in PyTorch with CUDA graphs instead, as a stand-in where TensorRT does not run; they are
then the full-size ones, with random weights, which cost what others do.

Without a GPU it says so, and measures nothing: no estimate stands as a result.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.work import Work, count
from build_trt.build import ONCE, compact_networks
from build_trt.graph import Graph
from engines.cost import BUCKETS, CostCurve
from engines.gpu import CudaGpu, NoGpu
from engines.media import STEP
from engines.models import models_folder
from engines.openvino_backend import FOR_CPU
from engines.pipeline import WEIGHTS
from engines.plan_files import NoPlan, Precision, plan_folder
from engines.portrait_step import PortraitStep
from engines.speech_step import SpeechStep
from engines.tensorrt_backend import TensorRt, TensorRtBackend

PEAKS: Final = {
    "H100": (798e12, 989e12 / 2, 3.35e12),
    "H200": (790e12, 989e12 / 2, 4.8e12),
}
"""Operations a second in half precision (as measured on matrix products) and in TF32 (NVIDIA's data sheet), and bytes a
second (data sheet), by what the GPU's name contains."""
LATE: Final = 0.01
"""Share of pictures that may be late."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds."""

    p50: float
    p99: float
    floor: float | None

    @property
    def row(self) -> str:
        if self.floor is None:
            return f"{self.p50:.3f} | {self.p99:.3f} | - | -"
        return f"{self.p50:.3f} | {self.p99:.3f} | {self.floor:.3f} | {self.p50 / self.floor:.1f}"


@dataclass(frozen=True, slots=True)
class Peak:
    """What the GPU can do: operations and bytes a second; None where nobody has said."""

    flops: float | None
    bandwidth: float | None

    def floor(self, work: Work, rows: int, precision: Precision) -> float | None:
        """Milliseconds."""
        if self.flops is None or self.bandwidth is None:
            return None
        return 1000 * work.floor(rows, 2 if precision == "half" else 4, self.flops, self.bandwidth)


def measure(run: Callable[[], object], repeats: int) -> tuple[float, float]:
    """p50 and p99 in milliseconds, after a tenth as many that do not count."""
    seconds = []
    for index in range(-repeats // 10, repeats):
        begun = time.perf_counter()
        run()
        if index >= 0:
            seconds.append(time.perf_counter() - begun)
    p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
    return float(p50), float(p99)


def networks(
    backend: TensorRtBackend, paths: Sequence[Path], buckets: Sequence[int], peak: Peak, repeats: int
) -> Iterator[str]:
    """A row for every network and bucket."""
    for path in paths:
        graph = Graph.read(path)
        work = count(graph)
        try:
            network = backend.load(path)
        except NoPlan as error:
            yield f"| {path.stem} | {backend.precision} | {error} | | | | |"
            continue
        rng = np.random.default_rng(0)
        for rows in [1] if path.stem in ONCE else buckets:
            if rows > network.largest:
                break
            shapes = {name: (rows, *shape[1:]) for name, shape in network.inputs.items()}
            inputs = {name: rng.uniform(0, 1, shape).astype(np.float32) for name, shape in shapes.items()}
            p50, p99 = measure(partial(network.run, inputs), repeats)
            timing = Timing(p50, p99, peak.floor(work, rows, backend.precision))
            yield f"| {path.stem} | {backend.precision} | {rows} | {timing.row} |"


def speech(backend: TensorRtBackend, repeats: int) -> Iterator[str]:
    """A row for every bucket of `SpeechStep`."""
    step = SpeechStep(backend, WEIGHTS, max(BUCKETS))
    ears = [step.open(80) for _ in range(step.largest)]
    sound = np.random.default_rng(0).normal(0, 0.05, (step.largest, 640)).astype(np.float32)

    def run(count: int) -> object:
        return step.hear(ears[:count], sound[:count])

    yield from tick("sound to lips", backend, step.buckets, run, step.slot_bytes, repeats)


def portrait(backend: TensorRtBackend, models: Path, family: str, repeats: int) -> Iterator[str]:
    """A row for every bucket of `PortraitStep`."""
    warping, generator, stitching = (models / f"{family}_{name}.onnx" for name in ("warping", "generator", "stitching"))
    if not warping.exists():
        return
    shapes = Graph.read(warping).inputs
    step = PortraitStep(backend, warping, generator, stitching if stitching.exists() else None, slots=4)
    rng = np.random.default_rng(0)
    volume = rng.normal(0, 1, shapes["volume"]).astype(np.float32)
    points = rng.uniform(-0.5, 0.5, shapes["driving"][1:]).astype(np.float32)
    home = [step.keep(volume, points, points) for _ in range(4)]
    slots = [home[index % 4] for index in range(step.largest)]
    still = np.concatenate([np.eye(3).ravel(), np.zeros(3), [1], np.zeros(points.size)]).astype(np.float32)
    moves = np.stack([still] * step.largest)

    def run(count: int) -> object:
        return step.draw(slots[:count], moves[:count], [None] * count)

    yield from tick(f"{family}: motion to planes", backend, step.buckets, run, step.slot_bytes, repeats)


def tick(
    title: str,
    backend: TensorRtBackend,
    buckets: tuple[int, ...],
    run: Callable[[int], object],
    kept: int,
    repeats: int,
) -> Iterator[str]:
    """A row for every bucket, and the sessions that the p99 of all of them lets in."""
    slow = []
    for rows in buckets:
        p50, p99 = measure(partial(run, rows), repeats)
        slow.append(p99 / 1000)
        yield f"| {title} | {backend.precision} | {rows} | {p50:.3f} | {p99:.3f} | {kept / 1e6:.3f} | |"
    sessions = CostCurve(buckets, tuple(slow)).capacity(STEP)
    yield f"| {title} | {backend.precision} | | | | | **{sessions}** |"


def stand_in(buckets: Sequence[int], peak: Peak, repeats: int) -> Iterator[str]:
    """The full-size networks in PyTorch with CUDA graphs, in half precision, with random weights."""
    import torch

    from build_trt import full_size
    from networks.face_vid2vid import FaceVid2Vid
    from networks.live_portrait import LivePortrait
    from networks.realtalk import AudioToExpression, ExpressionToFace

    if not torch.cuda.is_available():
        raise NoGpu("PyTorch finds no GPU")
    families = (
        full_size.live_portrait(LivePortrait().eval()),
        full_size.face_vid2vid(FaceVid2Vid().eval()),
        full_size.real_talk(AudioToExpression().eval(), ExpressionToFace().eval()),
    )
    for contract, module in (pair for family in families for pair in family):
        network = module.cuda().half()
        for rows in [1] if contract.name in ONCE else buckets:
            drawn = {name: np.repeat(each, rows, 0) for name, each in contract.draw().items()}
            # Keypoints stay in float32, as everywhere: the networks cast what they may.
            inputs = [
                torch.from_numpy(each).cuda() if each.ndim == 3 else torch.from_numpy(each).cuda().half()
                for each in drawn.values()
            ]
            try:
                replay = _torch_graph(torch, network, inputs)
            except torch.OutOfMemoryError:
                yield f"| {contract.name} | half | {rows} | out of memory | | | |"
                break
            p50, p99 = measure(replay, repeats)
            yield f"| {contract.name} | half | {rows} | {p50:.3f} | {p99:.3f} | | |"


def _torch_graph(torch: Any, network: Any, inputs: Sequence[Any]) -> Callable[[], None]:
    """What repeats a captured run and waits for it."""
    with torch.inference_mode():
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                network(*inputs)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            network(*inputs)

    def replay() -> None:
        graph.replay()
        torch.cuda.synchronize()

    return replay


def _peak(name: str, options: argparse.Namespace, precision: Precision) -> Peak:
    half, single, bandwidth = next((peaks for each, peaks in PEAKS.items() if each in name), (None, None, None))
    flops = options.tflops * 1e12 if options.tflops else (half if precision == "half" else single)
    return Peak(flops, options.bandwidth * 1e12 if options.bandwidth else bandwidth)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--rows", type=int, nargs="+", default=list(BUCKETS))
    parser.add_argument("--plans", default="", help="folder of the plans")
    parser.add_argument("--models", default="", help="folder of the imported networks")
    parser.add_argument("--precision", choices=("half", "single"), nargs="+", default=["half", "single"])
    parser.add_argument("--tflops", type=float, help="what the GPU can do, for the floor, where it is not known here")
    parser.add_argument("--bandwidth", type=float, help="TB/s of its memory")
    parser.add_argument("--torch", action="store_true", help="PyTorch with CUDA graphs instead of TensorRT")
    options = parser.parse_args(arguments)
    try:
        gpu = CudaGpu()
        library = None if options.torch else TensorRt()
    except (NoGpu, NoPlan) as error:
        print(f"No GPU here: figures still to be measured ({error})", file=sys.stderr)
        return 0
    what = "PyTorch with CUDA graphs (stand-in)" if library is None else f"{library.name} {library.version}"
    print(f"{gpu.name}, compute capability {gpu.capability}, {what}, {options.repeats} runs each\n")
    models = models_folder(options.models)
    print("| network | precision | rows | p50 ms | p99 ms | floor ms | p50 / floor |\n|---|---|---|---|---|---|---|")
    if library is None:
        for row in stand_in(options.rows, _peak(gpu.name, options, "half"), options.repeats):
            print(row, flush=True)
        return 0
    ticks: list[str] = []
    for precision in options.precision:
        backend = TensorRtBackend(plan_folder(options.plans), precision, library, gpu)
        paths = [*compact_networks(), *sorted(path for path in models.glob("*.onnx") if FOR_CPU not in path.name)]
        for row in networks(backend, paths, options.rows, _peak(gpu.name, options, precision), options.repeats):
            print(row, flush=True)
        try:
            ticks += speech(backend, options.repeats)
            for family in ("live_portrait", "face_vid2vid"):
                ticks += portrait(backend, models, family, options.repeats)
        except NoPlan as error:
            ticks.append(f"| {error} | | | | | | |")
    print(f"\nTicks; sessions at 25 pictures a second with under {LATE:.0%} late, from the p99 of all buckets:\n")
    print("| tick | precision | rows | p50 ms | p99 ms | MB kept per slot | sessions |\n|---|---|---|---|---|---|---|")
    print(*ticks, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
