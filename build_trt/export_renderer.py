"""Export a trained compact renderer: three ONNX files, each checked against PyTorch.

python -m build_trt.export_renderer runs/renderer/checkpoint.pt engines/assets/weights
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

from engines.openvino_backend import OpenVinoBackend
from networks.compact_renderer import (
    EYES_CHANNELS,
    EYES_HEIGHT,
    EYES_WIDTH,
    FEATURES,
    GESTURE,
    GRID,
    HIDDEN,
    IDENTITY,
    MAIN_SIZE,
    MOUTH_CHANNELS,
    MOUTH_HEIGHT,
    MOUTH_WIDTH,
    SOURCE_SIZE,
    CompactRenderer,
)

OPSET = 17
TOLERANCE = 1e-3

Shapes = dict[str, tuple[int, ...]]


def contracts(keypoints: int) -> dict[str, tuple[Shapes, tuple[str, ...]]]:
    """Inputs with their shapes (all float32) and names of outputs, per network of the renderer."""
    grid = (1, GRID, GRID, 2)
    features = (1, FEATURES, GRID, GRID)
    return {
        "source": ({"picture": (1, 3, SOURCE_SIZE, SOURCE_SIZE)}, ("features", "identity")),
        "motion": (
            {
                "features": features,
                "identity": (1, IDENTITY),
                "keypoints_source": (1, keypoints, 3),
                "keypoints_target": (1, keypoints, 3),
                "flow": (1, 2, GRID, GRID),
                "seen": (1, 1, GRID, GRID),
                "grid": grid,
            },
            ("residual", "occlusion", "hidden", "condition"),
        ),
        "painter": (
            {
                "features": features,
                "grid": grid,
                "occlusion": (1, 1, GRID, GRID),
                "hidden": (1, HIDDEN, GRID, GRID),
                "condition": (1, GESTURE + IDENTITY),
                "warped": (1, 4, MAIN_SIZE, MAIN_SIZE),
                "mouth": (1, MOUTH_CHANNELS, MOUTH_HEIGHT, MOUTH_WIDTH),
                "eyes": (1, EYES_CHANNELS, EYES_HEIGHT, EYES_WIDTH),
            },
            ("main", "mouth_layer", "eyes_layer"),
        ),
    }


def export(network: nn.Module, inputs: Shapes, outputs: tuple[str, ...], path: Path) -> float:
    """Write `network` to `path`; returns the largest difference between OpenVINO in float32 and PyTorch."""
    generator = np.random.default_rng(0)
    example = {name: generator.uniform(-0.5, 0.5, shape).astype(np.float32) for name, shape in inputs.items()}
    tensors = tuple(torch.from_numpy(tensor) for tensor in example.values())
    torch.onnx.export(
        network, tensors, path, opset_version=OPSET, dynamo=False, input_names=list(inputs), output_names=list(outputs)
    )  # fmt: skip
    with torch.no_grad():
        expected = network(*tensors)
    computed = OpenVinoBackend("f32").load(path).run(example)
    return max(
        float(np.abs(computed[name] - tensor.numpy()).max()) for name, tensor in zip(outputs, expected, strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("weights", type=Path)
    options = parser.parse_args()
    saved = torch.load(options.checkpoint, weights_only=True)
    state = {
        name.removeprefix("network."): tensor
        for name, tensor in saved["model"].items()
        if name.startswith("network.")
    }  # fmt: skip
    renderer = CompactRenderer(saved["keypoints"]).eval()
    renderer.load_state_dict(state)
    options.weights.mkdir(parents=True, exist_ok=True)
    for name, (inputs, outputs) in contracts(saved["keypoints"]).items():
        path = options.weights / f"renderer_{name}.onnx"
        difference = export(getattr(renderer, name), inputs, outputs, path)
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, step {saved['step']}, off by {difference:.1e}")
        if difference > TOLERANCE:
            raise SystemExit(f"{path.name} differs from PyTorch by {difference}: more than {TOLERANCE}")


if __name__ == "__main__":
    main()
