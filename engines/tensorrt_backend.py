"""The GPU backend: plans of TensorRT or TensorRT-RTX, in batches, each bucket's work captured in one CUDA graph.

    pinned inputs -> GPU -> network -> GPU -> pinned outputs

Behind the protocol of `engines.backend` networks take any number of rows up to the largest bucket. What sessions
remember goes through the host here; `engines.gpu_steps` keeps it on the GPU. Has not run on hardware yet (see
`engines.gpu`): what the tests run is all but the library's own calls in `LoadedPlan`.
"""

import importlib
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from engines.backend import Tensors
from engines.gpu import Array, Block, CudaGpu, Gpu, Stream
from engines.plan_files import NoPlan, Precision, find_plans, plan_folder

LIBRARIES: Final = ("tensorrt", "tensorrt_rtx")


class PlanRefused(RuntimeError):
    """The library does not take the plan, or failed while running it."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a plan: where it is on the GPU."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    block: Block

    @classmethod
    def make(cls, gpu: Gpu, shape: tuple[int, ...], dtype: np.dtype[Any], block: Block | None = None) -> "Port":
        """In `block`, or in memory of its own. Raises ValueError if the block is of another size."""
        size = int(np.prod(shape)) * dtype.itemsize
        block = block or gpu.allocate(size)
        if block.size != size:
            raise ValueError(f"{shape} of {dtype} takes {size} bytes, not {block.size}")
        return cls(shape, dtype, block)


class Plan(Protocol):
    """A network for one number of rows, in the GPU's memory. Not for two threads at once."""

    @property
    def inputs(self) -> Mapping[str, Port]: ...

    @property
    def outputs(self) -> Mapping[str, Port]: ...

    def enqueue(self, stream: Stream) -> None:
        """Compute the outputs from the inputs. Raises `PlanRefused`."""


Load = Callable[[Mapping[str, Block]], Plan]
"""Loads a plan, given where some of its tensors shall be."""


