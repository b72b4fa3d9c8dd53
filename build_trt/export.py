"""PyTorch checkpoints to ONNX files: `python -m build_trt.export audio --checkpoint runs/audio/checkpoint.pt`.

After every export the file is run on the CPU backend beside the PyTorch network (a streaming one step by step beside
the whole sequence), and the greatest difference is printed.
"""

import argparse
import warnings
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from build_trt import contracts
from build_trt.contracts import Contract
from build_trt.graph import Graph
from engines.features import FRAME_SAMPLES, AudioFeatures
from engines.landmarks import TRACKED
from engines.openvino_backend import OpenVinoBackend
from networks.audio2exp import Audio2Exp
from networks.compact_audio import CompactAudio
from networks.compact_renderer import CompactRenderer
from networks.landmarks import Landmarks

WEIGHTS: Final = Path("engines/assets/weights")


def export(network: nn.Module, contract: Contract, folder: Path) -> Path:
    """Write the network to `folder` under its contract's name; returns the file.

    Raises ValueError if the network's outputs do not have the contract's shapes.
    """
    inputs = tuple(torch.from_numpy(tensor) for tensor in contract.draw().values())
    written = BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracing exporter is old, needs no further packages, and says much
        torch.onnx.export(
            network.eval(),
            inputs,
            written,  # type: ignore[arg-type]  # the tracing exporter takes files, its signature is the other's
            opset_version=contracts.OPSET,
            dynamo=False,
            input_names=[tensor.name for tensor in contract.inputs],
            output_names=[tensor.name for tensor in contract.outputs],
        )
    model = onnx.load_model_from_string(written.getvalue())
    shapes = list(Graph.of(model).outputs.values())
    wanted = [tensor.shape for tensor in contract.outputs]
    if shapes != wanted:
        raise ValueError(f"{contract.name} returns shapes {shapes}, its contract says {wanted}")
    onnx.checker.check_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / contract.file
    path.write_bytes(written.getvalue())
    return path


