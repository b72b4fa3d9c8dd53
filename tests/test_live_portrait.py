import math

import pytest

torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install visavis[train]")

from torch import Tensor  # noqa: E402

from networks import head_rotation, live_portrait, stitching  # noqa: E402
from networks.live_portrait import Face, absolute, keypoints, relative  # noqa: E402


def face(seed: int, batch: int = 2) -> Face:
    random = torch.Generator().manual_seed(seed)
    angles = (torch.rand(batch, generator=random) * 60 - 30 for _ in range(3))
    exp, t, kp = (torch.randn(batch, *shape, generator=random) * 0.1 for shape in ((21, 3), (3,), (21, 3)))
    return Face(live_portrait.rotation(*angles), exp, t, 1 + torch.rand(batch, 1, generator=random), kp)


def bins(angle: float) -> Tensor:
    """Logits so sure of two neighbouring classes that their mean is `angle`."""
    place = (angle + live_portrait.OFFSET_DEGREES) / 3
    below = math.floor(place)
    logits = torch.full((66,), -1e3)
    logits[below], logits[below + 1] = math.log(1 - place + below + 1e-9), math.log(place - below + 1e-9)
    return logits


@pytest.mark.parametrize("angle", [-97.4, 0.0, 31.4, 95.0])
def test_classes_tell_degrees(angle: float) -> None:
    assert live_portrait.degrees(bins(angle)[None]).item() == pytest.approx(angle, abs=1e-3)


@pytest.mark.parametrize(
    ("angles", "sees"),
    [((90.0, 0.0, 0.0), (0, 0, 1)), ((0.0, 0.0, 90.0), (-1, 0, 0)), ((0.0, 90.0, 0.0), (0, 1, 0))],
)
def test_right_handed_turns_of_a_quarter_move_the_y_axis(
    angles: tuple[float, float, float], sees: tuple[int, int, int]
) -> None:
    turned = torch.tensor([[0.0, 1.0, 0.0]]) @ live_portrait.rotation(*(torch.tensor([angle]) for angle in angles))
    assert turned[0, 0].tolist() == pytest.approx(sees, abs=1e-6)


def test_pitch_is_turned_first_and_roll_last() -> None:
    pitch, yaw, roll = (torch.tensor([angle]) for angle in (20.0, -30.0, 40.0))
    none = torch.zeros(1)
    one_by_one = (
        live_portrait.rotation(pitch, none, none)
        @ live_portrait.rotation(none, yaw, none)
        @ live_portrait.rotation(none, none, roll)
    )
    torch.testing.assert_close(live_portrait.rotation(pitch, yaw, roll), one_by_one)
    x, y, z = head_rotation.about_axes(*(angle * math.pi / 180 for angle in (pitch, yaw, roll)))
    torch.testing.assert_close((z @ y @ x).transpose(1, 2), one_by_one)


def test_keypoints_are_turned_then_bent_then_scaled_then_moved_in_the_plane() -> None:
    one = face(0)
    placed = keypoints(one)
    row = one.scale[1, 0] * (one.kp[1, 7] @ one.rotation[1] + one.exp[1, 7])
    torch.testing.assert_close(placed[1, 7], row + one.t[1] * torch.tensor([1.0, 1.0, 0.0]))


def test_a_driver_who_does_not_move_leaves_the_source_as_it_is() -> None:
    source, driver = face(0), face(1)
    torch.testing.assert_close(relative(source, driver, driver), keypoints(source))


def test_a_driver_who_moves_moves_the_source_as_much() -> None:
    source, first, now = face(0), face(1), face(2)
    moved = relative(source, first, now)
    rotation = now.rotation @ first.rotation.transpose(1, 2) @ source.rotation
    bent = source.kp @ rotation + source.exp + now.exp - first.exp
    shift = (source.t + now.t - first.t) * torch.tensor([1.0, 1.0, 0.0])
    torch.testing.assert_close(moved, (source.scale * now.scale / first.scale)[..., None] * bent + shift[:, None])


def test_an_absolute_motion_keeps_what_makes_the_person() -> None:
    source, now = face(0), face(1)
    bent = absolute(source, now) - now.t[:, None] * torch.tensor([1.0, 1.0, 0.0])
    exp = bent / source.scale[..., None] - source.kp @ now.rotation
    from_driver = (exp - now.exp).abs().amax(0) < 1e-6
    from_source = (exp - source.exp).abs().amax(0) < 1e-6
    assert torch.equal(from_driver, ~from_source)
    rows = {i: "".join("xyz"[c] for c in range(3) if row[c]) for i, row in enumerate(from_driver.tolist()) if any(row)}
    whole = dict.fromkeys((1, 2, 6, *range(11, 21)), "xyz")
    assert rows == whole | {3: "y", 4: "y", 5: "z", 8: "z", 9: "yz"}


def test_stitching_moves_each_keypoint_and_then_all_in_the_plane() -> None:
    driving, correction = torch.randn(2, 21, 3), torch.randn(2, 65)
    fitted = stitching.stitched(driving, correction)
    offset = correction[1, 3 * 4 : 3 * 5] + torch.tensor([*correction[1, 63:].tolist(), 0.0])
    torch.testing.assert_close(fitted[1, 4], driving[1, 4] + offset)
