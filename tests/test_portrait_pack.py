import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.avatar import list_avatars, load_avatar
from engines.landmarks import TRACKED, TRACKED_NAMES, Face, LandmarkFinder
from engines.media import HeadPose, Motion
from engines.pictures import read_picture
from engines.portrait import COVERED_MOUTH, DARKEST_FACE, NoPortrait, choose_face, drag, light, mouth_redness
from engines.portrait_pack import HANDLES, AvatarMaker, user_folder
from engines.scene import Scene
from tests.portraits import shipped_points

SIZE = 700


class OneFace(LandmarkFinder):
    """Finds the avatar that ships wherever the test has put it."""

    def __init__(self, *faces: Face) -> None:
        self.faces = list(faces)

    def find(self, picture: np.ndarray) -> list[Face]:
        return self.faces


def face(scale: float = 1.0, shift: tuple[float, float] = (90.0, 80.0), doubt: float = 1.0) -> Face:
    points = shipped_points() * np.float32(scale) + np.array(shift, np.float32)
    return Face(points, np.full(len(TRACKED), doubt, np.float32), 0.99)


def photo(blur: float = 0.0) -> bytes:
    """The first avatar's picture within a larger grey one, as JPEG."""
    picture = np.full((SIZE, SIZE, 3), 128, np.uint8)
    picture[80:592, 90:602] = load_avatar(list_avatars()[0]).picture
    if blur:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), blur), np.uint8)
    return bytes(cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1])


def maker(folder: Path, *faces: Face, most: int = 50) -> AvatarMaker:
    made = AvatarMaker(folder, most)
    made.__dict__["_finder"] = OneFace(*faces)
    return made


def test_a_photo_becomes_an_avatar_like_the_others(tmp_path: Path) -> None:
    studio = maker(tmp_path, face())
    made = studio.create(photo(), "  Aunt   Éva! ")
    assert made.id.startswith("aunt-eva-") and made.notes == ()
    assert studio.list() == [made.id]
    avatar, original = studio.load(made.id), load_avatar(list_avatars()[0])
    assert (avatar.name, avatar.picture.shape) == ("Aunt Éva!", (512, 512, 3))
    assert avatar.geometry.mesh.deltas.shape == original.geometry.mesh.deltas.shape
    seen = avatar.geometry.keypoints[list(TRACKED), :2]
    places = np.array([made.points[name] for name in TRACKED_NAMES]) * 2 - 1
    assert np.linalg.norm(seen - places, axis=1).mean() * 256 < 1.5
    # Framed like the avatars that ship: the face stands where it stood there.
    true = original.geometry.keypoints[list(TRACKED), :2]
    assert np.abs(seen.mean(0) - true.mean(0)).max() < 0.1
    assert avatar.thumbnail.is_file()
    assert avatar.retouch is not None and original.retouch is None
    assert avatar.retouch.sealed(avatar.picture) is avatar.picture, "these lips touch anyway"
    assert set(HANDLES) <= set(made.points)


def test_points_can_be_moved(tmp_path: Path) -> None:
    studio = maker(tmp_path, face())
    made = studio.create(photo())
    x, y = made.points["chin"]
    again = studio.refit(made.id, {"chin": (x, y + 0.02)})
    assert again.points["chin"][1] - y == pytest.approx(0.02, abs=0.01)
    assert abs(again.points["lid_left_2"][1] - made.points["lid_left_2"][1]) < 0.01
    assert studio.points(made.id).points == again.points
    geometry = studio.load(made.id).geometry
    chin = geometry.points[geometry.mesh.keypoints[list(TRACKED)[TRACKED_NAMES.index("chin")]], :2]
    np.testing.assert_allclose((chin + 1) / 2, again.points["chin"], atol=0.004)
    with pytest.raises(NoPortrait, match="no point"):
        studio.refit(made.id, {"ear": (0.5, 0.5)})


