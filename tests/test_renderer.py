from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.avatar import UnknownAvatar, list_avatars, load_avatar
from engines.expression import EXPRESSION_INDEX, rest_expression
from engines.face_geometry import face_geometry
from engines.layers import compose, unfold
from engines.media import HeadPose, Motion
from engines.openvino_backend import OpenVinoBackend
from engines.pipeline import WEIGHTS
from engines.renderer import Renderer, Source, SourceEncoder
from engines.retouching import retouch
from engines.source_cache import SourceCache
from tests.photos import photo


def express(**coefficients: float) -> Motion:
    expression = rest_expression()
    for name, value in coefficients.items():
        expression[EXPRESSION_INDEX[name]] = value
    return Motion(expression)


OPEN = express(
    jawOpen=0.85, mouthLowerDownLeft=1, mouthLowerDownRight=1, mouthUpperUpLeft=1, mouthUpperUpRight=1
)  # fmt: skip


@pytest.fixture(scope="module")
def backend() -> OpenVinoBackend:
    return OpenVinoBackend("f32")


@pytest.fixture(scope="module")
def sources(backend: OpenVinoBackend) -> SourceCache[Source]:
    return SourceCache(SourceEncoder(backend, WEIGHTS))


@pytest.fixture(scope="module")
def renderer(backend: OpenVinoBackend) -> Renderer:
    return Renderer(backend, WEIGHTS)


def psnr(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / np.mean((first.astype(np.float32) - second.astype(np.float32)) ** 2)))


@pytest.mark.parametrize("name", list_avatars())
def test_rest_looks_like_the_portrait(name: str, sources: SourceCache[Source], renderer: Renderer) -> None:
    avatar = load_avatar(name)
    assert psnr(renderer.render(sources.get(avatar), Motion()), avatar.picture) > 32


@pytest.mark.parametrize("name", list_avatars())
def test_an_open_mouth_shows_what_the_portrait_hides_and_leaves_the_eyes_alone(
    name: str, sources: SourceCache[Source], renderer: Renderer
) -> None:
    avatar = load_avatar(name)
    shut, opened = (renderer.render(sources.get(avatar), motion) for motion in (Motion(), OPEN))
    geometry = face_geometry(avatar.geometry, OPEN)
    inside = geometry.mouth_maps[..., 0] == 0
    assert 0.02 < inside.mean() < 0.3
    mouths = [geometry.mouth.cut(picture)[inside].astype(int) for picture in (shut, opened)]
    assert np.abs(mouths[0] - mouths[1]).mean() > 15
    assert psnr(geometry.eyes.cut(opened), geometry.eyes.cut(shut)) > 32


def test_a_turned_head_moves_and_the_corners_of_the_picture_do_not(
    sources: SourceCache[Source], renderer: Renderer
) -> None:
    source = sources.get(load_avatar(list_avatars()[0]))
    still, turned = (renderer.render(source, Motion(pose=pose)) for pose in (HeadPose(), HeadPose(yaw=0.12)))
    assert psnr(still[200:350, 180:330], turned[200:350, 180:330]) < 30
    assert np.abs(still[:40, :40].astype(int) - turned[:40, :40]).max() <= 4


def test_a_photo_keeps_its_eyes_and_turns_as_far_as_it_can_show(backend: OpenVinoBackend, renderer: Renderer) -> None:
    picture, geometry = photo()
    avatar = replace(load_avatar(list_avatars()[0]), retouch=retouch(picture, geometry))
    source = SourceEncoder(backend, WEIGHTS)(avatar)
    rest = renderer.render(source, Motion())
    eyes = face_geometry(geometry, Motion()).eyes
    inner = eyes.cut(rest)[8:-8, 8:-8].astype(int) - eyes.cut(picture)[8:-8, 8:-8]
    assert np.abs(inner).mean() < 0.6
    near, far, plain = (
        renderer.render(shown, Motion(pose=HeadPose(yaw=yaw)))
        for shown, yaw in ((source, 0.35), (source, 0.5), (replace(source, retoucher=None), 0.5))
    )
    assert psnr(near, far) > psnr(far, plain) + 4


def test_equal_motions_give_equal_pictures(sources: SourceCache[Source], renderer: Renderer) -> None:
    source = sources.get(load_avatar(list_avatars()[0]))
    first = renderer.render(source, OPEN)
    renderer.render(source, Motion())
    np.testing.assert_array_equal(renderer.render(source, OPEN), first)


def test_a_layer_is_laid_over_the_picture_as_it_says() -> None:
    """Beside the windows, as in plain numbers; one that is transparent changes nothing."""
    avatar = load_avatar(list_avatars()[0])
    geometry = face_geometry(avatar.geometry, Motion())
    rng = np.random.default_rng(0)
    main, mouth, eyes = (np.zeros((1, *cells, 16), np.float32) for cells in ((64, 64), (56, 56), (32, 96)))
    for layer in (main, mouth, eyes):
        layer[..., 3::4] = -20
    np.testing.assert_array_equal(compose(avatar.picture, geometry, main, mouth, eyes), avatar.picture)
    main = rng.normal(0, 0.3, main.shape).astype(np.float32)
    keep, colour = (cv2.resize(part, (512, 512), interpolation=cv2.INTER_LINEAR) for part in unfold(main[0]))
    laid = (avatar.picture * keep[..., None] + colour).round().clip(0, 255)
    picture = compose(avatar.picture, geometry, main, mouth, eyes)
    for window in (geometry.mouth, geometry.eyes):
        window.cut(laid)[:] = window.cut(picture)
    assert np.abs(picture - laid).max() <= 1


def test_planes_are_i420(sources: SourceCache[Source], renderer: Renderer) -> None:
    source = sources.get(load_avatar(list_avatars()[0]))
    planes = renderer.step(source, Motion())
    back = cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420)
    assert psnr(back, renderer.render(source, Motion())) > 30


def test_a_source_is_encoded_once(sources: SourceCache[Source]) -> None:
    name = list_avatars()[0]
    assert sources.get(load_avatar(name)) is sources.get(load_avatar(name))


def test_an_unknown_avatar_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownAvatar, match=f"no avatar 'nobody'; choose one of: {list_avatars()[0]}"):
        load_avatar("nobody")


def test_a_name_cannot_leave_the_folder() -> None:
    with pytest.raises(UnknownAvatar):
        load_avatar("../avatars/" + list_avatars()[0])
