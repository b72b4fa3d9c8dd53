"""The CPU backend: OpenVINO, one thread a request, so that sessions scale over cores and not inside a network."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import openvino
from numpy.typing import NDArray

from engines.backend import Tensors

Precision = Literal["f32", "bf16"]
FOR_CPU: Final = ".cpu.onnx"
"""Ending of files for this backend alone."""


class OpenVinoNetwork:
    """One infer request of a compiled model."""

    def __init__(self, model: openvino.CompiledModel, outputs: tuple[str, ...]) -> None:
        self._request = model.create_infer_request()
        self._inputs = {port.get_any_name(): tuple(port.shape) for port in model.inputs}
        self._outputs = outputs

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        return self._inputs

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in inputs.items()}
        self._request.infer(contiguous, share_inputs=True)
        return {name: self._request.get_output_tensor(index).data for index, name in enumerate(self._outputs)}


class OpenVinoBackend:
    """Compiles ONNX files for this CPU.

    `precision` None takes bfloat16 where the CPU multiplies it natively (AVX-512 BF16 or AMX) and float32 elsewhere.
    """

    def __init__(self, precision: Precision | None = None, threads: int = 1) -> None:
        self._core = openvino.Core()
        if precision is None:
            native = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            precision = "bf16" if native else "f32"
        self.precision: Precision = precision
        self._threads = threads
        self._models: dict[tuple[Path, Precision], tuple[openvino.CompiledModel, tuple[str, ...]]] = {}
        self._lock = threading.Lock()

    def load(self, path: Path, precision: Precision | None = None) -> OpenVinoNetwork:
        """Compile `path`, in `precision` when the network asks for another than the backend's.

        A network that samples volumes, which OpenVINO does not know, has a form of its own for CPUs beside it.
        """
        path = for_cpu if (for_cpu := path.with_suffix(FOR_CPU)).exists() else path
        if not path.exists():
            raise FileNotFoundError(f"there is no network at {path}: is the installation complete?")
        key = (path, precision or self.precision)
        with self._lock:
            if key not in self._models:
                model = self._core.read_model(path)
                # Compiling may add a name of its own to an output, and then nobody knows which one is found first.
                outputs = tuple(port.get_any_name() for port in model.outputs)
                compiled = self._core.compile_model(
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
                self._models[key] = compiled, outputs
        return OpenVinoNetwork(*self._models[key])
