"""What stays in float32 when a network is built in half precision.

`python -m build_trt.islands FILE...` finds it for ONNX files (see `build_trt.precision.search`) and prints the lines of
the table. The compact networks were measured as they ship, on even noise; those of LivePortrait and face-vid2vid with
the made-up weights of `build_trt.recipe`, on what a picture becomes on its way through them; those of RealTalk, which
nobody published, with the weights that training begins with. The decibels are those of
the worst output.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from build_trt.graph import Graph
from build_trt.precision import ALL_SINGLE, Choice, on_cpu, search

ISLANDS: Final[dict[str, Choice]] = {
    "audio2exp": Choice((), 71.6),
    "audio_features": Choice(("Log", "Add", "Div"), 75.9),  # powers of a spectrum
    "landmarks": Choice((), 65.2),
    "renderer_painter": Choice((), 78.8),
    "renderer_source": Choice((), 81.0),
    "live_portrait_appearance": Choice((), 81.6),
    "live_portrait_motion": ALL_SINGLE,  # 51.2 dB in half, but it runs once per picture, and says where all others look
    "live_portrait_warping": Choice((), 70.2),
    "live_portrait_generator": Choice((), 63.8),
    "live_portrait_stitching": ALL_SINGLE,  # too small to gain anything, as are the next two
    "live_portrait_lips": ALL_SINGLE,
    "live_portrait_eyes": ALL_SINGLE,
    "face_vid2vid_detector": ALL_SINGLE,  # once per picture, as is the next
    "face_vid2vid_pose": ALL_SINGLE,
    "face_vid2vid_appearance": Choice((), 81.6),
    "face_vid2vid_warping": Choice((), 74.0),
    "face_vid2vid_generator": Choice((), 60.9),
    "control_talk": Choice((), 72.3),
    "realtalk_audio2exp": Choice((), 76.9),
    "realtalk_renderer": Choice((), 59.5),
    "hubert_front": ALL_SINGLE,  # what half precision does to speech features has not been measured
    "hubert_encoder": ALL_SINGLE,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m build_trt.islands", description=__doc__)
    parser.add_argument("file", type=Path, nargs="+", help="ONNX file of one row")
    parser.add_argument("--span", type=float, nargs=2, default=(-0.5, 0.5), help="of the inputs")
    options = parser.parse_args(arguments)
    for path in options.file:
        graph, rng = Graph.read(path), np.random.default_rng(0)
        low, high = options.span
        inputs = {name: rng.uniform(low, high, shape).astype(np.float32) for name, shape in graph.inputs.items()}
        choice = search(graph, inputs, on_cpu())
        print(f'    "{path.stem}": Choice({choice.single}, {choice.decibels:.1f}),', flush=True)


if __name__ == "__main__":
    main()
