"""Speech to learn from: `python -m training.speech generate` and `python -m training.speech say`."""

import argparse
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from engines.media import SPEECH_RATE
from training.speech import augment, synthesizers
from training.speech.dataset import EVALUATION_VOICES, TRAINING_VOICES, write_shard
from training.speech.phonemes import closure
from training.speech.texts import load


def _generate(options: argparse.Namespace) -> None:
    """Write the missing shards of the training set and the evaluation sets."""
    texts = options.data / "texts.json"
    load(texts)
    jobs = [(f"train-{index:02d}", options.shard_minutes, TRAINING_VOICES) for index in range(options.shards)]
    jobs += [(f"test-{name}", options.test_minutes, {voice: 1.0}) for name, voice in EVALUATION_VOICES.items()]
    missing = [job for job in jobs if not (options.data / f"{job[0]}.npz").exists()]
    # espeak-ng remembers what it said before: a shard is the same again only from a fresh process.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, context, max_tasks_per_child=1) as pool:
        work = [
            pool.submit(write_shard, options.data / f"{name}.npz", texts, minutes, shares, options.seed)
            for name, minutes, shares in missing
        ]
        for shard in (bar := tqdm(as_completed(work), total=len(work), unit="shard")):
            bar.set_description(shard.result())


def _say(options: argparse.Namespace) -> None:
    """Speak one text to a 16-bit WAV file at 16 kHz, with the times of its sounds as JSON."""
    (utterance,) = synthesizers.say(options.voice, [options.text])
    if utterance is None:
        raise synthesizers.SynthesisError(f"{options.voice} could not speak {options.text!r}")
    samples = augment.resampled(utterance.samples, utterance.rate)
    soundfile.write(options.out, np.clip(samples, -1, 1), SPEECH_RATE, subtype="PCM_16")
    if options.phones is not None:
        lines = [
            {"symbol": phone.symbol, "start": phone.start, "end": phone.end, "closure": closure(phone)}
            for phone in utterance.phones
        ]
        options.phones.write_text(json.dumps(lines, ensure_ascii=False, indent=1), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.speech", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("generate", help=_generate.__doc__)
    command.add_argument("--data", type=Path, default=Path("runs/speech"), help="folder of the shards")
    command.add_argument("--shards", type=int, default=30, help="shards of training speech")
    command.add_argument("--shard-minutes", type=float, default=30.0)
    command.add_argument("--test-minutes", type=float, default=8.0)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--workers", type=int, default=2, help="processes")
    command.set_defaults(run=_generate)
    command = commands.add_parser("say", help=_say.__doc__)
    command.add_argument("--text", required=True)
    command.add_argument("--voice", default="flite:slt", help="engine:name, such as espeak:en-us+f2 or flite:slt")
    command.add_argument("--out", type=Path, required=True, help="WAV file")
    command.add_argument("--phones", type=Path, help="JSON file: symbol, start, end in seconds, closure of bilabials")
    command.set_defaults(run=_say)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
