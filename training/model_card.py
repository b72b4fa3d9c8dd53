"""Model cards: what weights are, what made them, how good they are and where they fail, as Markdown beside them."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; floats with three significant decimals. Raises ValueError for a row of another length."""
    lines = [columns, ["---"] * len(columns)]
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a row of {len(row)} cells in a table of {len(columns)} columns: {row}")
        lines.append([f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _wrapped(paragraph: str) -> str:
    """Prose in lines of at most 120 characters; tables and code as they are."""
    if paragraph.startswith(("|", "```")):
        return paragraph
    return textwrap.fill(" ".join(paragraph.split()), 120, break_long_words=False, break_on_hyphens=False)


def write(path: Path, title: str, sections: Mapping[str, str]) -> None:
    """One heading per section, in order. Paragraphs are parted by an empty line."""
    parts = [f"# {title}"]
    for heading, text in sections.items():
        parts += [f"## {heading}", *map(_wrapped, text.strip().split("\n\n"))]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
