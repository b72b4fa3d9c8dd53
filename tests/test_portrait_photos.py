"""Photographs of people and of other things, as a well-kept package ships them, through the shipped weights."""

import cv2
import numpy as np
import pytest

data = pytest.importorskip("skimage.data", reason="the photographs come with scikit-image: pip install scikit-image")

from engines.landmarks import TRACKED_NAMES, LandmarkFinder  # noqa: E402
from engines.openvino_backend import OpenVinoBackend  # noqa: E402
from engines.portrait import NoPortrait  # noqa: E402
from engines.portrait_pack import AvatarMaker  # noqa: E402


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> AvatarMaker:
    return AvatarMaker(tmp_path_factory.mktemp("avatars"))


def photo(name: str) -> bytes:
    picture = getattr(data, name)()
    picture = picture[..., :3] if picture.ndim == 3 else np.dstack([picture] * 3)
    return bytes(cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1])


def test_the_astronauts_face_is_found_where_it_is() -> None:
    (face,) = LandmarkFinder(OpenVinoBackend("f32")).find(data.astronaut())
    for name, place in {  # read off by eye
        "iris_left": (247, 104),
        "iris_right": (203, 101.5),
        "nose_tip": (225, 125),
        "mouth_corner_left": (246, 141),
        "mouth_corner_right": (202.5, 140.5),
        "lip_lower_outer_middle": (225, 156),
        "chin": (225, 176),
    }.items():
        off = face.points[TRACKED_NAMES.index(name)] - place
        assert np.hypot(*off) < 0.13 * face.eye_distance, f"{name} is off by {off}"


def test_the_astronaut_becomes_an_avatar(maker: AvatarMaker) -> None:
    made = maker.create(photo("astronaut"), "Astronaut")
    assert "soft" in made.notes[0]
    avatar = maker.load(made.id)
    assert avatar.geometry.pictured is not None, "she smiles with her teeth showing"
    assert avatar.retouch is not None
    red, green, blue = avatar.retouch.mouth.teeth
    assert 255 > red > green > blue > 0.85 * red, "her teeth are as white as in the photo"
    assert (avatar.retouch.sealed(avatar.picture) != avatar.picture).any(2).sum() > 500


@pytest.mark.parametrize("name", ["chelsea", "coffee", "rocket", "brick", "camera", "gravel", "moon"])
def test_what_is_no_portrait_is_refused(maker: AvatarMaker, name: str) -> None:
    with pytest.raises(NoPortrait):
        maker.create(photo(name))


def test_nothing_and_noise_are_refused(maker: AvatarMaker) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    for picture in (np.full((300, 300, 3), 200, np.uint8), noise):
        with pytest.raises(NoPortrait):
            maker.create(bytes(cv2.imencode(".png", picture)[1]))
