"""Judge the exported renderer, as it serves, on frames that it never trained on.

    python -m training.evaluate_renderer --frames DIR --weights engines/assets/weights --sheet sheet.png

For every head with `states_*` and `sequence_*` frames: PSNR and SSIM over the picture, the mouth and the eyes, and the
error of the frame-to-frame change, beside two baselines: the source unchanged, and the warp without a network.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from engines.expression import FloatArray
from engines.face_geometry import face_geometry
from engines.media import Motion
from engines.openvino_backend import OpenVinoBackend
from engines.renderer import Renderer, Source, SourceCache, warp
from training import model_card
from training.renderer_dataset import Identity, load_identity
from training.studio.cast import SHIPPED

Picture = NDArray[np.uint8]


def structural_similarity(first: Picture, second: Picture) -> float:
    """SSIM over luma with a Gaussian window of sigma 1.5 (Wang et al., 2004)."""
    a, b = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) for picture in (first, second))

    def blur(image: FloatArray) -> FloatArray:
        return np.asarray(cv2.GaussianBlur(image, (11, 11), 1.5))

    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    )
    return float(similarity.mean())


def decibels(errors: list[float]) -> float:
    """PSNR of the pooled squared error."""
    return float(10 * np.log10(255**2 / max(float(np.mean(errors)), 1e-9)))


def squared_error(first: Picture, second: Picture) -> float:
    return float(((first.astype(np.float32) - second.astype(np.float32)) ** 2).mean())


def judge(identity: Identity, draw: Callable[[Motion], Picture], sequence: int) -> dict[str, float]:
    """Figures of one way to draw, over every frame of `identity`; the last `sequence` frames are consecutive."""
    whole: list[float] = []
    mouth: list[float] = []
    eyes: list[float] = []
    similar: list[float] = []
    drawn = []
    for truth, motion in zip(identity.frames, identity.motions, strict=True):
        picture = draw(motion)
        drawn.append(picture)
        geometry = face_geometry(identity.geometry, motion)
        whole.append(squared_error(picture, truth))
        mouth.append(squared_error(geometry.mouth.cut(picture), geometry.mouth.cut(truth)))
        eyes.append(squared_error(geometry.eyes.cut(picture), geometry.eyes.cut(truth)))
        similar.append(structural_similarity(picture, truth))
    change = np.diff(np.stack(drawn[-sequence:]).astype(np.float32), axis=0)
    true_change = np.diff(identity.frames[-sequence:].astype(np.float32), axis=0)
    return {
        "PSNR": decibels(whole),
        "SSIM": float(np.mean(similar)),
        "mouth PSNR": decibels(mouth),
        "eyes PSNR": decibels(eyes),
        "error of change": float(np.abs(change - true_change).mean()),
    }


def ways_to_draw(identity: Identity, source: Source, renderer: Renderer) -> dict[str, Callable[[Motion], Picture]]:
    """The network and its baselines, by name."""

    def unchanged(motion: Motion) -> Picture:
        return identity.source

    def mesh_warp(motion: Motion) -> Picture:
        return warp(source.atlas, face_geometry(source.geometry, motion))

    def network(motion: Motion) -> Picture:
        return renderer.render(source, motion)

    return {"source unchanged": unchanged, "mesh warp": mesh_warp, "network": network}


def contact_sheet(rows: list[list[Picture]], scale: int = 256) -> Picture:
    """Tile pictures, one row per list."""
    small = [[cv2.resize(p, (scale, scale), interpolation=cv2.INTER_AREA) for p in row] for row in rows]
    return np.vstack([np.hstack(row) for row in small]).astype(np.uint8)


def write_card(path: Path, checkpoint: Path, figures: str, precision: str) -> None:
    """The model card of the renderer, beside its weights."""
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    record = saved["record"]
    sections = {
        "What it is": """
Three networks in ONNX: `renderer_source` encodes a portrait once, `renderer_motion` corrects the mesh's flow in every
frame, `renderer_painter` repaints what the warp cannot show (`networks/compact_renderer.py`).""",
        "Data": f"""
{record["frames"]} frames at 512 x 512 of {record["heads"]} heads, of which {", ".join(record["shipped"])} ship;
rendered by `python -m training.studio frames` with seed 1 from MakeHuman's CC0 assets. The held-out heads, and the
fixed states and the talking sequence of every head, never train.""",
        "Training": f"""
`python -m training.fit_renderer`, seed {record["seed"]}, {saved["step"]} steps of {record["batch"]} samples, peak
learning rate {record["rate"]}. It was resumed while frames were being added: the first steps saw fewer heads.
Up to step 7500 the windows of mouth and eyes were larger (128 x 128 and 224 x 80 pixels).""",
        "Figures": f"""
In {precision}, over the fixed states and the talking sequence. PSNR in dB of the pooled error; the error of change is
the mean absolute error of the difference between successive frames, in levels of 255.

{figures}""",
        "Limits": """
Heads turned by more than about 15 degrees smear hair and ears, which are not in the mesh. All that it has seen is CGI
from one generator under studio light; photographs are untested. There was no adversarial training yet, so fine texture
that the warp cannot carry over is soft.""",
    }
    model_card.write(path, "Compact renderer", sections)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    checkpoint = Path("runs/renderer/checkpoint.pt")
    parser.add_argument("--checkpoint", type=Path, default=checkpoint, help="what was exported: its record is quoted")
    parser.add_argument("--sheet", type=Path, help="draw truth, network and warp side by side")
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    options = parser.parse_args()

    backend = OpenVinoBackend(options.precision)
    sources, renderer = SourceCache(backend, options.weights), Renderer(backend, options.weights)
    rows: list[list[Picture]] = []
    groups: dict[tuple[str, str], list[dict[str, float]]] = {}
    folders = sorted({path.parent for path in options.frames.glob("*/states.npz")})
    for folder in tqdm(folders, unit="head"):
        identity = load_identity(folder, options.frames, "states", "sequence")
        states = len(load_identity(folder, options.frames, "states").motions)
        source = sources.encode(identity.source, identity.geometry)
        ways = ways_to_draw(identity, source, renderer)
        group = "shipped" if identity.name in {shipped.id for shipped in SHIPPED} else "held out"
        for way, draw in ways.items():
            groups.setdefault((group, way), []).append(judge(identity, draw, len(identity.motions) - states))
        rows.append(list(identity.frames[:states]))
        rows += [[ways[way](motion) for motion in identity.motions[:states]] for way in ("network", "mesh warp")]
    rows_of_figures = []
    for (group, way), figures in sorted(groups.items()):
        rows_of_figures.append([group, way, *(float(np.mean([f[name] for f in figures])) for name in figures[0])])
    figures_table = model_card.table(["heads", "drawn by", *next(iter(groups.values()))[0]], rows_of_figures)
    print(figures_table)
    write_card(options.weights / "renderer.md", options.checkpoint, figures_table, options.precision)
    if options.sheet:
        cv2.imwrite(str(options.sheet), contact_sheet(rows)[..., ::-1])


if __name__ == "__main__":
    main()
