"""Our own CUDA kernels (`kernels.cu`): compiled by NVRTC, launched on a stream or into a graph.

Compiling needs no GPU. Arrays are passed as addresses in device memory; what each kernel takes is said beside it.
"""

from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SOURCE: Final = Path(__file__).with_name("kernels.cu")
NAMES: Final = (
    "gather_rows",
    "scatter_rows",
    "ring_push",
    "ring_window",
    "ring_reset",
    "place_keypoints",
    "stitch_keypoints",
    "enlarge",
    "i420",
    "paste_back",
)
WORD: Final = 16
"""Bytes that `gather_rows` and `scatter_rows` move at a time: rows of tables are padded to a multiple of it."""
_LINE, _TILE = 256, 16
"""Threads in a block of a kernel over a line, and on a side of one over a picture."""

Address = int
Grid = tuple[int, int, int]
Argument = Address | np.int32 | np.float32


class NoCompiler(ImportError):
    """cuda.core or NVRTC is missing."""


@cache
def compile_kernels(architecture: str) -> Any:
    """Machine code (a `cuda.core.ObjectCode`) for an architecture such as "sm_89". Raises `NoCompiler`.

    Machine code and not PTX: a driver refuses PTX of a newer compiler, but not machine code of its own major version.
    """
    try:
        from cuda.core import Program, ProgramOptions
    except ImportError as error:
        raise NoCompiler(f"the GPU needs cuda.core: pip install 'visavis[gpu]' ({error})") from error
    # Sums are rounded as on the processor: what is compared with it is equal to the last level.
    options = ProgramOptions(std="c++17", arch=architecture, name=SOURCE.name, fma=False)
    return Program(SOURCE.read_text(), "c++", options).compile("cubin")


