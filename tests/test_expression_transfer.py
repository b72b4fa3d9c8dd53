from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.expression import EXPRESSION_INDEX
from engines.expression_transfer import ExpressionTransfer, motion_vector, poses_to_show
from engines.keypoint_face import KeypointFace
from engines.media import HeadPose, Motion

KEYPOINTS = 21
SIZE = len(motion_vector(Motion()))


class Stage:
    """Actors whose pictures say nothing but which motion they show, and an extractor that answers linearly."""

    def __init__(self, answer: NDArray[np.float64]) -> None:
        self.answer = answer
        self.shown: list[tuple[int, Motion]] = []

    def actor(self, person: int, motion: Motion) -> NDArray[np.uint8]:
        self.shown.append((person, motion))
        return np.zeros((512, 512, 3), np.uint8)

    def look(self, picture: NDArray[np.uint8]) -> KeypointFace:
        person, motion = self.shown[-1]
        rng = np.random.default_rng(person)
        own = rng.normal(size=7 + 3 * KEYPOINTS) * 0.1
        vector = (own + (motion_vector(motion) - motion_vector(Motion())) @ self.answer).astype(np.float32)
        kp = rng.normal(size=(KEYPOINTS, 3)).astype(np.float32)
        return KeypointFace(vector[:3], vector[3:6], float(np.exp(vector[6])), vector[7:].reshape(-1, 3), kp)


def measured(answer: NDArray[np.float64]) -> ExpressionTransfer:
    stage = Stage(answer)
    actors = [lambda motion, person=person: stage.actor(person, motion) for person in range(2)]
    return ExpressionTransfer.measure(actors, stage.look)


@pytest.fixture(scope="module")
def answer() -> NDArray[np.float64]:
    return np.random.default_rng(9).normal(size=(SIZE, 7 + 3 * KEYPOINTS)) * 0.05


def test_what_the_extractor_sees_of_a_motion_is_what_the_motion_becomes(answer: NDArray[np.float64]) -> None:
    transfer = measured(answer)
    rng = np.random.default_rng(3)
    motion = Motion(
        rng.uniform(0, 0.6, Motion().expression.shape).astype(np.float32),
        HeadPose(0.1, -0.2, 0.05, (0.1, 0.0, -0.1)),
        (0.1, -0.15),
    )
    wanted = (motion_vector(motion) - motion_vector(Motion())) @ answer
    assert np.abs(transfer(motion) - wanted).max() < 0.03 * np.abs(wanted).max()


def test_a_face_at_rest_stays_as_it_is(answer: NDArray[np.float64]) -> None:
    assert not measured(answer)(Motion()).any()


def test_every_coefficient_turn_and_shift_is_shown_apart_from_the_others() -> None:
    changes = np.array([motion_vector(motion) - motion_vector(Motion()) for motion in poses_to_show()])
    assert np.linalg.matrix_rank(changes) == SIZE
    closed = changes[changes[:, EXPRESSION_INDEX["mouthClose"]] > 0]
    assert (closed[:, EXPRESSION_INDEX["jawOpen"]] >= closed[:, EXPRESSION_INDEX["mouthClose"]]).all()


def test_it_is_kept_and_refused_when_the_vocabulary_has_changed(answer: NDArray[np.float64], tmp_path: Path) -> None:
    transfer = measured(answer)
    transfer.save(tmp_path / "transfer.npy")
    again = ExpressionTransfer.load(tmp_path / "transfer.npy")
    smile = replace(Motion(), gaze=(0.1, 0.0))
    assert np.array_equal(again(smile), transfer(smile))
    ExpressionTransfer(transfer.matrix[1:]).save(tmp_path / "old.npy")
    with pytest.raises(ValueError, match="measured anew"):
        ExpressionTransfer.load(tmp_path / "old.npy")
