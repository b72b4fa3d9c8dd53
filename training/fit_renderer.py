"""Train the compact renderer on the studio's frames.

    python -m training.fit_renderer --frames DIR --run DIR --steps 12000

Resumes from the newest checkpoint in the run's folder; the same seed gives the same batches.
"""

import argparse
import copy
import time
from collections import Counter
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from networks.compact_renderer import CompactRenderer
from training.critic import Critics
from training.fitting import learning_rate, save_checkpoint
from training.renderer_dataset import PICTURE_SIZE, Batch, Identity, batches, load_identity
from training.studio.cast import HELD_OUT, SHIPPED

CRITIC_WEIGHT = 0.01
"""Of what the critics ask of mouth and eyes, beside the distance from the truth."""
LOOK_AGAIN = 300.0
"""Seconds after which frames are looked for that were written meanwhile."""
AVERAGE_DECAY = 0.998
"""What is exported is the running average of the weights over about 500 steps."""


class Heads:
    """The heads in the `roots` of the studio's frames, but for the `excluded`, while they are being written."""

    def __init__(self, roots: list[Path], excluded: set[str]) -> None:
        self._roots, self._excluded = roots, excluded
        self._shards: dict[Path, int] = {}
        self._loaded: dict[Path, Identity] = {}

    def look(self) -> bool:
        """Load who is new or has new frames; returns whether anybody has."""
        folders = sorted(path.parent for root in self._roots for path in root.glob("*/frames_*.npz"))
        shards = {folder: count for folder, count in Counter(folders).items() if folder.name not in self._excluded}
        changed = [folder for folder, count in shards.items() if self._shards.get(folder) != count]
        for folder in tqdm(changed, desc="loading", unit="head"):
            self._loaded[folder] = load_identity(folder, folder.parent, "frames")
        self._shards = shards
        return bool(changed)

    def identities(self) -> list[Identity]:
        return list(self._loaded.values())


def compose(network: CompactRenderer, batch: Batch) -> dict[str, Tensor]:
    """What the network shows: `picture`, `mouth` and `eyes` (B, 3, h, w) in [0, 1]."""
    with torch.autocast("cpu", torch.bfloat16):
        identity = network.source(batch.source)
        main, mouth, eyes = network.painter(identity, batch.keypoints, batch.main, batch.mouth, batch.eyes)
    wide = F.interpolate(unfold_layer(main), size=PICTURE_SIZE, mode="bilinear", align_corners=False)
    return {
        "picture": lay(batch.warped, wide),
        "mouth": lay(batch.warped_mouth, unfold_layer(mouth)),
        "eyes": lay(batch.warped_eyes, unfold_layer(eyes)),
    }


def unfold_layer(folded: Tensor) -> Tensor:
    """(B, h, w, 16) to (B, 4, 2h, 2w): premultiplied colour and mask, as `engines.layers.unfold`."""
    count, height, width, _ = folded.shape
    cells = folded.float().view(count, height, width, 2, 2, 4).permute(0, 5, 1, 3, 2, 4)
    layer = cells.reshape(count, 4, 2 * height, 2 * width)
    return torch.cat([layer[:, :3], torch.sigmoid(layer[:, 3:])], 1)


def lay(picture: Tensor, layer: Tensor) -> Tensor:
    """Lay a premultiplied layer (B, 4, h, w) over a picture (B, 3, h, w)."""
    return picture * (1 - layer[:, 3:]) + layer[:, :3]


def picture_loss(output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Charbonnier and squared distance plus the distance of gradients at three scales, which keeps edges sharp; errors
    count as `weight` (B, 1, h, w) says."""
    error = output - target
    if weight is not None:
        error = error * weight
    square = error * error
    loss = (square + 1e-5).sqrt().mean() + 12 * square.mean()
    for scale in range(3):
        loss = loss + 0.8 * (error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean())
        if scale < 2:
            error = F.avg_pool2d(error, 2)
    return loss


def total_loss(shown: dict[str, Tensor], batch: Batch) -> tuple[Tensor, dict[str, float]]:
    """The weighted sum, and its parts for the log."""
    parts = {
        "picture": picture_loss(shown["picture"], batch.target, batch.weight),
        "mouth": picture_loss(shown["mouth"], batch.target_mouth),
        "eyes": picture_loss(shown["eyes"], batch.target_eyes),
    }
    weights = {"picture": 2.0, "mouth": 2.5, "eyes": 0.8}
    loss = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
    return loss, {name: float(part.detach()) for name, part in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, required=True, nargs="+", help="written by training.studio frames")
    parser.add_argument("--run", type=Path, default=Path("runs/renderer"), help="checkpoints and log")
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=1.2e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--init", type=Path, help="begin from these weights: training/checkpoints/renderer.pt")
    parser.add_argument("--critic-from", type=int, help="step from which mouth and eyes also please a critic")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.run.mkdir(parents=True, exist_ok=True)
    checkpoint = options.run / "checkpoint.pt"
    held_out, shipped = ({identity.id for identity in group} for group in (HELD_OUT, SHIPPED))
    heads = Heads(options.frames, held_out)
    heads.look()
    count = len(heads.identities()[0].geometry.mesh.keypoints)
    model = CompactRenderer(count).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    critics = Critics(("mouth", "eyes"))
    step = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        critics.critics.load_state_dict(saved["critics"])
        step = saved["step"]
    elif options.init:
        for network in (model, average):
            network.load_state_dict(torch.load(options.init, weights_only=True)["average"])

    def save() -> None:
        state = {
            "model": model.state_dict(),
            "average": average.state_dict(),
            "optimizer": optimizer.state_dict(),
            "critics": critics.critics.state_dict(),
            "step": step,
            "keypoints": count,
            "record": {
                "seed": options.seed,
                "batch": options.batch,
                "rate": options.rate,
                "heads": len(heads.identities()),
                "frames": sum(len(identity.motions) for identity in heads.identities()),
                "shipped": sorted(shipped),
            },
        }
        save_checkpoint(state, checkpoint)

    feed = batches(heads.identities(), shipped, options.batch, options.seed + step)
    looked_at = saved_at = time.monotonic()
    running: dict[str, float] = {}
    with (options.run / "log.txt").open("a") as log, tqdm(total=options.steps, initial=step, unit="step") as bar:
        while step < options.steps:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, options.steps, options.rate, floor=0.005)
            batch = next(feed)
            shown = compose(model, batch)
            loss, parts = total_loss(shown, batch)
            if options.critic_from is not None and step >= options.critic_from:
                praise, parts["critic"] = critics.learn(shown, {"mouth": batch.target_mouth, "eyes": batch.target_eyes})
                loss = loss + CRITIC_WEIGHT * praise
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            decay = min(AVERAGE_DECAY, step / (step + 10))
            for kept, new in zip(average.parameters(), model.parameters(), strict=True):
                kept.lerp_(new.detach(), 1 - decay)
            step += 1
            bar.update()
            running = {name: 0.98 * running.get(name, part) + 0.02 * part for name, part in parts.items()}
            if step % 100 == 0:
                bar.set_postfix(running)
                print(step, *(f"{name} {value:.4f}" for name, value in running.items()), file=log, flush=True)
            if time.monotonic() - saved_at > 120:
                save()
                saved_at = time.monotonic()
            if time.monotonic() - looked_at > LOOK_AGAIN:
                if heads.look():
                    feed = batches(heads.identities(), shipped, options.batch, options.seed + step)
                looked_at = time.monotonic()
    save()


if __name__ == "__main__":
    main()
