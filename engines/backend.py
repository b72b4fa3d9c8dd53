"""The seam between the networks and what computes them: named tensors in, named tensors out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[Any]]


class Network(Protocol):
    """A compiled network with a request of its own: not for two threads at once. State travels as tensors."""

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of every input, by name."""

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Outputs by name; they are views that stay valid until the next run."""


class Backend(Protocol):
    """Compiles each file once and hands out a request of its own to every caller."""

    def load(self, path: Path) -> Network:
        """Raises `FileNotFoundError` when there is no such network."""
