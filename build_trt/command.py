"""`visavis build`, also `python -m build_trt`: plans for this machine's GPU, of all networks that are here.

    visavis build                                  the compact networks, and all that were imported
    visavis build --network live_portrait --rows 1 4
    visavis build --export                         no plans: what was imported as ONNX, which is enough for the CPU
    visavis build --library tensorrt_rtx --capability 8.9     on a machine without a GPU, to be copied

Plans that are there already are kept.
"""

import argparse
import sys
from collections.abc import Sequence

from engines.cost import BUCKETS
from engines.models import models_folder
from engines.plan_files import dotted, plan_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the flags."""
    parser.add_argument("--network", nargs="+", default=[], help="only those whose names begin so (default: all)")
    parser.add_argument("--rows", type=int, nargs="+", default=list(BUCKETS), help="sessions in a batch")
    parser.add_argument("--precision", choices=("half", "single"), default="half")
    parser.add_argument("--library", choices=("tensorrt", "tensorrt_rtx"), help="default: the one that is installed")
    parser.add_argument("--capability", type=_capability, help="of the GPU, such as 8.9 (default: this machine's)")
    parser.add_argument("--plans", default="", help="where they go (default: VISAVIS_PLANS, or XDG's cache)")
    parser.add_argument("--models", default="", help="imported checkpoints (default: VISAVIS_MODELS, or XDG's data)")
    parser.add_argument("--export", action="store_true", help="only export what was imported, for the CPU")
    parser.add_argument("--check", action="store_true", help="compare every network with its source, and its plans")


def _capability(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    try:
        return int(major), int(minor)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no compute capability such as 8.9") from None


def run(parsed: argparse.Namespace) -> int:
    """Build, and return the exit status: 2 with the reason when something cannot be built."""
    try:
        from build_trt.build import build_all, compact_networks, imported_networks, jobs
        from build_trt.plans import CannotBuild, find_library
        from build_trt.rewrite import CannotRewrite
    except ModuleNotFoundError as error:
        return _fail(f"building needs {error.name}: pip install 'visavis[build]'")
    try:
        models = models_folder(parsed.models)
        if parsed.export:
            exported = list(imported_networks(models, _tell))
            _tell(f"{len(exported)} networks in {models}" if exported else f"nothing was imported into {models}")
            return 0
        library = find_library(parsed.library)
        capability = parsed.capability or _of_this_machine(library.needs_gpu)
        networks = [*compact_networks(), *imported_networks(models, _tell)]
        chosen = [path for path in networks if path.stem.startswith(tuple(parsed.network) or "")]
        if not chosen:
            return _fail(f"no network's name begins with {' or '.join(parsed.network)}")
        todo, folder = jobs(chosen, sorted(set(parsed.rows))), plan_folder(parsed.plans)
        _tell(f"{library.name} {library.version}, compute capability {dotted(capability)}, into {folder}")
        with _Bar([job.title for job in todo]) as bar:
            build_all(todo, folder, library, capability, parsed.precision, bar.show)
        if parsed.check:
            from build_trt.check import report

            print(report(chosen, folder, library, parsed.precision))
    except ModuleNotFoundError as error:
        return _fail(f"this needs {error.name}: pip install 'visavis[build]'")
    except (CannotBuild, CannotRewrite, OSError, ValueError) as error:
        return _fail(str(error))
    return 0


def _of_this_machine(needed: bool) -> tuple[int, int]:
    """Compute capability of the GPU; without one, what TensorRT-RTX's portable plans are for."""
    from engines.gpu import CudaGpu, NoGpu

    try:
        return CudaGpu().capability
    except NoGpu as error:
        if needed:
            raise ValueError(f"TensorRT builds on the GPU that will run the plans, and {error}") from error
        _tell("no GPU here: building plans that run on GPUs from Ampere (8.0) on")
        return 8, 0


class _Bar:
    """A bar over all jobs, named after the one at work."""

    def __init__(self, titles: Sequence[str]) -> None:
        from tqdm import tqdm

        self._titles = titles
        layout = "{desc:32} {percentage:3.0f}% |{bar}| {elapsed}"
        self._bar = tqdm(total=float(len(titles)), bar_format=layout, disable=None)

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def show(self, index: int, share: float) -> None:
        self._bar.set_description_str(self._titles[index], refresh=False)
        self._bar.update(index + share - self._bar.n)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _fail(reason: str) -> int:
    _tell(f"visavis: {reason}")
    return 2


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m build_trt`."""
    parser = argparse.ArgumentParser(
        prog="python -m build_trt", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    return run(parser.parse_args(arguments))
