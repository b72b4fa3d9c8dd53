"""All plans of a machine: which networks there are, what each is built for, and in what order.

The compact networks come as ONNX files with the package. Those whose checkpoints were imported are exported first, into
the folder of the models, where the CPU backend reads them as well.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from build_trt.graph import Graph
from build_trt.islands import ISLANDS
from build_trt.plans import Library, build
from build_trt.rewrite import without_volumes
from engines.hubert import FINE
from engines.openvino_backend import FOR_CPU
from engines.pipeline import WEIGHTS
from engines.plan_files import Precision

ONCE: Final = frozenset(
    {
        "landmarks",
        "renderer_source",
        "live_portrait_appearance",
        "live_portrait_motion",
        "face_vid2vid_appearance",
        "face_vid2vid_detector",
        "face_vid2vid_pose",
    }
)
"""Networks that look at a picture once, one at a time: the others run for all sessions at once."""
FAMILIES: Final = ("live_portrait", "face_vid2vid", "control_talk", "hubert")
"""Folders of the models that checkpoints are imported into."""


@dataclass(frozen=True, slots=True)
class Job:
    """One plan to be built."""

    network: Path
    rows: int

    @property
    def title(self) -> str:
        return f"{self.network.stem} x {self.rows}"


def jobs(networks: Sequence[Path], buckets: Sequence[int]) -> list[Job]:
    """Every network in every bucket, or for one row if it runs once per picture."""
    return [Job(path, rows) for path in networks for rows in ([1] if path.stem in ONCE else buckets)]


def compact_networks() -> list[Path]:
    """The networks that come with the package."""
    return sorted(path for path in WEIGHTS.glob("*.onnx") if not path.name.endswith(FOR_CPU))


def imported_networks(models: Path, tell: Callable[[str], None]) -> Iterator[Path]:
    """ONNX files of every family that was imported, exported now where the weights are newer."""
    if not any((models / family).is_dir() for family in FAMILIES):
        return
    from build_trt import full_size, imported, speech  # PyTorch: only who brought checkpoints has it
    from build_trt.export import export

    families = {
        "live_portrait": lambda: full_size.live_portrait(imported.live_portrait(models)),
        "face_vid2vid": lambda: full_size.face_vid2vid(imported.face_vid2vid(models)),
        "control_talk": lambda: full_size.audio2exp(imported.control_talk(models)),
        "hubert": lambda: speech.hubert(imported.hubert(models), FINE),
    }
    for family, networks in families.items():
        weights = [path.stat().st_mtime for path in (models / family).glob("*.safetensors")]
        if not weights:
            continue
        for contract, network in networks():
            path = models / contract.file
            if not path.exists() or path.stat().st_mtime < max(weights):
                tell(f"exporting {contract.name}")
                export(network, contract, models)
                write_for_cpu(path)
            yield path


def write_for_cpu(path: Path) -> None:
    """Put the form of a network that samples volumes that CPUs can run beside it."""
    graph = Graph.read(path)
    rewritten = without_volumes(graph)
    if len(rewritten.nodes) != len(graph.nodes):
        path.with_suffix(FOR_CPU).write_bytes(rewritten.model().SerializeToString())


def build_all(
    todo: Sequence[Job],
    folder: Path,
    library: Library,
    capability: tuple[int, int],
    precision: Precision,
    progress: Callable[[int, float], None],
) -> list[Path]:
    """Build what is not there yet; `progress` is told the index of the job and its share done. Raises `CannotBuild`."""
    plans = []
    for index, job in enumerate(todo):
        choice = ISLANDS[job.network.stem] if precision == "half" else None
        plans.append(build(job.network, folder, library, capability, job.rows, choice, partial(progress, index)))
    return plans
