"""Weights and inputs made of a seed, so that two programs can compare a network without sharing a checkpoint.

Every array depends on its name, its shape and the seed alone. A specification names the entries of a state dict and a
rule for each: `normal` (mean, deviation), `abs_normal`, `zeros`, `unit`, `spectral_v` and `blur`.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def noise(name: str, shape: Sequence[int], seed: int) -> Array:
    """Standard normal values, float64."""
    bits = np.random.PCG64(zlib.crc32(name.encode()) ^ seed)
    return np.random.Generator(bits).standard_normal(tuple(shape))


def tensor(name: str, shape: Sequence[int], mean: float, deviation: float, seed: int) -> NDArray[np.float32]:
    """Normal values, float32: an input."""
    return (mean + deviation * noise(name, shape, seed)).astype(np.float32)


def state(entries: Iterable[Mapping[str, Any]], seed: int) -> dict[str, NDArray[Any]]:
    """The state dict of a specification's `entries`, each with `name`, `shape`, `dtype` and `fill`.

    Raises ValueError for a rule that is not known.
    """
    made: dict[str, NDArray[Any]] = {}
    # What spectral_v is made of must be there before it.
    for entry in sorted(entries, key=lambda entry: entry["fill"][0] == "spectral_v"):
        name, shape = entry["name"], tuple(entry["shape"])
        match entry["fill"]:
            case ["normal", mean, deviation]:
                values = mean + deviation * noise(name, shape, seed)
            case ["abs_normal", mean, deviation]:
                values = mean + deviation * np.abs(noise(name, shape, seed))
            case ["zeros"]:
                values = np.zeros(shape)
            case ["unit"]:
                values = _unit(noise(name, shape, seed))
            case ["spectral_v", weight, u, share]:
                values = _near_singular(made[weight], made[u], share, noise(name, shape, seed))
            case ["blur", sigma]:
                values = _blur(shape, sigma)
            case rule:
                raise ValueError(f"{name} shall be filled by the rule {rule}, which is not known")
        made[name] = values.astype(entry["dtype"])
    return made


def _unit(vector: Array) -> Array:
    return vector / np.sqrt(np.square(vector).sum())


def _near_singular(weight: NDArray[Any], u: NDArray[Any], share: float, other: Array) -> Array:
    """A unit vector near the one that the matrix `weight` takes to `u`."""
    along = weight.reshape(len(weight), -1).T.astype(np.float64) @ u.astype(np.float64)
    return _unit(_unit(along) + share * _unit(other))


def _blur(shape: tuple[int, ...], sigma: float) -> Array:
    """A square Gaussian window of sum 1, the same for every channel."""
    reach = (shape[-1] - 1) / 2
    bump = np.exp(-np.square(np.arange(shape[-1]) - reach) / (2 * sigma**2))
    window = np.outer(bump, bump)
    return np.broadcast_to(window / window.sum(), shape)