class Library(Protocol):
    """What loads plans."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def load(self, gpu: Gpu, path: Path, given: Mapping[str, Block]) -> Plan:
        """The plan in the file `path`, its inputs and outputs in memory of its own or in the block that is `given`, so
        that networks may be chained. Raises `PlanRefused`."""


class TensorRt:
    """TensorRT or TensorRT-RTX, whichever is installed; both have the same names. Raises `NoPlan` if none is."""

    def __init__(self, wanted: str = "") -> None:
        self.name, self._trt = self._find(wanted)
        self.version = str(self._trt.__version__)
        self._runtime: Any = None
        self._log = self._trt.Logger(self._trt.Logger.ERROR)

    @staticmethod
    def _find(wanted: str) -> tuple[str, Any]:
        failed = []
        for name in (wanted,) if wanted else LIBRARIES:
            try:
                return name, importlib.import_module(name)
            except ImportError as error:
                failed.append(f"{name}: {error}")
        raise NoPlan(f"no TensorRT is installed ({'; '.join(failed)}): pip install 'visavis[gpu]'")

    def load(self, gpu: Gpu, path: Path, given: Mapping[str, Block]) -> "LoadedPlan":
        self._runtime = self._runtime or self._trt.Runtime(self._log)
        engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if engine is None:
            raise PlanRefused(
                f"{self.name} {self.version} does not take {path} on {gpu.name}: run `visavis build` here"
            )
        return LoadedPlan(self._trt, gpu, engine, path, given)


class LoadedPlan:
    """A `Plan` by an execution context of its own."""

    def __init__(self, trt: Any, gpu: Gpu, engine: Any, path: Path, given: Mapping[str, Block]) -> None:
        self._path, self._gpu, self._engine = path, gpu, engine
        self._config = engine.create_runtime_config()
        self._config.set_execution_context_allocation_strategy(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        with _kept_kernels(self._config, path.with_suffix(".kernels")):
            self._context = engine.create_execution_context(self._config)
            if self._context is None:
                raise PlanRefused(f"no memory to run {path.name} on {gpu.name}")
            size = int(engine.device_memory_size_v2)
            self._scratch = gpu.scratch(size)
            self._context.set_device_memory(self._scratch.address, size)
            self.inputs: dict[str, Port] = {}
            self.outputs: dict[str, Port] = {}
            for index in range(engine.num_io_tensors):
                name = engine.get_tensor_name(index)
                dtype = np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
                port = Port.make(gpu, tuple(engine.get_tensor_shape(name)), dtype, given.get(name))
                takes = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
                (self.inputs if takes else self.outputs)[name] = port
                self._context.set_tensor_address(name, port.block.address)
            self.enqueue(gpu.stream)  # what is compiled at the first run is compiled now
            gpu.wait()

    def enqueue(self, stream: Stream) -> None:
        if not self._context.execute_async_v3(self._gpu.handle(stream)):
            raise PlanRefused(f"{self._path.name} cannot be run on {self._gpu.name}")


@contextmanager
def _kept_kernels(config: Any, path: Path) -> Iterator[None]:
    """TensorRT-RTX compiles kernels in here, unless it finds them in the file `path` from an earlier start. Those of
    another driver or GPU it refuses, and compiles them anew."""
    if not hasattr(config, "create_runtime_cache"):
        yield
        return
    cache = config.create_runtime_cache()
    known = path.exists() and cache.deserialize(path.read_bytes())
    config.set_runtime_cache(cache)
    yield
    if not known:
        with suppress(OSError):  # a folder that only others may write to: compiled anew at every start
            path.write_bytes(bytes(cache.serialize()))


class _Batch:
    """One bucket of a network: its plan between pinned arrays."""

    def __init__(self, gpu: Gpu, plan: Plan) -> None:
        self._gpu, self._plan = gpu, plan
        self.inputs = {name: gpu.pin(port.shape, port.dtype) for name, port in plan.inputs.items()}
        self.outputs = {name: gpu.pin(port.shape, port.dtype) for name, port in plan.outputs.items()}
        self.replay: Callable[[], None] = gpu.capture(self._record)

    def _record(self, stream: Stream) -> None:
        for name, pinned in self.inputs.items():
            self._gpu.upload(stream, pinned, self._plan.inputs[name].block)
        self._plan.enqueue(stream)
        for name, pinned in self.outputs.items():
            self._gpu.download(stream, self._plan.outputs[name].block, pinned)


class TensorRtNetwork:
    """A network in all its buckets. Shared by all who load it: callers take turns, and get arrays of their own."""

    def __init__(self, gpu: Gpu, plans: Mapping[int, Plan]) -> None:
        self._gpu = gpu
        self.buckets = tuple(sorted(plans))
        self._batches = {rows: _Batch(gpu, plans[rows]) for rows in self.buckets}
        first = plans[self.buckets[0]].inputs.items()
        self._inputs = {name: (1, *port.shape[1:]) for name, port in first}

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        return self._inputs

    @property
    def largest(self) -> int:
        """Rows that it takes at once."""
        return self.buckets[-1]

    def run(self, inputs: Tensors) -> dict[str, Array]:
        """Outputs of 1 to `largest` rows. Raises ValueError for other names, shapes or numbers of rows."""
        rows = self._rows(inputs)
        batch = self._batches[self.buckets[bisect_left(self.buckets, rows)]]
        with self._gpu.lock:
            self._gpu.enter()
            for name, pinned in batch.inputs.items():
                pinned.array[:rows] = inputs[name]
            batch.replay()
            self._gpu.wait()
            return {name: pinned.array[:rows].copy() for name, pinned in batch.outputs.items()}

    def _rows(self, inputs: Tensors) -> int:
        shapes = {name: tensor.shape for name, tensor in inputs.items()}
        counts = {shape[0] for shape in shapes.values() if shape}
        wanted = {name: shape[1:] for name, shape in self._inputs.items()}
        if len(counts) != 1 or {name: shape[1:] for name, shape in shapes.items()} != wanted:
            raise ValueError(f"the network takes {self._inputs}, one or more rows of each, not {shapes}")
        (rows,) = counts
        if not 1 <= rows <= self.largest:
            raise ValueError(f"the network takes 1 to {self.largest} rows, not {rows}")
        return rows


class TensorRtBackend:
    """Loads the plans that `visavis build` made of ONNX files. Raises `NoGpu`, or `NoPlan` if no library is there."""

    def __init__(
        self,
        folder: Path | None = None,
        precision: Precision = "half",
        library: Library | None = None,
        gpu: Gpu | None = None,
    ) -> None:
        self.gpu: Gpu = gpu or CudaGpu()
        self.precision: Precision = precision
        self._library: Library = library or TensorRt()
        self._folder = folder or plan_folder()
        self._networks: dict[Path, TensorRtNetwork] = {}
        self._loading = threading.Lock()

    def load(self, path: Path) -> TensorRtNetwork:
        """Raises `NoPlan` when none fits, `PlanRefused` when the library does not take it."""
        with self._loading:
            if path not in self._networks:
                with self.entered() as gpu:
                    plans = {rows: load({}) for rows, load in self.loaders(path).items()}
                    self._networks[path] = TensorRtNetwork(gpu, plans)
            return self._networks[path]

    def loaders(self, path: Path) -> dict[int, Load]:
        """What loads the plans of an ONNX file, by their rows, each time anew; for who has `entered` the GPU."""
        if not path.exists():
            raise FileNotFoundError(f"there is no network at {path}: is the installation complete?")
        library = self._library
        found = find_plans(self._folder, path, library.name, library.version, self.gpu.capability, self.precision)
        return {rows: partial(library.load, self.gpu, plan) for rows, plan in found.items()}

    def shared_loaders(self, *paths: Path) -> dict[int, tuple[Load, ...]]:
        """Those of several ONNX files, for the numbers of rows that all of them have plans for, smallest first."""
        each = [self.loaders(path) for path in paths]
        shared = sorted(set.intersection(*(set(loads) for loads in each)))
        if not shared:
            names = " and ".join(path.stem for path in paths)
            raise NoPlan(f"no plans of {names} for as many rows: run `visavis build`")
        return {rows: tuple(loads[rows] for loads in each) for rows in shared}

    @contextmanager
    def entered(self) -> Iterator[Gpu]:
        """The GPU, for the calling thread alone."""
        with self.gpu.lock:
            self.gpu.enter()
            yield self.gpu
