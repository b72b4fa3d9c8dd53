"""Judge the exported keypoint network, as it serves, on heads that never trained, and write its model card.

    python -m training.evaluate_landmarks --frames runs/landmarks/frames --assets DATA

Errors are distances from the truth in % of the distance between the middles of the eyes. Every frame is looked at as
it was rendered and, once more, degraded as in training; the search begins from a crop that is off by up to a tenth.
"""

import argparse
import time
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from engines.expression import FloatArray
from engines.landmarks import CROP_SIZE, TRACKED_NAMES, WEIGHTS, Crop, Face, LandmarkFinder, cut
from engines.openvino_backend import OpenVinoBackend
from training import model_card
from training.fit_landmarks import HELD_OUT
from training.landmark_batches import Heads, degrade, make_sample
from training.landmark_distractors import load_distractors

GROUPS: Final = {
    "lids": ("lid",),
    "irises": ("iris",),
    "brows": ("brow",),
    "nose": ("nose", "alar"),
    "lips": ("lip", "mouth"),
    "chin and jaw": ("chin", "outline_left_3", "outline_right_3", "outline_left_4", "outline_right_4"),
    "all": ("",),
}
LOST: Final = 0.15
"""Mean error, in distances between the eyes, beyond which a face counts as lost."""


def errors(face: Face, truth: FloatArray) -> NDArray[np.float64]:
    """Error of each point (P,) in distances between the eyes of the truth."""
    eyes = Face(truth, face.doubt, 1.0).eye_distance
    return np.asarray(np.linalg.norm(face.points - truth, axis=1) / eyes, np.float64)


def judge(finder: LandmarkFinder, heads: Heads, degraded: bool, seed: int = 0) -> tuple[dict[str, float], float]:
    """Mean error in % by group over the faces that are not lost, and the share that is."""
    rng = np.random.default_rng(seed)
    found = []
    for image, points in zip(tqdm(heads.images, unit="frame"), heads.points, strict=True):
        picture = image
        if degraded:  # at the size at which training degrades
            picture, points = _degraded(rng, image, points)
        fitting = Crop.around(points)
        shift = rng.uniform(-0.1, 0.1, 2) * fitting.side
        face = finder.settle(picture, Crop(fitting.x + shift[0], fitting.y + shift[1], fitting.side))
        found.append(errors(face, points) if face else np.full(len(points), np.inf))
    every = np.stack(found)
    lost = every.mean(1) > LOST
    rows = {
        group: [row for row, name in enumerate(TRACKED_NAMES) if name.startswith(stems)]
        for group, stems in GROUPS.items()
    }
    return {group: 100 * float(every[~lost][:, rows[group]].mean()) for group in rows}, float(lost.mean())


def _degraded(
    rng: np.random.Generator, image: NDArray[np.uint8], points: FloatArray
) -> tuple[NDArray[np.uint8], FloatArray]:
    fitting = Crop.around(points)
    crop = Crop(fitting.x, fitting.y, fitting.side * 1.2)
    inside = crop.to_crop(points)
    return degrade(rng, cut(image, crop, CROP_SIZE), inside), np.asarray((inside + 1) * CROP_SIZE / 2, np.float32)


def false_faces(finder: LandmarkFinder, heads: Heads, assets: Path, count: int = 400) -> float:
    """Share of crops without a face in which one is found."""
    rng = np.random.default_rng(1)
    distractors = load_distractors(assets)
    wrong = seen = 0
    while seen < count:
        index = rng.integers(len(heads.images))
        picture, _, present = make_sample(rng, heads.images[index], heads.points[index], distractors)
        if not present:
            seen += 1
            wrong += finder.settle(picture, Crop(CROP_SIZE / 2, CROP_SIZE / 2, CROP_SIZE)) is not None
    return wrong / seen


