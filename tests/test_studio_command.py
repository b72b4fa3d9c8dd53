from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="the studio needs the train extra: pip install visavis[train]")
pytest.importorskip("moderngl", reason="the studio needs the train extra: pip install visavis[train]")

from training.studio.__main__ import main


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    """A folder that looks like MakeHuman's."""
    (tmp_path / "3dobjs").mkdir()
    (tmp_path / "3dobjs" / "base.obj").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--assets", "{0}/nowhere", "{0}/sheet.png"], "is not MakeHuman's data folder"),
        (["--assets", "{0}", "{0}/sheet.xyz"], "sheet.xyz cannot be written"),
        (["--assets", "{0}", "{0}/nowhere/sheet.png"], "sheet.png cannot be written"),
        (["--assets", "{0}", "--crowd", "-3", "{0}/sheet.png"], "-3 is no number of heads"),
        (["--assets", "{0}", "--identity", "nobody", "{0}/sheet.png"], "nobody is neither of mira, "),
    ],
)
def test_what_cannot_be_drawn_is_said_before_it_is(
    assets: Path, flags: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["sheet", *(flag.format(assets) for flag in flags)])
    assert end.value.code == 2
    assert reason in capsys.readouterr().err
