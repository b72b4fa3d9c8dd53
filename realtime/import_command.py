"""`visavis import`: checkpoints you downloaded, checked and converted once for `visavis build`.

    visavis import pretrained_weights/liveportrait
    visavis import checkpoints/lipControlNet.pt checkpoints/20231128_210236_337a_e0362-checkpoint.pth.tar
    visavis import chinese-hubert-large/

Known are LivePortrait, face-vid2vid (the SPADE generator), ControlTalk, and any HuBERT or wav2vec 2.0 of transformers.
"""

import argparse
import sys
from importlib import import_module
from pathlib import Path

from engines.models import models_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the flags."""
    parser.add_argument("path", type=Path, nargs="+", help="checkpoint file, or folder of them")
    parser.add_argument("--models", default="", help="where they go (default: VISAVIS_MODELS, or XDG's data folder)")


def run(parsed: argparse.Namespace) -> int:
    """Import what was asked and return the exit status: 2 if anything could not be."""
    try:
        importers = import_module("build_trt.importers")  # PyTorch: whoever only serves does not have it
    except ModuleNotFoundError as error:
        print(f"visavis: importing needs {error.name}: pip install 'visavis[build]'", file=sys.stderr)
        return 2
    models, status, licences = models_folder(parsed.models), 0, dict[str, None]()
    for path in parsed.path:
        for result in importers.import_path(path, models):
            if isinstance(result, importers.NotNeeded):
                print(f"left out: {result}")
            elif isinstance(result, importers.CannotImport):
                status = 2
                print(f"visavis: {result}", file=sys.stderr)
            else:
                licences[f"{result.family}: {result.licence}"] = None
                done = "imported" if result.new else "already imported"
                print(f"{done} {result.family}: {result.title}, {result.parameters:,} parameters")
                print(*(f"    {file}" for file in result.files), sep="\n")
    if licences:
        print("licences of these weights:", *licences, sep="\n    ")
    return status