def test_dragging_carries_the_neighbours_along() -> None:
    points, doubt = face().points, face().doubt
    rows = [TRACKED_NAMES.index(name) for name in ("mouth_corner_left", "lip_upper_outer_left_2", "brow_right_0")]
    target = points[rows[0]] + (8, 0)
    moved, certain = drag(points, doubt, 160.0, {"mouth_corner_left": (float(target[0]), float(target[1]))})
    shift = (moved - points)[rows, 0]
    assert shift[0] == pytest.approx(8) and 3 < shift[1] < 8 and abs(shift[2]) < 0.5
    assert certain[rows[0]] == 0 and certain[rows[1]] == doubt[rows[1]]


def test_the_photo_is_kept_without_its_metadata(tmp_path: Path) -> None:
    data = photo()
    comment = b"where I live"
    data = data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]
    made = maker(tmp_path, face()).create(data)
    assert comment not in (tmp_path / made.id / "photo.jpg").read_bytes()
    assert json.loads((tmp_path / made.id / "fit.json").read_text())["moved"] == {}


def test_the_photo_around_the_head_is_kept_and_the_head_goes_back_into_it(tmp_path: Path) -> None:
    wide = np.full((2 * SIZE, 4 * SIZE, 3), 60, np.uint8)
    wide[400 : 400 + SIZE, 900 : 900 + SIZE] = read_picture(photo())
    data = bytes(cv2.imencode(".png", wide[..., ::-1])[1])
    studio = maker(tmp_path, face(shift=(990.0, 480.0)))
    made = studio.create(data)
    scene, avatar = Scene.load(tmp_path / made.id), studio.load(made.id)
    assert scene.size == (1920, 960)
    small = cv2.resize(wide, scene.size, interpolation=cv2.INTER_AREA)
    off = np.abs(scene.paste(avatar.picture).astype(int) - small)
    assert off.mean() < 0.6 and np.percentile(off, 99.9) < 24
    before = (tmp_path / made.id / "scene.json").read_text()
    studio.refit(made.id, {"nose_tip": (made.points["nose_tip"][0] + 0.03, made.points["nose_tip"][1])})
    assert (tmp_path / made.id / "scene.json").read_text() != before, "the square follows the fit"
    off = np.abs(Scene.load(tmp_path / made.id).paste(studio.load(made.id).picture).astype(int) - small)
    assert off.mean() < 0.6


def test_avatars_can_be_deleted_but_only_those_made_here(tmp_path: Path) -> None:
    studio = maker(tmp_path, face())
    made = studio.create(photo())
    for other in ("mira", "../" + made.id, ""):
        with pytest.raises(KeyError):
            studio.delete(other)
    studio.delete(made.id)
    assert studio.list() == [] and not (tmp_path / made.id).exists()


@pytest.mark.parametrize(
    ("code", "faces", "data"),
    [
        ("no_face", (), photo()),
        ("too_small", (face(0.25, (100, 100)),), photo()),
        ("too_blurred", (face(),), photo(blur=8)),
        ("unclear", (Face(face().points[::-1].copy(), face().doubt, 0.9),), photo()),
    ],
)
def test_refusals_say_why(tmp_path: Path, code: str, faces: tuple[Face, ...], data: bytes) -> None:
    with pytest.raises(NoPortrait) as refusal:
        maker(tmp_path, *faces).create(data)
    assert refusal.value.code == code
    assert list(tmp_path.iterdir()) == [], "nothing half made is left"


def test_hidden_eyes_are_refused(tmp_path: Path) -> None:
    hidden = face()
    hidden.doubt[[row for row, name in enumerate(TRACKED_NAMES) if name.startswith("lid")]] = 16.0
    with pytest.raises(NoPortrait) as refusal:
        maker(tmp_path, hidden).create(photo())
    assert refusal.value.code == "eyes_hidden"


