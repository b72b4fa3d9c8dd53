"""The eight emotions: symmetrical, proportional, apart from each other, and modest about the mouth."""

from itertools import combinations

import numpy as np
import pytest

from engines.emotion import EMOTIONS, emotion_expression
from engines.expression import EXPRESSION_INDEX, EXPRESSION_NAMES, LIP_CHANNELS


@pytest.mark.parametrize("name", EMOTIONS)
def test_an_emotion_is_symmetrical_and_in_range(name: str) -> None:
    expression = emotion_expression(name, 1.0)
    assert expression.shape == (len(EXPRESSION_NAMES),) and expression.dtype == np.float32
    assert expression.min() >= 0.0 and 0.25 < expression.max() <= 1.0
    for left, index in EXPRESSION_INDEX.items():
        if left.endswith("Left"):
            right = EXPRESSION_INDEX[f"{left.removesuffix('Left')}Right"]
            assert expression[index] == expression[right]


@pytest.mark.parametrize("name", EMOTIONS)
def test_intensity_scales_it(name: str) -> None:
    np.testing.assert_allclose(emotion_expression(name, 0.5), 0.5 * emotion_expression(name, 1.0))
    assert not emotion_expression(name, 0.0).any()


def test_no_two_are_alike() -> None:
    for one, other in combinations(EMOTIONS, 2):
        difference = emotion_expression(one, 1.0) - emotion_expression(other, 1.0)
        assert np.abs(difference).max() > 0.25


@pytest.mark.parametrize("name", EMOTIONS)
def test_speech_keeps_the_mouth(name: str) -> None:
    """The channels that open and round the lips stay under a third of their range, save a lip that emotion lifts."""
    expression = emotion_expression(name, 1.0)
    for lips in ("jawOpen", "mouthClose", "mouthPucker", "mouthFunnel", "mouthRollLower", "tongueUp"):
        assert max(expression[EXPRESSION_INDEX[target]] for target in LIP_CHANNELS[lips]) <= 0.33


def test_what_cannot_be_felt_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of happy"):
        emotion_expression("bored", 1.0)
    for intensity in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            emotion_expression("happy", intensity)