def milliseconds(finder: LandmarkFinder) -> float:
    """Median time of one look."""
    picture, crop = np.zeros((256, 256, 3), np.uint8), Crop(128, 128, 200)
    times = []
    for _ in range(60):
        begun = time.perf_counter()
        finder.look(picture, crop)
        times.append(time.perf_counter() - begun)
    return 1000 * float(np.median(times))


def evaluate(frames: Path, assets: Path, weights: Path = WEIGHTS) -> str:
    """The card's figures, on the held-out heads among `frames`."""
    finder = LandmarkFinder(OpenVinoBackend("f32"), weights)
    heads = Heads.load(sorted(frames.glob("head_*.npz"))[:HELD_OUT])
    rows: list[list[object]] = []
    for name, degraded in (("as rendered", False), ("degraded", True)):
        means, lost = judge(finder, heads, degraded)
        rows.append([name, *means.values(), f"{lost:.1%}"])
    table = model_card.table(["held-out frames", *GROUPS, "lost"], rows)
    wrong = false_faces(finder, heads, assets)
    return f"""
Mean error in % of the distance between the eyes, over {len(heads.images)} frames of {HELD_OUT} held-out heads; a face
is lost when it is not told as one or when its mean error is beyond {LOST:.0%}.

{table}

In {wrong:.1%} of crops without a face one is found. One look takes {milliseconds(finder):.1f} ms on one core (float32,
measured on a busy machine); a photo of 512 x 512 takes about 250 looks."""


def write_card(path: Path, record: dict[str, object], step: int, figures: str) -> None:
    """The model card beside the weights."""
    sections = {
        "What it is": """
One network in ONNX (weights in half precision): a crop of 128 x 128 pixels to 122 keypoints of the head mesh, the
expected error of each, and whether a face fills the crop (`networks/landmarks.py`). It serves once per photo, when
an avatar is made of it; nothing in a call depends on it.""",
        "Data": f"""
{record["heads"]} random heads of the studio with 8 frames each at 256 x 256 (`python -m training.landmark_dataset`,
seeds from {HELD_OUT} on), from MakeHuman's CC0 assets: any expression, many smiles, heads turned up to 25 degrees and
sometimes 43, lenses from 9 to 40 degrees. Drawn over them at the known keypoints: beards, glasses, hats, hair, things
in the way; then textures, light, colours, contrast, blur, noise and JPEG beyond what cameras do
(`training/landmark_batches.py`). No photograph was used. The first {HELD_OUT} heads never train.""",
        "Training": f"""
`python -m training.fit_landmarks`, seed {record["seed"]}, {step} steps of {record["batch"]} crops, peak learning rate
{record["rate"]}, on one shared core. It was stopped and resumed with other lengths of the schedule, and crops without a
face became more varied after step 850.""",
        "Figures": figures,
        "Limits": """
All that it has learnt from is computer-generated; on photographs it was judged by eye, on the few that test packages
ship. On scikit-image's astronaut, a face 122 pixels high, seven points that were read off by eye lie 7.6 % of the eyes'
distance from those found (irises 8 to 10 %, which is 4 pixels too high there). Points without a texture of their own
(forehead, jaw and ears under hair) are guesses. It fits a face with a hand before the mouth as if the hand were not
there; a mask is noticed by its colour alone (`engines.portrait.mouth_redness`). It finds faces, it does not recognise
anybody.""",
    }
    model_card.write(path, "Keypoints", sections)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--assets", type=Path, required=True, help="MakeHuman's data folder")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    checkpoint = Path("runs/landmarks/checkpoint.pt")
    parser.add_argument("--checkpoint", type=Path, default=checkpoint, help="what was exported: its record is quoted")
    options = parser.parse_args()

    figures = evaluate(options.frames, options.assets, options.weights)
    print(figures)
    saved = torch.load(options.checkpoint, map_location="cpu", weights_only=True)
    write_card(options.weights / "landmarks.md", saved["record"], saved["step"], figures)


if __name__ == "__main__":
    main()
