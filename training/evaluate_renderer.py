"""Judge the exported renderer, as it serves, on frames that it never trained on.

    python -m training.evaluate_renderer --frames DIR --weights engines/assets/weights --sheet sheet.png

For every head with `states` and `sequence` frames: PSNR and SSIM over the picture, the mouth and the eyes, a perceptual
distance, the distance of facial landmarks and the flicker, beside two baselines: the source unchanged, and the warp
without a network.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from engines.expression import FloatArray
from engines.face_geometry import face_geometry
from engines.keypoints import LIPS
from engines.landmarks import TRACKED, Crop, LandmarkFinder
from engines.media import FRAME_SIZE, Motion
from engines.openvino_backend import OpenVinoBackend, Precision
from engines.renderer import Renderer, Source, SourceEncoder
from engines.warp import warp
from training import model_card
from training.picture_metrics import (
    Picture,
    decibels,
    flicker,
    gradient_deviation,
    squared_error,
    structural_similarity,
)
from training.renderer_dataset import Identity, load_identity
from training.studio.cast import SHIPPED
from training.studio.sampler import states

_LIP_ROWS = [TRACKED.index(index) for index in LIPS]


@dataclass(frozen=True)
class Frame:
    """One frame as drawn, against the truth. Squared errors in levels; landmark distances in % of the face's width,
    not a number where no face was found in either."""

    whole: float
    mouth: float
    eyes: float
    similarity: float
    perceptual: float
    lips: float
    face: float


@dataclass(frozen=True)
class Verdict:
    """What was drawn of one head in one way: the fixed states by name, the talking sequence, and its flicker as a share
    of the truth's."""

    head: str
    way: str
    states: dict[str, Frame]
    sequence: list[Frame]
    flicker: float

    @property
    def frames(self) -> list[Frame]:
        return [*self.states.values(), *self.sequence]


class Judge:
    """Draws with the exported renderer and its baselines, and compares with the truth."""

    def __init__(self, weights: Path, precision: Precision) -> None:
        backend = OpenVinoBackend(precision)
        self.encoder, self.renderer = SourceEncoder(backend, weights), Renderer(backend, weights)

    @cached_property
    def finder(self) -> LandmarkFinder:
        """The shipped keypoint network, whichever weights are judged."""
        return LandmarkFinder(OpenVinoBackend("f32"))

    def ways(self, identity: Identity) -> dict[str, Callable[[Motion], Picture]]:
        """The network and its baselines, by name."""
        source: Source = self.encoder.encode(identity.source, identity.geometry, identity.eyeballs)

        def mesh_warp(motion: Motion) -> Picture:
            return warp(source.atlas, face_geometry(source.geometry, motion))

        return {
            "source unchanged": lambda motion: identity.source,
            "mesh warp": mesh_warp,
            "network": lambda motion: self.renderer.render(source, motion),
        }

    def landmarks(self, picture: Picture, near: FloatArray) -> FloatArray | None:
        """Tracked keypoints (N, 2) in pixels, looked for around where they should be."""
        face = self.finder.settle(picture, Crop.around(near))
        return face.points if face is not None else None

    def frame(self, identity: Identity, motion: Motion, drawn: Picture, truth: Picture) -> Frame:
        """Compare one frame."""
        geometry = face_geometry(identity.geometry, motion)
        near = (geometry.keypoints[list(TRACKED), :2] + 1) * (FRAME_SIZE / 2) - 0.5
        found, wanted = (self.landmarks(picture, near.astype(np.float32)) for picture in (drawn, truth))
        off = np.full(len(TRACKED), np.nan)
        if found is not None and wanted is not None:
            off = 100 * np.linalg.norm(found - wanted, axis=1) / np.ptp(near[:, 0])
        return Frame(
            whole=squared_error(drawn, truth),
            mouth=squared_error(geometry.mouth.cut(drawn), geometry.mouth.cut(truth)),
            eyes=squared_error(geometry.eyes.cut(drawn), geometry.eyes.cut(truth)),
            similarity=structural_similarity(drawn, truth),
            perceptual=gradient_deviation(drawn, truth),
            lips=float(off[_LIP_ROWS].mean()),
            face=float(off.mean()),
        )

    def head(self, folder: Path) -> list[Verdict]:
        """Every way to draw the head of a folder written by ``python -m training.studio frames``."""
        shown = load_identity(folder, folder.parent, "states")
        moved = load_identity(folder, folder.parent, "sequence")
        verdicts = []
        for way, draw in self.ways(shown).items():
            frames = {}
            for name, motion, truth in zip(states(), shown.motions, shown.frames, strict=False):
                frames[name] = self.frame(shown, motion, draw(motion), truth)
            drawn = np.stack([draw(motion) for motion in moved.motions])
            sequence = [self.frame(moved, *each) for each in zip(moved.motions, drawn, moved.frames, strict=True)]
            shake = flicker(drawn) / flicker(moved.frames)
            verdicts.append(Verdict(folder.name, way, frames, sequence, shake))
        return verdicts


