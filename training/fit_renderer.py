"""Train the compact renderer on the studio's frames.

    python -m training.fit_renderer --frames DIR --run DIR --steps 12000

Resumes from the newest checkpoint in the run's folder; the same seed gives the same batches.
"""

import argparse
import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from engines.flow import Window
from networks.compact_renderer import GRID, CompactRenderer, sample
from training.renderer_dataset import PICTURE_SIZE, Batch, batches, coarse_seen, load_identity
from training.studio.cast import HELD_OUT, SHIPPED


class Rendered(nn.Module):
    """The renderer as training sees it: every stage, composed, at the resolutions at which it is judged."""

    cells: Tensor
    pixels: Tensor

    def __init__(self, keypoints: int) -> None:
        super().__init__()
        self.network = CompactRenderer(keypoints)
        self.register_buffer("cells", torch.from_numpy(Window.whole(GRID).centers())[None])
        self.register_buffer("pixels", torch.from_numpy(Window.whole(PICTURE_SIZE).centers())[None])

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Pictures (B, 3, h, w): `picture`, `mouth`, `eyes` composed, and `warp_*`, the warps beneath them."""
        network = self.network
        half = torch.bfloat16
        with torch.autocast("cpu", half):
            features, identity = network.source(batch.small_source)
        features = features.float()
        grid = self.cells + batch.coarse_flow.permute(0, 2, 3, 1)
        with torch.autocast("cpu", half):
            residual, occlusion, hidden, condition = network.motion(
                features, identity, batch.keypoints_source, batch.keypoints_target, batch.coarse_flow,
                coarse_seen(batch.seen), grid,
            )  # fmt: skip
        residual = residual.float()
        flow = batch.flow + F.interpolate(residual, size=PICTURE_SIZE, mode="bilinear", align_corners=False)
        warped = sample(batch.small_source, self.pixels + flow.permute(0, 2, 3, 1))
        mouth_grid, eyes_grid = (
            window + sample(residual, at).permute(0, 2, 3, 1)
            for window, at in (
                (batch.mouth_grid, batch.mouth_centers),
                (batch.eyes_grid, batch.eyes_centers),
            )
        )
        mouth, eyes = sample(batch.source, mouth_grid), sample(batch.source, eyes_grid)
        with torch.autocast("cpu", half):
            main, mouth_layer, eyes_layer = network.painter(
                features, grid + residual.permute(0, 2, 3, 1), occlusion, hidden, condition,
                torch.cat([F.avg_pool2d(warped, 2), batch.seen], 1),
                torch.cat([mouth, batch.mouth_maps], 1), torch.cat([eyes, batch.eyes_maps], 1),
            )  # fmt: skip
        wide = F.interpolate(main.float(), size=PICTURE_SIZE, mode="bilinear", align_corners=False)
        return {
            "picture": lay(warped, wide),
            "mouth": lay(mouth, mouth_layer.float()),
            "eyes": lay(eyes, eyes_layer.float()),
            "warp_picture": warped,
            "warp_mouth": mouth,
            "warp_eyes": eyes,
        }


def lay(picture: Tensor, layer: Tensor) -> Tensor:
    """Lay a premultiplied layer (B, 4, h, w) over a picture (B, 3, h, w)."""
    return picture * (1 - layer[:, 3:]) + layer[:, :3]


def picture_loss(output: Tensor, target: Tensor) -> Tensor:
    """Charbonnier distance plus the distance of gradients at three scales, which keeps edges sharp."""
    error = output - target
    loss = (error * error + 1e-5).sqrt().mean()
    for scale in range(3):
        loss = loss + 0.8 * (error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean())
        if scale < 2:
            error = F.avg_pool2d(error, 2)
    return loss


def total_loss(rendered: dict[str, Tensor], batch: Batch) -> tuple[Tensor, dict[str, float]]:
    """The weighted sum, and its parts for the log."""
    targets = {"picture": batch.target, "mouth": batch.mouth_target, "eyes": batch.eyes_target}
    weights = {"picture": 2.0, "mouth": 1.0, "eyes": 0.8}
    parts = {name: picture_loss(rendered[name], target) for name, target in targets.items()}
    warps = {name: picture_loss(rendered[f"warp_{name}"], target) for name, target in targets.items()}
    loss = torch.stack([weights[name] * (parts[name] + 0.25 * warps[name]) for name in targets]).sum()
    return loss, {name: float(part.detach()) for name, part in parts.items()}


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Warm up over 100 steps, hold for a third, fall as a cosine to 3 %."""
    progress = max(0.0, (step / steps - 0.35) / 0.65)
    return peak * min(1.0, (step + 1) / 100) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, required=True, help="folder written by training.studio frames")
    parser.add_argument("--run", type=Path, default=Path("runs/renderer"), help="checkpoints and log")
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=1.2e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--init", type=Path, help="begin from these weights: training/checkpoints/renderer.pt")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.run.mkdir(parents=True, exist_ok=True)
    checkpoint = options.run / "checkpoint.pt"
    held_out, shipped = ({identity.id for identity in group} for group in (HELD_OUT, SHIPPED))
    folders = sorted(path.parent for path in options.frames.glob("*/source.png") if path.parent.name not in held_out)
    loading = tqdm(folders, desc="loading", unit="head")
    identities = [load_identity(folder, options.frames, "frames") for folder in loading]
    count = len(identities[0].geometry.mesh.keypoints)
    model = Rendered(count).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    step = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]
    elif options.init:
        model.load_state_dict(torch.load(options.init, weights_only=True)["model"])

    record = {
        "seed": options.seed,
        "batch": options.batch,
        "rate": options.rate,
        "heads": len(identities),
        "frames": sum(len(identity.motions) for identity in identities),
        "shipped": sorted(shipped),
    }

    def save() -> None:
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
        state |= {"keypoints": count, "record": record}
        torch.save(state, checkpoint.with_suffix(".tmp"))
        checkpoint.with_suffix(".tmp").replace(checkpoint)

    feed = batches(identities, shipped, options.batch, options.seed + step)
    saved_at = time.monotonic()
    running: dict[str, float] = {}
    with (options.run / "log.txt").open("a") as log, tqdm(total=options.steps, initial=step, unit="step") as bar:
        while step < options.steps:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, options.steps, options.rate)
            batch = next(feed)
            loss, parts = total_loss(model(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            step += 1
            bar.update()
            running = {name: 0.98 * running.get(name, part) + 0.02 * part for name, part in parts.items()}
            if step % 100 == 0:
                bar.set_postfix(running)
                print(step, *(f"{name} {value:.4f}" for name, value in running.items()), file=log, flush=True)
            if time.monotonic() - saved_at > 120:
                save()
                saved_at = time.monotonic()
    save()


if __name__ == "__main__":
    main()
