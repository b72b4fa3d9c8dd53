"""Checkpoints that people brought, checked and written once as safetensors files, each with a card beside it.

    import_path(Path("warping_module.pth"), models_folder())

A file is imported whole or not at all. Which network it holds is told by the names and shapes of its parameters (see
`build_trt.checkpoints`), never by its own name.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from build_trt import checkpoints
from build_trt.checkpoints import CannotImport, Match, NotNeeded, Published

SUFFIXES: Final = (".pth", ".pt", ".tar", ".bin", ".safetensors")
_SHOWN: Final = 12
"""Lines of complaint at most about one network."""


@dataclass(frozen=True, slots=True)
class Imported:
    """One network written, or found written already."""

    family: str
    title: str
    parameters: int
    files: tuple[Path, ...]
    licence: str
    new: bool


@dataclass(frozen=True, slots=True)
class Found:
    """One network in a checkpoint."""

    path: Path
    key: str
    """That leads to it within the file; empty for the file itself."""
    match: Match

    def files(self, models: Path) -> tuple[Path, ...]:
        """Where its parts go."""
        published = self.match.published
        return tuple(models / published.family / f"{part}.safetensors" for part in published.parts(self.match.state))


def import_path(path: Path, models: Path) -> Iterator[Imported | CannotImport]:
    """Import a file, or every checkpoint below a folder; what cannot be imported comes as the reason why.

    In a folder, files that hold nothing of use come as `NotNeeded`.
    """
    if not path.exists():
        yield CannotImport(f"{path} does not exist")
        return
    files = [path] if path.is_file() else _checkpoints_below(path)
    claimed: dict[Path, Path] = {}
    imported = 0
    for file in files:
        try:
            found = find(file)
            for target in (target for one in found for target in one.files(models)):
                if (other := claimed.setdefault(target, file)) != file:
                    raise CannotImport(f"{file} holds the same network as {other}: import the one you want by its name")
            for one in found:
                yield write(one, models)
                imported += 1
        except NotNeeded as error:
            yield error if path.is_dir() else CannotImport(str(error))
        except CannotImport as error:
            imported += 1  # there was something to import
            yield error
    if path.is_dir() and not imported:
        yield CannotImport(
            f"nothing below {path} is a checkpoint that Visavis knows (files ending {', '.join(SUFFIXES)})"
        )


def _checkpoints_below(folder: Path) -> list[Path]:
    """Every file that may be one; of two that `transformers` offers of the same network, the safer."""
    files = sorted(file for file in folder.rglob("*") if file.suffix in SUFFIXES)
    twice = {file.with_name("pytorch_model.bin") for file in files if file.name == "model.safetensors"}
    return [file for file in files if file not in twice]


def find(path: Path) -> list[Found]:
    """All networks of a file.

    Raises NotNeeded if it holds none, CannotImport telling what is missing, superfluous or of another shape.
    """
    try:
        beside = checkpoints.speech(path.parent)
        found = [
            Found(path, key, match)
            for key, state in checkpoints.tables(checkpoints.read(path))
            for match in checkpoints.recognise(state, beside)
        ]
    except CannotImport as error:
        raise type(error)(f"{path}: {error}") from error
    if not found:
        raise NotNeeded(f"{path} holds no network that Visavis knows")
    if unfit := [one for one in found if not one.match.fits]:
        raise CannotImport("\n".join(_complaint(one) for one in unfit))
    return found


def _complaint(found: Found) -> str:
    published, lines = found.match.published, found.match.complaints()
    shown = lines[:_SHOWN] + ([f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else [])
    return "\n    ".join([f"{found.path} is not quite {published.family}'s {published.title}:", *shown])


def write(found: Found, models: Path) -> Imported:
    """Write the parts of a network in float32, each with its card, unless they were made of the same file before."""
    published, state = found.match.published, found.match.state
    with found.path.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    origin = {"source": found.path.name, "key": found.key, "sha256": sha256, "title": published.title}
    files, new = found.files(models), False
    for file, part in zip(files, published.parts(state).values(), strict=True):
        if _origin(file) == origin:
            continue
        new = True
        file.parent.mkdir(parents=True, exist_ok=True)
        arrays = {name: _plain(value) for name, value in part.items()}
        unfinished = file.with_suffix(".part")
        save_file(arrays, unfinished, metadata=origin)
        unfinished.replace(file)
        file.with_suffix(".md").write_text(_card(file, origin, arrays, published))
        for name, text in published.beside.items():
            file.with_name(name).write_text(text)
    return Imported(published.family, published.title, published.parameters, files, published.licence, new)


def _plain(value: Tensor) -> Tensor:
    """A tensor of its own, in float32 if it is a number with a fraction."""
    return (value.float() if value.is_floating_point() else value).clone(memory_format=torch.contiguous_format)


def _origin(file: Path) -> Mapping[str, str]:
    """What a file was made of; nothing if it is not there."""
    if not file.exists():
        return {}
    with safe_open(file, framework="pt") as opened:
        return opened.metadata() or {}


def _card(file: Path, origin: Mapping[str, str], arrays: Mapping[str, Tensor], published: Published) -> str:
    within = f", entry `{origin['key']}`" if origin["key"] else ""
    rows = {
        "Network": f"{published.title}, {published.parameters:,} parameters in all",
        "Source": f"`{origin['source']}`{within}",
        "SHA-256 of the source": f"`{origin['sha256']}`",
        "Licence": published.licence,
        "This file": f"{len(arrays)} arrays in float32, {file.stat().st_size / 1e6:.1f} MB",
    }
    lines = (f"| {name} | {value} |" for name, value in rows.items())
    return "\n".join([f"# {file.parent.name}: {file.stem}", "", "| | |", "|---|---|", *lines, ""])
