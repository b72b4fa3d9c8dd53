"""Train the keypoint network on the studio's heads.

    python -m training.fit_landmarks --frames runs/landmarks/frames --assets DATA --steps 3000

The first `HELD_OUT` heads never train. Resumes from the checkpoint in the run's folder, with whatever heads are there
by then; the same seed and heads give the same batches.
"""

import argparse
import copy
import time
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from engines.landmarks import TRACKED
from networks.landmarks import HEAT_SIZE, Landmarks
from training.fitting import learning_rate, save_checkpoint
from training.landmark_batches import Batch, Heads, batches
from training.landmark_distractors import load_distractors

HELD_OUT: Final = 20
SPOT: Final = 1.2
"""Standard deviation of the heat maps' targets, cells."""
AVERAGING: Final = 0.998
"""Share of the old weights that the average keeps in a step."""


def losses(network: Landmarks, batch: Batch) -> dict[str, Tensor]:
    """What is minimised, each weighted: `heat`, the cross-entropy of the heat maps with a spot at the point; `point`,
    the distance of their expectation; `doubt`, the Laplace likelihood of that distance; `presence`."""
    with torch.autocast("cpu", torch.bfloat16):
        heat, doubt, presence = network.maps(batch.crops.contiguous(memory_format=torch.channels_last))
    counts = (batch.points.abs() < 0.985).all(2) * batch.present[:, None]
    total = counts.sum().clamp(min=1)
    heat, doubt = heat.float(), doubt.float()
    spread = SPOT * 2 / HEAT_SIZE
    x, y = (torch.exp(-(((network.cells - batch.points[..., k, None]) / spread) ** 2) / 2) for k in (0, 1))
    spots = y[..., :, None] * x[..., None, :]
    spots = spots / spots.sum((2, 3), keepdim=True).clamp(min=1e-6)
    entropy = -(heat.flatten(2).log_softmax(2) * spots.flatten(2)).sum(2)
    distance = (network.points(heat) - batch.points).abs().sum(2)
    likelihood = distance.detach() / 2 / doubt.exp() + doubt
    return {
        "heat": 0.1 * (entropy * counts).sum() / total,
        "point": 5 * (distance * counts).sum() / total,
        "doubt": 0.1 * (likelihood * counts).sum() / total,
        "presence": F.binary_cross_entropy_with_logits(presence.float(), batch.present),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, required=True, help="folder written by training.landmark_dataset")
    parser.add_argument("--assets", type=Path, required=True, help="MakeHuman's data folder: textures without a face")
    parser.add_argument("--run", type=Path, default=Path("runs/landmarks"), help="checkpoint and log")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--init", type=Path, help="begin from these weights: training/checkpoints/landmarks.pt")
    options = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    options.run.mkdir(parents=True, exist_ok=True)
    checkpoint = options.run / "checkpoint.pt"
    files = sorted(options.frames.glob("head_*.npz"))[HELD_OUT:]
    heads = Heads.load(files)
    network = Landmarks(len(TRACKED)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=1e-3)
    step = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(saved["network"])
        average.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]
    elif options.init:
        for model in (network, average):
            model.load_state_dict(torch.load(options.init, weights_only=True)["model"])

    def save() -> None:
        record = {"seed": options.seed, "batch": options.batch, "rate": options.rate, "heads": len(files)}
        state = {"model": average.state_dict(), "network": network.state_dict(), "optimizer": optimizer.state_dict()}
        save_checkpoint(state | {"step": step, "record": record}, checkpoint)

    feed = batches(heads, load_distractors(options.assets), options.batch, options.seed + step)
    saved_at = time.monotonic()
    running: dict[str, float] = {}
    with (options.run / "log.txt").open("a") as log, tqdm(total=options.steps, initial=step, unit="step") as bar:
        while step < options.steps:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, options.steps, options.rate, floor=0.02)
            parts = losses(network, next(feed))
            optimizer.zero_grad()
            torch.stack(list(parts.values())).sum().backward()
            seen = {name: float(part.detach()) for name, part in parts.items()}
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            step += 1
            keep = min(AVERAGING, step / (step + 10))
            with torch.no_grad():
                for slow, fast in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
                    slow.copy_(slow * keep + fast * (1 - keep) if slow.is_floating_point() else fast)
            bar.update()
            running = {name: 0.98 * running.get(name, part) + 0.02 * part for name, part in seen.items()}
            if step % 50 == 0:
                bar.set_postfix(running)
                print(step, *(f"{name} {value:.4f}" for name, value in running.items()), file=log, flush=True)
            if time.monotonic() - saved_at > 90:
                save()
                saved_at = time.monotonic()
    save()


if __name__ == "__main__":
    main()
