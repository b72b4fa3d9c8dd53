from pathlib import Path

import pytest

from training.model_card import table, write


def test_tables_are_markdown_with_three_decimals() -> None:
    assert (
        table(("set", "r"), [("rms", 0.98765), ("ked", 2)])
        == "| set | r |\n| --- | --- |\n| rms | 0.988 |\n| ked | 2 |"
    )


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells in a table of 2"):
        table(("set", "r"), [("rms",)])


def test_prose_is_wrapped_and_tables_and_code_are_not(tmp_path: Path) -> None:
    row = "| " + "x " * 100 + "|"
    write(tmp_path / "card.md", "Networks", {"What": f"{'word ' * 60}\n\n{row}\n\n```\na\nb\n```"})
    lines = (tmp_path / "card.md").read_text().splitlines()
    assert all(len(line) <= 120 for line in lines if line.startswith("word")) and lines.count("word") == 0
    assert row in lines and lines[-4:] == ["```", "a", "b", "```"]


def test_a_card_has_a_heading_per_section(tmp_path: Path) -> None:
    write(tmp_path / "card.md", "Networks", {"What": "\nA network.\n", "Limits": "Many."})
    assert (tmp_path / "card.md").read_text() == "# Networks\n\n## What\n\nA network.\n\n## Limits\n\nMany.\n"
