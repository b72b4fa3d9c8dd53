"""Train the audio networks: `python -m training.fit_audio --data runs/speech --run runs/audio`.

Resumable: the same command continues from the newest checkpoint. Every step draws its batch and its dropout from the
seed and its own number, so that an interrupted run and a whole one see the same data.
"""

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from engines.expression import LIP_NAMES
from networks.audio2exp import HISTORY, LOOKAHEAD_FRAMES, Audio2Exp, Head, bias_from_logits, loss_with_logits
from networks.compact_audio import CompactAudio, LogMel, grown
from training.fitting import save_checkpoint
from training.speech.batches import HISTORY_FRAMES, RESTING, Batch, draw
from training.speech.dataset import Speech
from training.speech.disguise import disguised
from training.speech.phonemes import BILABIALS, KINDS, LIKE_BILABIALS, NASALS, SYMBOLS

CHANNEL_WEIGHTS: Final = {"jawOpen": 1.5, "mouthClose": 2.5, "mouthRollLower": 1.5, "mouthSmile": 0.7}
"""What weighs more or less than 1: lips that miss a p are seen at once."""
PEAK_CHANNELS: Final = ("mouthClose", "mouthRollLower")
REST_WEIGHT: Final = 1.5
"""What a frame weighs in which the face rests, whatever is heard."""
LOOKAHEAD_WEIGHTS: Final = (0.2, 0.5, 0.3)
LOSS_WEIGHTS: Final = {
    "activation": 1.0,
    "velocity": 2.0,
    "acceleration": 1.8,
    "closure": 1.0,
    "amplitude": 10.0,
    "phones": 0.3,
    "kinds": 0.1,
}
CALIBRATION: Final = {"mouthClose": (1.0, 0.35, 0.3), "jawOpen": (1.05, 0.0, 0.0)}
"""For the exported network, by channel: slope, level, what it becomes (see `Audio2Exp.recalibrate`). Training weighs a
missed closure above a false one; this sets the balance. The jaw opens as wide as the teacher's."""
LABEL_DELAY: Final = 4
"""The sound is named this many features (20 ms) after it was heard: a head start for the classifier."""
PEAK_RATE: Final = 2e-3
HEADS_RATE: Final = 5e-4
EMA_DECAY: Final = 0.999
HEADS_EMA_DECAY: Final = 0.99
WARM_UP_STEPS: Final = 150
LOG_STEPS: Final = 100
CHECKPOINT_STEPS: Final = 500
SKIPPED_FRAMES: Final = 4
"""Frames at the start of a crop that are not judged: their past was cut off."""
_ALIKE: Final = torch.tensor([(symbol in LIKE_BILABIALS) * (1.0 + (symbol in NASALS)) for symbol in SYMBOLS])
"""How easily each sound is taken for a closure: nasals, of which speech holds three for each /m/, most of all."""
_SOUND_WEIGHTS: Final = torch.tensor([1.0 + (symbol in BILABIALS + LIKE_BILABIALS) for symbol in SYMBOLS])
_KINDS: Final = torch.tensor([next(kind for kind, all_ in enumerate(KINDS) if symbol in all_) for symbol in SYMBOLS])
_CLOSE: Final = LIP_NAMES.index("mouthClose")


class AudioModel(nn.Module):
    """What is trained together; the phone classifier only teaches and is not exported."""

    def __init__(self) -> None:
        super().__init__()
        self.features = CompactAudio()
        self.audio2exp = Audio2Exp(self.features.width)
        self.phones = nn.Linear(self.features.width, len(SYMBOLS))


@dataclass(frozen=True, slots=True)
class Lesson:
    """A `Batch` as the network hears it: `mel` float32 ``(B, bands, frames * 4)`` with `lips` and `labels`."""

    mel: Tensor
    lips: Tensor
    labels: Tensor


