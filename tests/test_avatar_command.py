from pathlib import Path

import pytest

from engines.avatar import list_avatars
from engines.portrait import NoPortrait
from engines.portrait_pack import AvatarMaker, Made
from realtime import render
from realtime.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_AVATAR_FOLDER", str(tmp_path / "own"))
    return tmp_path / "own"


def test_a_photo_is_turned_into_an_avatar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    asked: list[tuple[Path, bytes, str]] = []

    def create(self: AvatarMaker, data: bytes, name: str = "") -> Made:
        asked.append((self.folder, data, name))
        return Made("eva-1", {}, ("2 faces were found; the largest was taken.",))

    monkeypatch.setattr(AvatarMaker, "create", create)
    (tmp_path / "aunt_eva.jpg").write_bytes(b"photo")
    assert main(["avatar", "new", str(tmp_path / "aunt_eva.jpg")]) == 0
    assert main(["avatar", "new", str(tmp_path / "aunt_eva.jpg"), "--name", "Eva", "--avatar-folder", "else"]) == 0
    assert asked == [(folder, b"photo", "aunt eva"), (Path("else"), b"photo", "Eva")]
    out, errors = capsys.readouterr()
    assert out.startswith("eva-1") and "2 faces" in errors


def test_what_cannot_be_done_ends_with_2_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def create(self: AvatarMaker, data: bytes, name: str = "") -> Made:
        raise NoPortrait("no_face", "No face was found.")

    monkeypatch.setattr(AvatarMaker, "create", create)
    (tmp_path / "wall.jpg").write_bytes(b"photo")
    for arguments, reason in (
        (["new", str(tmp_path / "wall.jpg")], "No face was found."),
        (["new", str(tmp_path / "missing.jpg")], "No such file"),
        (["delete", "mira"], "there is no avatar 'mira'"),
    ):
        assert main(["avatar", *arguments]) == 2
        assert reason in capsys.readouterr().err


def test_a_variable_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VISAVIS_MAX_UPLOADS", "many")
    assert main(["avatar", "list"]) == 2
    assert "VISAVIS_MAX_UPLOADS='many' is not int" in capsys.readouterr().err


def test_what_is_no_picture_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "letter.txt").write_text("Dear Eva")
    assert main(["avatar", "new", str(tmp_path / "letter.txt")]) == 2
    assert "JPEG, PNG or WebP" in capsys.readouterr().err
    assert main(["avatar", "list"]) == 0
    assert "none yet" in capsys.readouterr().out


def test_render_shows_avatars_made_of_photos_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(render, "load_avatar", lambda *where: asked.append(tuple(map(str, where))))
    (folder / "eva-1").mkdir(parents=True)
    (folder / "eva-1" / "avatar.json").touch()
    for name in ("eva-1", "mira", ""):
        render._choose_avatar(name)
    assert asked == [("eva-1", str(folder)), ("mira",), (list_avatars()[0],)]