class OneState(nn.Module):
    """Audio features whose state is one tensor (B, N), channel beside channel for each step of time: with a dozen, in
    the order of PyTorch, a CPU takes half as long again. What is behind the last of it stays as it is."""

    def __init__(self, network: CompactAudio) -> None:
        super().__init__()
        self.network = network

    def forward(self, pcm: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Features and the next state."""
        shapes = self.network.state_shapes()
        sizes = [channels * length for channels, length in shapes]
        *parts, rest = state.split([*sizes, state.shape[1] - sum(sizes)], 1)
        past = [
            part.unflatten(1, (length, channels)).transpose(1, 2)
            for part, (channels, length) in zip(parts, shapes, strict=True)
        ]
        features, *following = self.network(pcm, *past)
        return features, torch.cat([*(each.transpose(1, 2).flatten(1) for each in following), rest], 1)


def audio_parity(features: CompactAudio, audio2exp: Audio2Exp, folder: Path, seconds: float = 4.0) -> dict[str, float]:
    """Greatest absolute difference of each exported network, stepped on the CPU backend, from PyTorch's whole run."""
    backend = OpenVinoBackend("f32")
    rng = np.random.default_rng(0)
    pcm = (rng.standard_normal((int(seconds * 25), FRAME_SAMPLES)) * 0.05).astype(np.float32)
    history = rng.random((1, 16, 9), dtype=np.float32)
    with torch.no_grad():
        whole = features(torch.from_numpy(pcm.reshape(1, -1)), *features.start())[0].numpy()
        pairs = whole.reshape(-1, 2, features.size)
        bias = audio2exp(torch.from_numpy(pairs), torch.from_numpy(history).expand(len(pairs), -1, -1)).numpy()
    ear = AudioFeatures(backend.load(folder / contracts.audio_features(features).file))
    state, stepped = ear.start(), []
    for frame in pcm:
        heard, state = ear.step(state, frame)
        stepped.append(heard)
    head = backend.load(folder / contracts.audio2exp(features.size).file)
    spoken = [head.run({"features": pair[None], "history": history})["bias"][0].copy() for pair in pairs]
    return {
        "audio_features": float(np.abs(np.array(stepped) - pairs).max()),
        "audio2exp": float(np.abs(np.array(spoken) - bias).max()),
    }


def export_audio(checkpoint: Path, folder: Path) -> None:
    """Both audio networks of a checkpoint of `training.fit_audio`, calibrated, with their parity printed."""
    from training.fit_audio import calibrate, load_model

    model, record = load_model(checkpoint)
    calibrate(model)
    written = [
        export(OneState(model.features), contracts.audio_features(model.features), folder),
        export(model.audio2exp, contracts.audio2exp(model.features.size), folder),
    ]
    differences = audio_parity(model.features, model.audio2exp, folder)
    print(f"step {record['step']} of {record['steps']}")
    for path in written:
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, greatest difference {differences[path.stem]:.1e}")


def parity(network: nn.Module, contract: Contract, path: Path) -> float:
    """Greatest absolute difference of an exported network without state from PyTorch's, on noise."""
    inputs = contract.draw()
    with torch.no_grad():
        outputs = network(*(torch.from_numpy(tensor) for tensor in inputs.values()))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    computed = OpenVinoBackend("f32").load(path).run(inputs)
    return max(
        float(np.abs(computed[tensor.name] - output.numpy()).max())
        for tensor, output in zip(contract.outputs, outputs, strict=True)
    )


def export_renderer(checkpoint: Path, folder: Path) -> None:
    """Both networks of a checkpoint of `training.fit_renderer`, their parity printed, and the painter in 8 bits."""
    from build_trt.quantize import quantize_painter

    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    network = CompactRenderer(saved["keypoints"]).eval()
    network.load_state_dict(saved["average"])
    print(f"step {saved['step']}")
    for stage, contract in (
        (network.source, contracts.renderer_source()),
        (network.painter, contracts.renderer_painter(saved["keypoints"])),
    ):
        path = export(stage, contract, folder)
        difference = parity(stage, contract, path)
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, greatest difference {difference:.1e}")
    path, worst = quantize_painter(folder)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, {worst:.1f} dB from the one in float32")


def halve_weights(path: Path) -> None:
    """Store the large weights of an ONNX file in half precision, each cast back to single where it is used."""
    model = onnx.load(str(path))
    graph = model.graph
    large = [
        weight
        for weight in graph.initializer
        if weight.data_type == onnx.TensorProto.FLOAT and len(weight.raw_data) > 4096
    ]
    for weight in large:
        values = onnx.numpy_helper.to_array(weight).astype(np.float16)
        graph.initializer.remove(weight)
        graph.initializer.append(onnx.numpy_helper.from_array(values, f"{weight.name}.half"))
        cast = onnx.helper.make_node("Cast", [f"{weight.name}.half"], [weight.name], to=onnx.TensorProto.FLOAT)
        graph.node.insert(0, cast)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def export_landmarks(checkpoint: Path, folder: Path) -> None:
    """The keypoint network of a checkpoint of `training.fit_landmarks`, with its parity printed."""
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    network = Landmarks(len(TRACKED)).eval()
    network.load_state_dict(saved["model"])
    contract = contracts.landmarks(len(TRACKED))
    path = export(network, contract, folder)
    halve_weights(path)
    print(f"step {saved['step']}")
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, greatest difference {parity(network, contract, path):.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m build_trt.export", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, run, files in (
        ("audio", export_audio, "audio_features.onnx and audio2exp.onnx"),
        ("renderer", export_renderer, "renderer_source.onnx, renderer_painter.onnx and its form for CPUs"),
        ("landmarks", export_landmarks, "landmarks.onnx"),
    ):
        command = commands.add_parser(name, help=files)
        command.add_argument("--checkpoint", type=Path, default=Path(f"runs/{name}/checkpoint.pt"))
        command.add_argument("--out", type=Path, default=WEIGHTS, help="folder of the ONNX files")
        command.set_defaults(run=run)
    options = parser.parse_args()
    options.run(options.checkpoint, options.out)


if __name__ == "__main__":
    main()
