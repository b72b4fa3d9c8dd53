"""`python -m benchmarks.quality --assets makehuman/data`: how good the shipped weights are, every table in one run.

The renderer is judged on the fixed states and the talking sequence of every shipped avatar and of held-out heads, drawn
anew by the studio; the audio networks on freshly synthesised speech of voices, texts and a language that never trained;
the keypoint network on heads that never trained. Pictures that an earlier run drew into `--frames` are used again.
"""

import argparse
from pathlib import Path

from engines.pipeline import WEIGHTS
from training import evaluate_audio, evaluate_landmarks, evaluate_renderer
from training.fit_landmarks import HELD_OUT
from training.landmark_dataset import write_heads
from training.studio.frames import schedule, write_frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True, help="MakeHuman's data folder")
    parser.add_argument("--frames", type=Path, default=Path("runs/quality"), help="where the studio draws")
    parser.add_argument("--seconds", type=float, default=180.0, help="speech of each held-out voice")
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    options = parser.parse_args()

    write_frames(options.assets, options.frames, schedule(shipped=0))
    print("## Renderer\n", evaluate_renderer.evaluate([options.frames], WEIGHTS, options.precision), sep="\n")
    speaker = evaluate_audio.Speaker(WEIGHTS, options.precision)
    for title, table in evaluate_audio.evaluate(speaker, evaluate_audio.fresh_sets(options.seconds)).items():
        print(f"\n## {title}\n\n{table}")
    heads = options.frames / "heads"
    write_heads(options.assets, heads, range(HELD_OUT))
    print("\n## Keypoints", evaluate_landmarks.evaluate(heads, options.assets, WEIGHTS), sep="\n")


if __name__ == "__main__":
    main()
