"""The CPU backend: OpenVINO, one thread a request, so that sessions scale over cores and not inside a network."""

import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import openvino
from numpy.typing import NDArray

from engines.backend import Tensors

Precision = Literal["f32", "bf16"]
Names = tuple[str, ...]
FOR_CPU: Final = ".cpu.onnx"
"""Ending of files for this backend alone: with layers that OpenVINO knows, or in 8 bits."""


@cache
def core() -> openvino.Core:
    """The only one of this process, which lives as long.

    OpenVINO 2026.4 gives the thread that first asks a core for its CPU a signal stack, and when that core ends it puts
    back the one that was there before. Of two cores of which the first ends first, the second puts back what is gone,
    and the next signal to that thread is a segmentation fault.
    """
    return openvino.Core()


class OpenVinoNetwork:
    """One infer request of a compiled model. Its tensors stay where they are: to bind others in every run takes as long
    as a small network."""

    def __init__(self, model: openvino.CompiledModel, inputs: Names, outputs: Names) -> None:
        self._request = model.create_infer_request()
        self._inputs = {name: self._bind(port) for name, port in zip(inputs, model.inputs, strict=True)}
        self._outputs = {name: self._bind(port) for name, port in zip(outputs, model.outputs, strict=True)}

    def _bind(self, port: openvino.ConstOutput) -> NDArray[Any]:
        """The memory of an input or output."""
        array = np.zeros(tuple(port.shape), port.element_type.to_dtype())
        self._request.set_tensor(port, openvino.Tensor(array, shared_memory=True))
        return array

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        return {name: array.shape for name, array in self._inputs.items()}

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Raises `ValueError` for other inputs than those of the network, or of other shapes."""
        if (shapes := {name: tensor.shape for name, tensor in inputs.items()}) != self.inputs:
            raise ValueError(f"expected inputs {self.inputs}, got {shapes}")
        for name, tensor in inputs.items():
            self._inputs[name][...] = tensor
        self._request.infer(share_outputs=True)
        return dict(self._outputs)


class OpenVinoBackend:
    """Compiles ONNX files for this CPU.

    `precision` None takes bfloat16 where the CPU multiplies it natively (AVX-512 BF16 or AMX) and float32 elsewhere.
    """

    def __init__(self, precision: Precision | None = None, threads: int = 1) -> None:
        if precision is None:
            native = "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            precision = "bf16" if native else "f32"
        self.precision: Precision = precision
        self._threads = threads
        self._models: dict[tuple[Path, Precision], tuple[openvino.CompiledModel, Names, Names]] = {}
        self._lock = threading.Lock()

    def load(self, path: Path, precision: Precision | None = None) -> OpenVinoNetwork:
        """Compile `path`, in `precision` when the network asks for another than the backend's.

        A network that samples volumes, which OpenVINO does not know, has a form of its own for CPUs beside it; so has
        one that was quantised for them.
        """
        path = for_cpu if (for_cpu := path.with_suffix(FOR_CPU)).exists() else path
        if not path.exists():
            raise FileNotFoundError(f"there is no network at {path}: is the installation complete?")
        key = (path, precision or self.precision)
        with self._lock:
            if key not in self._models:
                model = core().read_model(path)
                # Compiling may give a port a name of its own beside, and then nobody knows which one is found first.
                inputs, outputs = (
                    tuple(port.get_any_name() for port in ports) for ports in (model.inputs, model.outputs)
                )
                compiled = core().compile_model(
                    model,
                    "CPU",
                    {
                        "INFERENCE_NUM_THREADS": self._threads,
                        "NUM_STREAMS": 1,
                        "PERFORMANCE_HINT": "LATENCY",
                        "INFERENCE_PRECISION_HINT": key[1],
                        "ENABLE_CPU_PINNING": False,
                    },
                )
                self._models[key] = compiled, inputs, outputs
        return OpenVinoNetwork(*self._models[key])
