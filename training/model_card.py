"""Model cards: what weights are, what made them, how good they are and where they fail, as Markdown beside them."""

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


def write(path: Path, title: str, sections: Mapping[str, str]) -> None:
    """One heading per section, in order."""
    parts = [f"# {title}", *(f"## {heading}\n\n{text.strip()}" for heading, text in sections.items())]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
