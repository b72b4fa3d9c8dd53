"""Where compiled plans lie and which of them fits: the card beside each says what it was built from and for.

    ~/.cache/visavis/plans/renderer_painter-8-half-tensorrt-11.4.0-sm90-3f2a1b0c9d8e.plan
                           renderer_painter-8-half-tensorrt-11.4.0-sm90-3f2a1b0c9d8e.json

A plan is for one number of rows, its shapes fixed: kernels chosen for exactly them, and nothing to set when it runs.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, Self

RECIPE: Final = 1
"""Raised when the graph is prepared for a plan in another way, so that older plans are built anew."""

Precision = Literal["half", "single"]


class NoPlan(LookupError):
    """No plan fits; the message says what is there instead and what to do."""


@dataclass(frozen=True, slots=True)
class PlanCard:
    """What a plan was built from and for."""

    network: str
    """Name of the ONNX file, without its ending."""
    source: str
    """SHA-256 of that file."""
    precision: Precision
    single: tuple[str, ...]
    """Kinds of operators and nodes that stay in float32."""
    rows: int
    library: str
    """`tensorrt` or `tensorrt_rtx`."""
    version: str
    capability: tuple[int, int]
    """Compute capability of the GPU, such as (8, 9). Plans of TensorRT-RTX for 8.0 run on later ones too."""
    recipe: int = RECIPE

    @property
    def stem(self) -> str:
        """Name of the plan's files without their endings; it changes with anything on the card."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]
        major, minor = self.capability
        return f"{self.network}-{self.rows}-{self.precision}-{self.library}-{self.version}-sm{major}{minor}-{digest}"

    def write(self, folder: Path, plan: bytes | memoryview) -> Path:
        """Put the plan and the card into `folder`, whole or not at all; returns the plan's file."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.stem}.plan"
        for target, content in ((path, plan), (path.with_suffix(".json"), json.dumps(asdict(self), indent=2).encode())):
            part = target.with_name(f"{target.name}.{os.getpid()}.part")
            part.write_bytes(content)
            part.replace(target)
        return path

    @classmethod
    def read(cls, path: Path) -> Self:
        """The card in the file `path`. Raises ValueError if it is none, or a later version's."""
        try:
            fields = json.loads(path.read_text())
            return cls(**fields | {name: tuple(fields[name]) for name in ("single", "capability")})
        except (TypeError, KeyError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} is no card of a plan: {error}") from error


def plan_folder(wanted: str = "") -> Path:
    """Where plans lie: `wanted` if given, else VISAVIS_PLANS, else the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(wanted or os.environ.get("VISAVIS_PLANS") or Path(cache) / "visavis" / "plans")


def digest(path: Path) -> str:
    """SHA-256 of a file, with that of the weights beside it where the graph keeps them in a file of their own."""
    result = hashlib.sha256(path.read_bytes())
    weights = path.with_name(f"{path.name}.data")
    if weights.exists():
        with weights.open("rb") as file:
            result.update(hashlib.file_digest(file, "sha256").digest())
    return result.hexdigest()


def find_plans(
    folder: Path, network: Path, library: str, version: str, capability: tuple[int, int], precision: Precision
) -> dict[int, Path]:
    """The plans of an ONNX file for this library and GPU, by their rows, smallest first.

    Raises `NoPlan` with the reason why none of those in `folder` fits.
    """
    source = digest(network)
    plans: dict[int, Path] = {}
    near: dict[str, None] = {}  # reasons, each once, in order
    for path in sorted(folder.glob(f"{network.stem}-*.json")):
        card = PlanCard.read(path)
        plan = path.with_suffix(".plan")
        if (card.network, card.precision) != (network.stem, precision) or not plan.exists():
            continue
        portable = card.library == "tensorrt_rtx" and (8, 0) == card.capability <= capability
        reasons = {
            "of another version of the network": card.source != source,
            "prepared in a way of another version": card.recipe != RECIPE,
            f"by {card.library} {card.version}": (card.library, card.version) != (library, version),
            f"for compute capability {dotted(card.capability)}": not (card.capability == capability or portable),
        }
        wrong = [reason for reason, holds in reasons.items() if holds]
        if wrong:
            near[", ".join(wrong)] = None
        else:
            plans[card.rows] = plan
    if plans:
        return dict(sorted(plans.items()))
    there = f"only plans {'; '.join(near)}" if near else "none at all"
    raise NoPlan(
        f"there is no {precision} plan of {network.stem} for {library} {version} and compute capability "
        f"{dotted(capability)} in {folder}, {there}: run `visavis build`"
    )


def dotted(capability: tuple[int, int]) -> str:
    """8.9 for (8, 9)."""
    return ".".join(map(str, capability))
