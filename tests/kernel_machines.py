"""Something that runs our CUDA kernels: a GPU, or a C++ compiler that takes them for plain functions."""

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engines import kernels
from engines.kernels import SOURCE, Kernels

Array = NDArray[Any]


class Machine(Protocol):
    """Memory and a stream for the kernels."""

    kernels: Kernels
    stream: Any

    def put(self, array: Array) -> int:
        """Address of a copy of `array` that the kernels can reach."""

    def take(self, address: int) -> Array:
        """What is there now, after all kernels have run."""


_PASSED: dict[type, Callable[[Any], Any]] = {
    np.int32: lambda value: ctypes.c_int(int(value)),
    np.float32: lambda value: ctypes.c_float(float(value)),
}


class _CpuKernels(Kernels):
    """Launches by calling the compiled functions: at once, or when the stream of a test says."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def _launch(self, stream: Any, name: str, grid: kernels.Grid, block: kernels.Grid, *arguments: Any) -> None:
        sizes = ctypes.c_uint * 3
        passed = [_PASSED.get(type(each), ctypes.c_void_p)(each) for each in arguments]
        entry = getattr(self._library, f"run_{name}")
        if stream is None:
            entry(sizes(*grid), sizes(*block), *passed)
        else:
            stream.do(lambda: entry(sizes(*grid), sizes(*block), *passed))


class Cpu:
    """The kernels compiled for this processor, every thread after the other. Raises LookupError without a compiler."""

    stream = None

    def __init__(self) -> None:
        self.kernels: Kernels = _CpuKernels(_compiled())
        self._arrays: dict[int, Array] = {}

    def put(self, array: Array) -> int:
        copy = np.array(array, order="C")
        self._arrays[copy.ctypes.data] = copy
        return copy.ctypes.data

    def take(self, address: int) -> Array:
        return self._arrays[address]


@cache
def _compiled() -> ctypes.CDLL:
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        raise LookupError("there is no C++ compiler")
    flags = ["-std=c++17", "-O1", "-shared", "-fPIC", "-ffp-contract=off", "-I", str(Path(__file__).parent)]
    with TemporaryDirectory() as folder:
        source, library = Path(folder, "kernels.cpp"), Path(folder, "kernels.so")
        source.write_text('#include "cpu_cuda.h"\n' + SOURCE.read_text() + "\n".join(map(_entry, kernels.NAMES)))
        subprocess.run([compiler, *flags, source, "-o", library], check=True)
        return ctypes.CDLL(str(library))


def _entry(name: str) -> str:
    """A C function that runs the kernel `name` over a grid, with the kernel's own parameters."""
    found = re.search(rf"__global__ void {name}\(([^)]*)\)", SOURCE.read_text())
    assert found is not None, name
    parameters = " ".join(found[1].split())
    names = ", ".join(parameter.split()[-1].lstrip("*") for parameter in parameters.split(","))
    return (
        f'\nextern "C" void run_{name}(const unsigned* grid, const unsigned* block, {parameters}) '
        f"{{ run({name}, grid, block, {names}); }}"
    )


class Gpu:
    """The kernels on the first GPU. Not run by anybody yet: no GPU was at hand when this was written."""

    def __init__(self) -> None:
        from cuda.core import Device, StreamOptions

        self._device = Device(0)
        self._device.set_current()
        self.stream = self._device.create_stream(options=StreamOptions(nonblocking=True))
        self.kernels = Kernels(f"sm_{self._device.arch}")
        self._arrays: dict[int, tuple[Any, Array]] = {}

    def put(self, array: Array) -> int:
        from cuda.core import LegacyPinnedMemoryResource

        pinned = LegacyPinnedMemoryResource().allocate(array.nbytes)
        np.from_dlpack(pinned).view(np.uint8)[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        buffer = self._device.allocate(array.nbytes, stream=self.stream)
        buffer.copy_from(pinned, stream=self.stream)
        self.stream.sync()
        address = int(buffer.handle)
        self._arrays[address] = buffer, array
        return address

    def take(self, address: int) -> Array:
        from cuda.core import LegacyPinnedMemoryResource

        buffer, like = self._arrays[address]
        pinned = LegacyPinnedMemoryResource().allocate(like.nbytes)
        buffer.copy_to(pinned, stream=self.stream)
        self.stream.sync()
        return np.from_dlpack(pinned).view(np.uint8).copy().view(like.dtype).reshape(like.shape)
