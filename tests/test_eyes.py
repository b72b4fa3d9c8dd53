"""Eyes and lids: look coefficients and back, and blinks that close."""

import numpy as np
import pytest

from engines.expression import EXPRESSION_INDEX, FloatArray, rest_expression
from engines.eyes import gaze_of, lids_of, set_eyes


def eyes(gaze: tuple[float, float], left: float = 0.0, right: float = 0.0, **values: float) -> FloatArray:
    expression = rest_expression()
    for name, value in values.items():
        expression[EXPRESSION_INDEX[name]] = value
    set_eyes(expression, gaze, np.array([left, right]))
    return expression


@pytest.mark.parametrize("gaze", [(0.0, 0.0), (0.2, 0.1), (-0.2, 0.3), (0.1, -0.4)])
def test_the_gaze_is_read_back_from_the_coefficients(gaze: tuple[float, float]) -> None:
    assert gaze_of(eyes(gaze)) == pytest.approx(gaze, abs=1e-6)


def test_left_is_the_model_s_left() -> None:
    expression = eyes((0.0, 0.3))
    assert expression[EXPRESSION_INDEX["eyeLookOutLeft"]] > 0.5 < expression[EXPRESSION_INDEX["eyeLookInRight"]]
    assert expression[EXPRESSION_INDEX["eyeLookInLeft"]] == expression[EXPRESSION_INDEX["eyeLookOutRight"]] == 0.0


def test_one_eye_can_wink() -> None:
    winking = eyes((0.2, 0.0), left=1.0, eyeWideLeft=0.8, eyeWideRight=0.8)
    np.testing.assert_array_equal(lids_of(winking), [1.0, 0.0])
    assert winking[EXPRESSION_INDEX["eyeWideLeft"]] == winking[EXPRESSION_INDEX["eyeLookDownLeft"]] == 0.0
    assert winking[EXPRESSION_INDEX["eyeWideRight"]] == np.float32(0.8)
    assert winking[EXPRESSION_INDEX["eyeLookDownRight"]] > 0.3
