"""Teach `NasalDoubt` to hear nasals after vowels: `python -m training.fit_doubt --data runs/speech`.

The features stay as they are, and one layer learns on what `training.fit_audio` learns from. A checkpoint that lacks
the layer gets it; all of it is written again in half precision.
"""

import argparse
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from networks.audio2exp import FEATURES_PER_FRAME, LOOKAHEAD_FRAMES
from networks.compact_audio import HUMS, NasalDoubt
from training.fit_audio import SKIPPED_FRAMES, AudioModel, Lessons, begin_from
from training.fitting import save_checkpoint
from training.speech.batches import HISTORY_FRAMES
from training.speech.dataset import Speech
from training.speech.phonemes import NASALS, SYMBOLS, VOWELS

M, OTHER, NONE = range(HUMS)
_OPEN: Final = torch.tensor([symbol in VOWELS + "jwɥɹl" for symbol in SYMBOLS])
"""What a nasal may follow: vowels, and what sounds like one."""
_HUM: Final = torch.tensor([M if symbol == "m" else OTHER if symbol in NASALS else NONE for symbol in SYMBOLS])
RATE: Final = 3e-3
ITEMS, FRAMES = 8, 200


def hums(labels: Tensor) -> Tensor:
    """Which nasal sounds after a vowel, of `HUMS`, in each frame ``(B, n)`` of `labels` ``(B, 2 n)`` or next to it."""
    after, steps = torch.zeros(len(labels), dtype=torch.bool), []
    for sound in labels.unbind(dim=1):
        hum = _HUM[sound]
        after = torch.where(hum == NONE, _OPEN[sound], after)
        steps.append(torch.where(after, hum, NONE))
    first, second = torch.stack(steps, dim=1).unflatten(1, (-1, FEATURES_PER_FRAME)).unbind(dim=2)
    here = torch.where(first == NONE, second, first)
    before, behind = F.pad(here, (1, 1), value=NONE).unfold(1, 3, 1)[..., [0, 2]].unbind(dim=2)
    return torch.where(here == NONE, torch.where(behind == NONE, before, behind), here)


@torch.no_grad()
def heard(model: AudioModel, lessons: Lessons, count: int) -> tuple[Tensor, Tensor]:
    """The last feature of every frame of so many lessons ``(n, width)``, and what each view should hear in it
    ``(n, views)``."""
    features, wanted = [], []
    for step in tqdm(range(count), desc="hearing"):
        lesson = lessons[step]
        _, *state, _ = model.features.start(len(lesson.mel))
        last = model.features.encode(lesson.mel, *state)[0][:, FEATURES_PER_FRAME - 1 :: FEATURES_PER_FRAME]
        sounds = hums(lesson.labels)
        starts = [HISTORY_FRAMES - lookahead for lookahead in LOOKAHEAD_FRAMES]
        views = torch.stack([sounds[:, start : start + last.shape[1]] for start in starts], dim=2)
        features.append(last[:, SKIPPED_FRAMES:].flatten(0, 1))
        wanted.append(views[:, SKIPPED_FRAMES:].flatten(0, 1))
    return torch.cat(features), torch.cat(wanted)


def fit(doubt: NasalDoubt, features: Tensor, wanted: Tensor, epochs: int, seed: int) -> float:
    """Let `doubt` hear what is `wanted`; the loss at the end."""
    torch.manual_seed(seed)
    nn.init.zeros_(doubt.hum.weight)
    nn.init.zeros_(doubt.hum.bias)
    optimizer = torch.optim.AdamW(doubt.parameters(), lr=RATE, weight_decay=0.01)

    def loss(some: Tensor) -> Tensor:
        return F.cross_entropy(doubt.logits(features[some, None]).flatten(0, 2), wanted[some].flatten())

    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - epoch / epochs)
        for some in torch.randperm(len(features)).split(512):
            optimizer.zero_grad()
            loss(some).backward()
            optimizer.step()
    with torch.no_grad():
        return loss(torch.arange(len(features))).item()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.fit_doubt", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/speech"), help="shards of `training.speech generate`")
    parser.add_argument("--checkpoint", type=Path, default=Path("training/checkpoints/audio.pt"))
    parser.add_argument("--out", type=Path, help="where the result goes; default: the checkpoint itself")
    parser.add_argument("--shards", type=int, default=8, help="how many of the shards are heard")
    parser.add_argument("--lessons", type=int, default=80)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    paths = sorted(options.data.glob("train-*.npz"))[: options.shards]
    if not paths:
        raise SystemExit(f"no shards in {options.data}: run `python -m training.speech generate --data {options.data}`")
    model = AudioModel().eval()
    begin_from(model, options.checkpoint)
    lessons = Lessons([Speech.load(path) for path in paths], options.seed, ITEMS, FRAMES)
    features, wanted = heard(model, lessons, options.lessons)
    lost = fit(model.features.doubt, features, wanted, options.epochs, options.seed)
    record: dict[str, Any] = torch.load(options.checkpoint, map_location="cpu", weights_only=True)["record"]
    record["doubt"] = {"seed": options.seed, "hours": len(features) / 25 / 3600, "loss": lost}
    weights = {name: weight.half() for name, weight in model.state_dict().items()}
    save_checkpoint({"model": weights, "record": record}, options.out or options.checkpoint)
    print(f"{len(features)} frames, loss {lost:.4f}")


if __name__ == "__main__":
    main()
