"""Functions of numbers, compiled once by numba and kept on disk for the next start.

Numba compiles a kept function anew when its own file has changed. The machine code also holds what it took in from
other modules: functions, inlined or called, and constants. So here the sources of all modules count that the function's
own module imports, at any depth, of the package that it is in.
"""

import re
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(*, fastmath: bool = False, inline: Literal["never", "always"] = "never") -> Callable[[Function], Function]:
    """A decorator for a function that numba compiles when it is first called, and that runs without Python's lock.
    `fastmath` lets sums change their order; `inline` puts the function into each caller's own code."""

    def decorate(function: Function) -> Function:
        dispatcher: Any = numba.njit(nogil=True, fastmath=fastmath, inline=inline)(function)
        if dispatcher is function:  # NUMBA_DISABLE_JIT is set, for a debugger
            return function
        try:
            dispatcher.enable_caching()
        except RuntimeError:  # there is no folder that may be written to: compiled at every start
            return dispatcher
        kept = dispatcher._cache._cache_file  # numba has no other door to what its files are compared with
        kept._source_stamp = kept._source_stamp, _stamp(Path(function.__code__.co_filename))
        return dispatcher

    return decorate


@cache
def _stamp(module: Path) -> str:
    """Hash of the sources of a module and of all of its package that it imports, at any depth."""
    found, waiting = {module}, [module]
    while waiting:
        for path in _read(waiting.pop()).imports - found:
            found.add(path)
            waiting.append(path)
    return sha256(b"".join(_read(path).digest for path in sorted(found))).hexdigest()


class _Source(NamedTuple):
    digest: bytes
    imports: frozenset[Path]


@cache
def _read(module: Path) -> _Source:
    source = module.read_bytes()
    named = (module.with_name(f"{name}.py") for name in imported_names(source.decode()))
    return _Source(sha256(source).digest(), frozenset(path for path in named if path.is_file()))


def imported_names(source: str) -> list[str]:
    """Names that a module imports at its top from `engines`, all its modules among them. Lines are looked at and not
    the syntax tree, which would take a fifth of a second at every start."""
    modules = re.findall(r"^(?:from|import) engines\.(\w+)", source, re.MULTILINE)
    together = re.findall(r"^from engines import (\([^)]+\)|.+)", source, re.MULTILINE)
    return modules + re.findall(r"\w+", " ".join(together))
