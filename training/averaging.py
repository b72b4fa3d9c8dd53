"""Between two checkpoints of a network: `python -m training.averaging new.pt old.pt --share 0.5 --out mean.pt`.

Training on from good weights gains here and forgets there; the way between both ends can do better than either
(Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"). Written in half precision, to train on from and to
export.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from networks.compact_audio import grown
from training.fitting import save_checkpoint

State = Mapping[str, Tensor]


def averaged(new: State, old: State, share: float) -> dict[str, Tensor]:
    """`share` (0 to 1) of the weights `new` and the rest of `old`, which may be a smaller network's, float16.

    Raises ValueError if they do not match.
    """
    old = grown(old, new)
    return {name: torch.lerp(old[name].float(), weight.float(), share).half() for name, weight in new.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.averaging", description=__doc__)
    parser.add_argument("new", type=Path, help="checkpoint of a training")
    parser.add_argument("old", type=Path, help="the weights that it began from")
    parser.add_argument("--share", type=float, default=0.5, help="of the new weights")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if not 0 <= options.share <= 1:
        parser.error("--share: a number from 0 to 1")
    new, old = (torch.load(path, map_location="cpu", weights_only=True) for path in (options.new, options.old))
    record = new["record"] | {"averaged with": str(options.old), "share": options.share}
    save_checkpoint({"model": averaged(new["model"], old["model"], options.share), "record": record}, options.out)


if __name__ == "__main__":
    main()