def figures(frames: list[Frame]) -> list[float]:
    """PSNR, SSIM, perceptual distance, mouth PSNR, eyes PSNR, lip and face landmark distance."""
    return [
        decibels([frame.whole for frame in frames]),
        float(np.mean([frame.similarity for frame in frames])),
        float(np.mean([frame.perceptual for frame in frames])),
        decibels([frame.mouth for frame in frames]),
        decibels([frame.eyes for frame in frames]),
        float(np.nanmean([frame.lips for frame in frames])),
        float(np.nanmean([frame.face for frame in frames])),
    ]


COLUMNS = ("PSNR", "SSIM", "GMSD", "mouth PSNR", "eyes PSNR", "lips %", "face %")


def summary(verdicts: list[Verdict]) -> str:
    """A table: groups of heads by way to draw, over all frames; then the network's, state by state."""
    shipped = {identity.id for identity in SHIPPED}

    def group(name: str) -> str:
        return "shipped" if name in shipped else "held out"

    rows, by_state = [], []
    for heads in ("shipped", "held out"):
        for way in ("source unchanged", "mesh warp", "network"):
            chosen = [verdict for verdict in verdicts if verdict.way == way and group(verdict.head) == heads]
            if chosen:
                frames = [frame for verdict in chosen for frame in verdict.frames]
                shake = float(np.mean([verdict.flicker for verdict in chosen]))
                rows.append([heads, way, *figures(frames), shake])
        for state in states():
            network = [verdict for verdict in verdicts if verdict.way == "network" and group(verdict.head) == heads]
            frames = [verdict.states[state] for verdict in network if state in verdict.states]
            if frames:
                by_state.append([heads, state, *figures(frames)])
    whole = model_card.table(["heads", "drawn by", *COLUMNS, "flicker"], rows)
    return whole + "\n\n" + model_card.table(["heads", "state", *COLUMNS], by_state)


def evaluate(folders: list[Path], weights: Path, precision: Precision = "f32") -> str:
    """The tables of `summary` over every head in `folders` that has fixed states."""
    judge = Judge(weights, precision)
    heads = sorted({path.parent for folder in folders for path in folder.glob("*/states.npz")})
    return summary([verdict for head in tqdm(heads, unit="head") for verdict in judge.head(head)])


