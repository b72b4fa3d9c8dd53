import pytest

torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install visavis[train]")

from networks import face_vid2vid  # noqa: E402
from networks.appearance import Appearance  # noqa: E402
from networks.control_talk import FEATURES, WINDOW, ControlTalk  # noqa: E402
from networks.face_vid2vid import Pose, keypoints, rotation  # noqa: E402
from networks.head_pose import HeadPose, HeadPoseEstimator  # noqa: E402
from networks.spade import SpadeGenerator  # noqa: E402
from networks.warping import Warping  # noqa: E402


def test_rotations_are_for_columns_and_pitch_is_turned_last() -> None:
    angles = [torch.tensor([angle]) for angle in (20.0, -30.0, 40.0)]
    pitch, yaw, roll = angles
    none = torch.zeros(1)
    one_by_one = rotation(pitch, none, none) @ rotation(none, yaw, none) @ rotation(none, none, roll)
    torch.testing.assert_close(rotation(*angles), one_by_one)
    canonical, exp, t = torch.randn(1, 15, 3), torch.randn(1, 15, 3), torch.randn(1, 3)
    placed = keypoints(canonical, Pose(rotation(*angles), t), exp)
    torch.testing.assert_close(placed[0, 3], rotation(*angles)[0] @ canonical[0, 3] + t[0] + exp[0, 3])


def test_half_a_turn_is_314_hundredths() -> None:
    turned = rotation(torch.zeros(1), torch.zeros(1), torch.tensor([180.0]))
    assert turned[0, 1, 0].item() == pytest.approx(0.0015927, abs=1e-6)


def test_the_first_class_is_99_degrees_below_0() -> None:
    assert face_vid2vid.degrees(torch.tensor([[1e3] + [0.0] * 65])).item() == pytest.approx(-99)


def test_yaw_and_roll_come_from_each_others_layers() -> None:
    with torch.device("meta"):
        estimator = HeadPoseEstimator()
    for number, layer in enumerate((estimator.fc_yaw, estimator.fc_pitch, estimator.fc_roll)):
        layer.forward = lambda x, number=number: torch.full((1,), number)  # type: ignore[method-assign,misc]
    said: HeadPose = estimator(torch.zeros(1, 3, 64, 64, device="meta"))
    assert (said.yaw.item(), said.pitch.item(), said.roll.item()) == (2, 1, 0)


def test_the_published_generator_is_taken_apart_without_rest() -> None:
    with torch.device("meta"):
        networks = (Appearance(), Warping(15), SpadeGenerator(upscale=1))
        published = {
            **networks[0].state_dict(),
            **networks[1].state_dict(),
            **{f"decoder.{name}": value for name, value in networks[2].state_dict().items()},
        }
        parts = face_vid2vid.parts(published)
    for network, part in zip(networks, parts, strict=True):
        assert set(part) == set(network.state_dict())


@pytest.fixture(scope="module")
def talk() -> ControlTalk:
    torch.manual_seed(0)
    with torch.device("meta"):
        network = ControlTalk()
    # The large first layer says nothing here; the small last one is what these tests are about.
    network.audio_encoder.forward = lambda audio: audio[:, 0]  # type: ignore[method-assign]
    network.out_fc = torch.nn.Linear(45 + FEATURES, 45)
    return network


def test_expressions_go_in_by_coordinate_and_biases_come_out_by_keypoint(talk: ControlTalk) -> None:
    audio, exp = torch.randn(2, WINDOW, FEATURES), torch.randn(2, 15, 3)
    bias = talk(audio, exp)
    joined = torch.cat([exp[..., 0], exp[..., 1], exp[..., 2], audio[:, 0]], 1)
    wanted = torch.nn.functional.linear(joined, talk.out_fc.weight, talk.out_fc.bias)
    torch.testing.assert_close(bias[1, 4], wanted[1, 12:15])


def test_only_speech_is_scaled(talk: ControlTalk) -> None:
    audio, silence, exp = torch.randn(1, WINDOW, FEATURES), torch.randn(1, WINDOW, FEATURES), torch.randn(1, 15, 3)
    closed = exp + talk(silence, exp)
    torch.testing.assert_close(talk.speak(exp, audio, silence, 0.25), closed + 0.25 * talk(audio, closed))
    assert torch.equal(talk.speak(exp, audio, silence, 0.0), closed)
