"""Change of source without a jump."""

import numpy as np
import pytest

from engines.handover import Handover, Vector


def vector(*values: float) -> Vector:
    return np.array(values)


def test_the_first_source_is_taken_at_once_and_followed_exactly() -> None:
    state = Handover.begin(np.zeros(2))
    for value in (1.0, 3.0, -2.0):
        state = state.step("one", vector(value, 0.0), 0.1)
        assert state.value.tolist() == [value, 0.0]


def test_a_named_beginning_is_left_softly() -> None:
    state = Handover.begin(np.zeros(1), "rest").step("one", vector(1.0), 0.1)
    assert 0.0 < state.value[0] < 0.1


def test_a_new_source_takes_over_without_jump_overshoot_or_lag() -> None:
    state = Handover.begin(np.zeros(1)).step("one", vector(0.0), 0.1)
    way = []
    for frame in range(50):
        state = state.step("other", vector(1.0 + 0.02 * frame), 0.1)
        way.append(1.0 + 0.02 * frame - state.value[0])
    assert way[0] > 0.9 and np.all(np.diff(way) < 0.0) and 0.0 < way[-1] < 1e-6
    assert way[7] < 0.25, "three quarters of the way after 2.7 time constants"


def test_a_control_that_is_dragged_is_followed_softly() -> None:
    state = Handover.begin(np.zeros(1)).step(0.0, vector(0.0), 0.06)
    shown = []
    for frame in range(60):
        goal = min(1.0, frame / 25)
        state = state.step(goal, vector(goal), 0.06)
        shown.append(state.value[0])
    assert np.diff(shown).min() >= -1e-9 and np.diff(shown).max() < 0.06
    assert shown[-1] == pytest.approx(1.0, abs=1e-3)


def test_once_the_new_source_has_taken_over_it_alone_counts() -> None:
    state = Handover.begin(np.zeros(2)).step("one", vector(0.0, 0.0), 0.1).step("other", vector(1.0, 0.0), 0.1)
    assert state.offset is not None
    for _ in range(100):
        state = state.step("other", vector(2.0, 3.0), 0.1)
    assert state.offset is None and state.value.tolist() == [2.0, 3.0]