def contact_sheet(heads: list[Path], weights: Path, precision: Precision = "f32", scale: int = 256) -> Picture:
    """Truth and network for every state, a row each per head, and below them the mouth and the eyes enlarged."""
    judge = Judge(weights, precision)
    rows = []
    for folder in heads:
        identity = load_identity(folder, folder.parent, "states")
        draw = judge.ways(identity)["network"]
        drawn = [draw(motion) for motion in identity.motions]
        for pictures in (list(identity.frames), drawn):
            rows.append([cv2.resize(p, (scale, scale), interpolation=cv2.INTER_AREA) for p in pictures])
        geometries = [face_geometry(identity.geometry, motion) for motion in identity.motions]
        for pictures in (list(identity.frames), drawn):
            mouths = [g.mouth.cut(p) for g, p in zip(geometries, pictures, strict=True)]
            eyes = [g.eyes.cut(p) for g, p in zip(geometries, pictures, strict=True)]
            rows.append([cv2.resize(p, (scale, scale), interpolation=cv2.INTER_CUBIC) for p in mouths])
            rows.append([cv2.resize(p, (scale, scale // 3), interpolation=cv2.INTER_CUBIC) for p in eyes])
    return np.vstack([np.hstack(row) for row in rows]).astype(np.uint8)


def write_card(path: Path, checkpoint: Path, tables: str, precision: str) -> None:
    """The model card of the renderer, beside its weights."""
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    record = saved["record"]
    sections = {
        "What it is": """
Two networks in ONNX: `renderer_source` encodes a portrait once, `renderer_painter` paints in every frame what the warp
by the head mesh cannot show (`networks/compact_renderer.py`). CPUs take `renderer_painter.cpu.onnx`, the same with its
convolutions in 8 bits (`build_trt/quantize.py`).""",
        "Data": f"""
{record["frames"]} frames at 512 x 512 of {record["heads"]} heads, of which {", ".join(record["shipped"])} ship;
rendered by `python -m training.studio frames` from MakeHuman's CC0 assets. 360 of the frames show those who ship and
600 another 60 heads, seed 3, with their globes (`engines.globe`) and eyeballs (`engines.eyeballs`) as when serving. The
others, of seed 2, were drawn before there were any, with a rig whose brows, noses and corners of the mouth went less
far, as their meshes know. The held-out heads, and the fixed states and the talking sequence of every head, never train.
Sources were also other frames of a head, JPEG and another light, with the mesh a pixel or two off and sometimes without
its hair, as photos come; who does not ship came in a mirror every second time; turned heads and open mouths were drawn
more often.""",
        "Training": f"""
`python -m training.fit_renderer`, no critic, four times, each beginning (`--init`) from the one before; what is
exported is the running average of the weights. First 12 600 steps on 1888 frames of 184 heads, of a network that knew
neither sketches nor the regions of the portrait, and had no block for the mouth's edges: added so that they changed
nothing at first, as was later what the painter knows of how the skin has turned (`engines.shading`). Then 12 000 steps
of 4 samples on 3608 frames of 332 heads, seed 11, peak learning rate 0.0007. Then 1000 of 4 on 1266 frames of 75 heads,
seed 21, 0.0003. Then, with the skin's turn, {saved["step"]} of {record["batch"]} on the frames above, seed
{record["seed"]}, {record["rate"]}; from about step 3450 on, surface that a turn spreads out was looked up as it is
now.""",
        "Figures": f"""
As CPUs draw, the painter in 8 bits and all else in {precision}, over the fixed states and the talking sequence. PSNR in
dB of the pooled error; GMSD is the gradient magnitude similarity deviation, a perceptual distance (0 is equal);
landmark distances are between what our own keypoint network finds in the picture and in the truth, in % of the face's
width; flicker is the second difference over time as a share of the truth's. Every head has its globe and its eyeballs.

{tables}""",
        "Limits": """
All that it has seen is CGI from one generator under studio light. Beyond 15 degrees of turn, skin and hair that the
portrait of somebody without a globe hid, a photo's, are smooth. A globe is lit as the head at rest. Hair whose mesh has
holes shows patches of what is below it, and a fold of an ear that no camera reached may take the hair's colour. Strands
that stand off are cut where the outline of turned hair is a new one; beside it, dark gaps of the portrait leave specks
on cheeks that turn by more than 15 degrees. Shut lids of people it never saw are drawn with the lashes and shadow
of those it did; photos get lids and eyes of their own (`engines.retouch`).""",
    }
    model_card.write(path, "Compact renderer", sections)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, required=True, nargs="+")
    parser.add_argument("--weights", type=Path, required=True)
    checkpoint = Path("runs/renderer/checkpoint.pt")
    parser.add_argument("--checkpoint", type=Path, default=checkpoint, help="what was exported: its record is quoted")
    parser.add_argument("--sheet", type=Path, help="draw truth and network, one above the other")
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    options = parser.parse_args()
    tables = evaluate(options.frames, options.weights, options.precision)
    print(tables)
    write_card(options.weights / "renderer.md", options.checkpoint, tables, options.precision)
    if options.sheet:
        heads = sorted({path.parent for folder in options.frames for path in folder.glob("*/states.npz")})
        cv2.imwrite(str(options.sheet), contact_sheet(heads, options.weights, options.precision)[..., ::-1])


if __name__ == "__main__":
    main()