class Kernels:
    """The kernels for one GPU. Every method enqueues one launch on `stream` (a stream, or a graph being built)."""

    def __init__(self, architecture: str) -> None:
        code = compile_kernels(architecture)
        self._kernels = {name: code.get_kernel(name) for name in NAMES}

    def _launch(self, stream: Any, name: str, grid: Grid, block: Grid, *arguments: Argument) -> None:
        from cuda.core import LaunchConfig, launch

        # A Python int is passed as 64 bits, as an address must be; numbers are NumPy's.
        launch(stream, LaunchConfig(grid=grid, block=block), self._kernels[name], *arguments)

    def gather_rows(
        self, stream: Any, table: Address, slots: Address, batch: Address, rows: int, row_bytes: int
    ) -> None:
        """batch = table[slots]; rows of `row_bytes`, a multiple of `WORD`."""
        words = _words(row_bytes)
        self._launch(stream, "gather_rows", _line(words, rows), (_LINE, 1, 1), table, slots, batch, np.int32(words))

    def scatter_rows(
        self, stream: Any, table: Address, slots: Address, batch: Address, rows: int, row_bytes: int
    ) -> None:
        """table[slots] = batch."""
        words = _words(row_bytes)
        self._launch(stream, "scatter_rows", _line(words, rows), (_LINE, 1, 1), table, slots, batch, np.int32(words))

    def ring_push(
        self,
        stream: Any,
        ring: Address,
        heads: Address,
        slots: Address,
        values: Address,
        chosen: Address,
        rows: int,
        choices: int,
        size: tuple[int, int],
    ) -> None:
        """The `chosen` of each row's values (rows, choices, width) into its ring; `size`: a ring's length and width."""
        addresses = ring, heads, slots, values, chosen
        self._launch(stream, "ring_push", _line(rows), (_LINE, 1, 1), *addresses, *_numbers(rows, choices, *size))

    def ring_window(
        self,
        stream: Any,
        ring: Address,
        heads: Address,
        slots: Address,
        history: Address,
        rows: int,
        size: tuple[int, int],
    ) -> None:
        """History (rows, length, width), oldest first."""
        numbers = (np.int32(size[0]), np.int32(size[1]))
        grid = _line(size[0] * size[1], rows)
        self._launch(stream, "ring_window", grid, (_LINE, 1, 1), ring, heads, slots, history, *numbers)

    def ring_reset(
        self,
        stream: Any,
        ring: Address,
        heads: Address,
        slots: Address,
        rest: Address,
        rows: int,
        size: tuple[int, int],
    ) -> None:
        """The rings of `slots` full of `rest` (width)."""
        numbers = (np.int32(rows), np.int32(size[0]), np.int32(size[1]))
        self._launch(stream, "ring_reset", _line(rows), (_LINE, 1, 1), ring, heads, slots, rest, *numbers)

    def place_keypoints(
        self,
        stream: Any,
        faces: Address,
        moves: Address,
        source: Address,
        driving: Address,
        both: Address,
        rows: int,
        count: int,
        stride: int,
    ) -> None:
        """Keypoints of the sources, and where the moves put them: (rows, count, 3) each. `both` takes them side by side
        unless it is 0; `stride`: numbers from one face to the next."""
        addresses, numbers = (faces, moves, source, driving, both), _numbers(rows, count, stride)
        self._launch(stream, "place_keypoints", _line(rows * count), (_LINE, 1, 1), *addresses, *numbers)

    def stitch_keypoints(self, stream: Any, offsets: Address, driving: Address, rows: int, count: int) -> None:
        """Keypoints (rows, count, 3) moved by offsets (rows, 3 count + 2): one for each, and x and y for all."""
        numbers = _numbers(rows, count)
        self._launch(stream, "stitch_keypoints", _line(rows * count), (_LINE, 1, 1), offsets, driving, *numbers)

    def enlarge(self, stream: Any, pictures: Address, enlarged: Address, rows: int, size: int, large: int) -> None:
        """Pictures (rows, 3, size, size) to (rows, 3, large, large), as OpenCV does it with INTER_CUBIC."""
        grid = _tiles(large, large, 3 * rows)
        self._launch(stream, "enlarge", grid, (_TILE, _TILE, 1), pictures, enlarged, *_numbers(size, large))

    def i420(self, stream: Any, picture: Address, planes: Address, rows: int, height: int, width: int) -> None:
        """Pictures (rows, 3, height, width) in 0..1 to planes (rows, 3/2 height, width); even lengths."""
        grid = _tiles(width // 2, height // 2, rows)
        self._launch(stream, "i420", grid, (_TILE, _TILE, 1), picture, planes, np.int32(height), np.int32(width))

    def paste_back(
        self,
        stream: Any,
        picture: Address,
        photo: Address,
        planes: Address,
        matrix: NDArray[np.floating],
        size: int,
        feather: int,
        samples: int,
        height: int,
        width: int,
    ) -> None:
        """A picture (3, size, size) in 0..1 laid into a photo uint8 (height, width, 3), even lengths, as planes
        (3/2 height, width). `matrix` (2, 3) takes the photo's pixels to the picture's, from centre to centre; over
        `feather` of its pixels the picture passes into the photo; a pixel is the mean of `samples` by `samples`."""
        way = [np.float32(value) for value in matrix.ravel()]
        numbers = _numbers(size, feather, samples, height, width)
        grid = _tiles(width // 2, height // 2)
        self._launch(stream, "paste_back", grid, (_TILE, _TILE, 1), picture, photo, planes, *way, *numbers)


def _numbers(*values: int) -> list[np.int32]:
    return [np.int32(value) for value in values]


def _words(row_bytes: int) -> int:
    if row_bytes % WORD:
        raise ValueError(f"rows of {row_bytes} bytes cannot be moved {WORD} bytes at a time: pad them")
    return row_bytes // WORD


def _line(length: int, rows: int = 1) -> Grid:
    return -(-length // _LINE), rows, 1


def _tiles(width: int, height: int, rows: int = 1) -> Grid:
    return -(-width // _TILE), -(-height // _TILE), rows