class Lessons(Dataset[Lesson]):
    """What every step learns from, by the number of the step."""

    def __init__(self, shards: list[Speech], seed: int, items: int, frames: int) -> None:
        self._shards, self._seed, self._items, self._frames = shards, seed, items, frames
        self._spectrum = LogMel()

    def __getitem__(self, step: int) -> Lesson:
        rng = np.random.default_rng([self._seed, step])
        return prepared(rng, draw(rng, self._shards, self._items, self._frames), self._spectrum)


@torch.no_grad()
def prepared(rng: np.random.Generator, batch: Batch, spectrum: LogMel) -> Lesson:
    """The spectra of a batch, disguised."""
    mel, _ = spectrum(torch.from_numpy(batch.pcm), spectrum.start(len(batch.pcm)))
    mel = disguised(rng, mel, spectrum.centres.numpy(), batch.labels[:, 2 * HISTORY_FRAMES :])
    return Lesson(mel, torch.from_numpy(batch.lips), torch.from_numpy(batch.labels))


def load_model(checkpoint: Path) -> tuple[AudioModel, dict[str, Any]]:
    """The networks of a checkpoint, ready to evaluate, and the record of its training."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model = AudioModel()
    model.load_state_dict(state["model"])
    return model.eval(), state["record"]


def calibrate(model: AudioModel) -> None:
    """Decide as is best to look at, where training only weighs: `CALIBRATION` on the last layers."""
    for name, (slope, level, becomes) in CALIBRATION.items():
        model.audio2exp.recalibrate(LIP_NAMES.index(name), slope, level, becomes)


def begin_from(model: AudioModel, checkpoint: Path) -> None:
    """Take over the weights of a smaller network too: what it lacks says nothing at first."""
    weights = torch.load(checkpoint, map_location="cpu", weights_only=True)["model"]
    model.load_state_dict(grown(weights, model.state_dict()))


def histories(lips: Tensor) -> Tensor:
    """The 16 frames before each frame of ``(B, K, 9)``: ``(B, K, 144)``, zeros before the first."""
    padded = F.pad(lips, (0, 0, HISTORY, 0))
    return torch.cat([padded[:, past : past + lips.shape[1]] for past in range(HISTORY)], dim=-1)


@torch.no_grad()
@torch.autocast("cpu", enabled=False)
def spoken(head: Head, heard: Tensor) -> Tensor:
    """What a head says of ``(B, K, D)``, frame after frame, in the context of what it said itself: ``(B, K, 9)``."""
    said = heard.new_zeros(len(heard), HISTORY + heard.shape[1], len(LIP_NAMES), dtype=torch.float32)
    for now, frame in enumerate(heard.float().unbind(dim=1), start=HISTORY):
        said[:, now] = bias_from_logits(head.speak(frame, said[:, now - HISTORY : now].flatten(1)))
    return said[:, HISTORY:]


def closure_loss(close: Tensor, wanted: Tensor, alike: Tensor) -> Tensor:
    """What is judged of `mouthClose` ``(B, K)``: closures show within one frame, and nothing else looks like one, least
    of all where the sound is `alike` (0 to 2)."""

    def near(x: Tensor) -> Tensor:
        return F.max_pool1d(x[:, None], 3, stride=1, padding=1)[:, 0]

    missed = F.relu(0.65 - near(close)).square() * (wanted > 0.7)
    false = F.relu(close - 0.15).square() * (near(wanted) < 0.15) * (1 + near(alike))
    return 10 * missed.mean() + 2.5 * false.mean()


def losses(model: AudioModel, lesson: Lesson, progress: float, *, heads_only: bool = False) -> dict[str, Tensor]:
    """The losses named in `LOSS_WEIGHTS` of a lesson; `progress` (0 to 1) leads from taught to own histories.

    With `heads_only` the features stay as they are.
    """
    lips, labels, items = lesson.lips, lesson.labels, len(lesson.lips)
    alike = _ALIKE[labels].reshape(items, -1, 2).amax(dim=2)
    with torch.set_grad_enabled(not heads_only):
        _, *state, _ = model.features.start(items)
        features, kinds, *_ = model.features.encode(lesson.mel, *state)
    pairs = features.reshape(items, -1, 2 * features.shape[-1])
    frames = pairs.shape[1]
    weights = torch.tensor([CHANNEL_WEIGHTS.get(name, 1.0) for name in LIP_NAMES])
    peaks = torch.tensor([1.5 * (name in PEAK_CHANNELS) for name in LIP_NAMES])
    own_share = min(1.0, 0.5 + progress)
    activation = velocity = acceleration = closure = amplitude = torch.zeros(())
    for row, (lookahead, importance) in enumerate(zip(LOOKAHEAD_FRAMES, LOOKAHEAD_WEIGHTS, strict=True)):
        head, start = model.audio2exp.head(row), HISTORY_FRAMES - lookahead
        wanted = lips[:, start : start + frames]
        heard = head.hear(pairs)
        with torch.no_grad():
            first = spoken(head, heard)
            own = torch.rand(items, frames, 1) < own_share
            past = histories(torch.where(own, first, wanted + 0.05 * torch.randn_like(wanted)))
            lost = torch.rand(items, 1, 1)  # a history that is missing or nonsense must not matter much
            past = past * (lost > 0.3) + (lost <= 0.15) * 0.5 * torch.rand_like(past)
        logits = head.speak(heard, past).float()[:, SKIPPED_FRAMES:]
        target = wanted[:, SKIPPED_FRAMES:]
        close_to_closed = alike[:, start + SKIPPED_FRAMES : start + frames]
        emphasis = weights * (1 + peaks * (target > 0.6))
        emphasis[..., _CLOSE] += CHANNEL_WEIGHTS["mouthClose"] * close_to_closed
        emphasis *= 1 + (REST_WEIGHT - 1) * (target.amax(dim=-1, keepdim=True) < RESTING)
        activation = activation + importance * (loss_with_logits(logits, target) * emphasis).mean()
        lips_shown = bias_from_logits(logits)
        speed = lips_shown.diff(dim=1) - target.diff(dim=1)
        velocity = velocity + importance * speed.square().mean()
        jolts, wanted_jolts = (lips.diff(n=2, dim=1).abs().mean(dim=1) for lips in (lips_shown, target))
        acceleration = acceleration + importance * F.relu(jolts - wanted_jolts).mean()
        closure = closure + importance * closure_loss(lips_shown[..., _CLOSE], target[..., _CLOSE], close_to_closed)
        amplitude = amplitude + importance * (lips_shown.std(dim=1) - target.std(dim=1)).square().mean()
    logits = model.phones(features[:, 2 * SKIPPED_FRAMES :]).float().transpose(1, 2)
    named = labels[:, 2 * (HISTORY_FRAMES + SKIPPED_FRAMES) - LABEL_DELAY : -LABEL_DELAY]
    phones = F.cross_entropy(logits, named, _SOUND_WEIGHTS, label_smoothing=0.05)
    return {
        "activation": activation, "velocity": velocity, "acceleration": acceleration, "closure": closure,
        "amplitude": amplitude, "phones": phones,
        "kinds": F.cross_entropy(kinds.float()[..., 2 * SKIPPED_FRAMES :], _KINDS[named]),
    }  # fmt: skip


def rate(step: int, steps: int, peak: float = PEAK_RATE) -> float:
    """Learning rate: a short warm-up, then half a cosine down to zero."""
    return peak * min(1.0, step / WARM_UP_STEPS) * 0.5 * (1 + math.cos(math.pi * step / steps))


def fit(shards: list[Speech], run: Path, options: argparse.Namespace) -> None:
    """Train up to `options.steps`, continuing from `run`/checkpoint.pt; the losses go to `run`/log.jsonl."""
    torch.manual_seed(options.seed)
    model = AudioModel()
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.01, fused=True)
    record: dict[str, Any] = {
        "seed": options.seed, "step": 0, "steps": options.steps, "seconds": 0.0, "items": options.items,
        "frames": options.frames, "bfloat16": options.bfloat16, "rate": options.rate,
        "heads_from": options.heads_from, "init": str(options.init or ""),
        "hours of speech": sum(shard.seconds for shard in shards) / 3600,
    }  # fmt: skip
    checkpoint = run / "checkpoint.pt"
    mean = AudioModel()
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["trained"])
        mean.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        record |= {name: state["record"][name] for name in ("step", "seconds")}
    else:
        if options.init:
            begin_from(model, options.init)
        mean.load_state_dict(model.state_dict())
    average: dict[str, float] = {}
    started = time.monotonic() - record["seconds"]
    steps = range(record["step"], options.steps)
    lessons = DataLoader(
        Lessons(shards, options.seed, options.items, options.frames),
        batch_size=None,
        sampler=steps,
        num_workers=options.workers,
    )
    bar = tqdm(zip(steps, lessons, strict=True), initial=record["step"], total=options.steps)
    for step, lesson in bar:
        torch.manual_seed(options.seed * 1_000_003 + step)
        heads_only = 0 < options.heads_from <= step
        for group in optimizer.param_groups:
            if heads_only:
                group["lr"] = rate(step - options.heads_from, options.steps - options.heads_from, HEADS_RATE)
            else:
                group["lr"] = rate(step, options.heads_from or options.steps, options.rate)
        model.train()
        model.features.train(not heads_only)  # what the heads hear at last is what they will hear
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
            parts = losses(model, lesson, step / options.steps, heads_only=heads_only)
        loss = sum((LOSS_WEIGHTS[name] * part for name, part in parts.items()), torch.zeros(()))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
        with torch.no_grad():  # the mean of the recent weights errs less than the last ones
            trust = 1 - min(HEADS_EMA_DECAY if heads_only else EMA_DECAY, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(mean.parameters()), list(model.parameters()), trust)
        for name, value in parts.items():
            average[name] = 0.98 * average.get(name, value.item()) + 0.02 * value.item()
        record |= {"step": step + 1, "seconds": time.monotonic() - started, "losses": dict(average)}
        if (step + 1) % LOG_STEPS == 0 or step + 1 == options.steps:
            bar.set_postfix({name: f"{value:.4f}" for name, value in average.items()})
            with (run / "log.jsonl").open("a") as log:
                log.write(json.dumps(record) + "\n")
        if (step + 1) % CHECKPOINT_STEPS == 0 or step + 1 == options.steps:
            state = {
                "model": mean.state_dict(), "trained": model.state_dict(), "optimizer": optimizer.state_dict(),
                "record": record,
            }  # fmt: skip
            save_checkpoint(state, checkpoint)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.fit_audio", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/speech"), help="shards of `training.speech generate`")
    parser.add_argument("--run", type=Path, default=Path("runs/audio"), help="folder of the checkpoint and the log")
    parser.add_argument("--steps", type=int, default=16_000)
    parser.add_argument("--rate", type=float, default=PEAK_RATE, help="greatest learning rate")
    parser.add_argument("--init", type=Path, help="begin from these weights: training/checkpoints/audio.pt")
    parser.add_argument("--heads-from", type=int, default=0, help="from this step on (0: never) the features stay")
    parser.add_argument("--items", type=int, default=4, help="crops in a batch")
    parser.add_argument("--frames", type=int, default=200, help="length of a crop in frames of 40 ms")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that prepare batches, or 0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bfloat16", action="store_true", help="mixed precision: faster where the CPU has it")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    paths = sorted(options.data.glob("train-*.npz"))
    if not paths:
        raise SystemExit(f"no shards in {options.data}: run `python -m training.speech generate --data {options.data}`")
    options.run.mkdir(parents=True, exist_ok=True)
    fit([Speech.load(path) for path in tqdm(paths, desc="reading speech")], options.run, options)


if __name__ == "__main__":
    main()