def test_dark_glasses_are_refused(tmp_path: Path) -> None:
    found = face()
    picture = read_picture(photo())
    for side in ("left", "right"):
        rows = [row for row, name in enumerate(TRACKED_NAMES) if name.startswith(f"lid_{side}")]
        x, y = (int(value) for value in found.points[rows].mean(0))
        cv2.ellipse(picture, (x, y), (40, 28), 0, 0, 360, (12, 12, 14), -1)
    with pytest.raises(NoPortrait) as refusal:
        maker(tmp_path, found).create(bytes(cv2.imencode(".png", picture[..., ::-1])[1]))
    assert refusal.value.code == "eyes_hidden"


@pytest.mark.parametrize("colour", [(40, 110, 190), (235, 235, 235), (30, 30, 32)])
def test_a_mask_is_refused(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    """Of any colour, in any light, and never a mouth, shut or open."""
    found, picture = face(), read_picture(photo())
    rows = [row for row, name in enumerate(TRACKED_NAMES) if name.startswith(("lip_", "mouth_", "alar", "chin"))]
    x, y, width, height = cv2.boundingRect(found.points[rows])
    cv2.rectangle(picture, (x - 30, y), (x + width + 30, y + height), colour, -1)
    grain = np.random.default_rng(0).normal(0, 3, picture.shape)
    for warmth in ((1.0, 1.0, 1.0), (1.0, 0.9, 0.75), (0.8, 0.9, 1.0)):
        lit = np.clip((picture + grain) * np.array(warmth), 0, 255).astype(np.uint8)
        with pytest.raises(NoPortrait) as refusal:
            maker(tmp_path, found).create(bytes(cv2.imencode(".png", lit[..., ::-1])[1]))
        assert refusal.value.code == "mouth_hidden"


@pytest.mark.parametrize("name", list_avatars())
def test_no_mouth_is_taken_for_a_mask(name: str) -> None:
    avatar = load_avatar(name)
    points = (avatar.geometry.keypoints[list(TRACKED), :2] + 1) * 256
    found = Face(points.astype(np.float32), face().doubt, 0.99)
    for warmth in ((1.0, 1.0, 1.0), (1.0, 0.85, 0.6), (0.7, 0.85, 1.0), (0.3, 0.3, 0.3)):
        picture = (avatar.picture * np.array(warmth)).astype(np.uint8)
        assert mouth_redness(picture, found) > COVERED_MOUTH + 0.05
        assert light(picture, found) > DARKEST_FACE


def test_a_face_in_the_dark_is_refused(tmp_path: Path) -> None:
    dark = (read_picture(photo()) * 0.15).astype(np.uint8)
    with pytest.raises(NoPortrait) as refusal:
        maker(tmp_path, face()).create(bytes(cv2.imencode(".png", dark[..., ::-1])[1]))
    assert refusal.value.code == "too_dark"


def test_a_head_turned_away_is_refused(tmp_path: Path) -> None:
    geometry = load_avatar(list_avatars()[0]).geometry
    posed = geometry.camera.project(geometry.mesh.pose(Motion(pose=HeadPose(yaw=0.65))))
    points = (geometry.select_keypoints(posed)[list(TRACKED), :2] + 1) * 256 + np.array([90, 80])
    with pytest.raises(NoPortrait) as refusal:
        maker(tmp_path, Face(points.astype(np.float32), face().doubt, 0.99)).create(photo())
    assert refusal.value.code == "too_turned"


def test_of_several_faces_the_largest_is_taken_and_said() -> None:
    chosen, notes = choose_face(np.zeros((9, 9, 3), np.uint8), OneFace(face(), face(0.5)))
    assert chosen.crop.side > 300 and "2 faces" in notes[0]


def test_there_is_a_limit(tmp_path: Path) -> None:
    studio = maker(tmp_path, face(), most=1)
    studio.create(photo())
    with pytest.raises(NoPortrait, match="delete some"):
        studio.create(photo())


def test_packs_lie_where_the_desktop_keeps_data() -> None:
    assert user_folder("", {"XDG_DATA_HOME": "/data"}) == Path("/data/visavis/avatars")
    assert user_folder("/here", {"XDG_DATA_HOME": "/data"}) == Path("/here")
    assert user_folder("", {}).parts[-4:] == (".local", "share", "visavis", "avatars")
