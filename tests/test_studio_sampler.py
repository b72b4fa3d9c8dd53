"""What the studio shows is decided by the seed alone."""

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the studio needs the train extra: pip install visavis[train]")
pytest.importorskip("moderngl", reason="the studio needs the train extra: pip install visavis[train]")

from engines.expression import EXPRESSION_INDEX
from engines.eyes import LOOK_DOWN_RANGE, LOOK_UP_RANGE
from training.studio.cast import HELD_OUT, SHIPPED
from training.studio.crowd import passer_by, skin_tone
from training.studio.frames import Job, motions, schedule
from training.studio.identity import Identity, macro_weights, random_sliders
from training.studio.sampler import lips_of, motion, random_motion, sequence, states


def test_the_same_seed_gives_the_same_motions() -> None:
    job = Job(SHIPPED[0], "frames_00", 5)
    first, again = motions(job, 1), motions(job, 1)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.expression, other.expression)
        assert one.pose == other.pose and one.gaze == other.gaze
    assert not np.array_equal(first[0].expression, motions(job, 2)[0].expression)
    assert not np.array_equal(first[0].expression, motions(Job(SHIPPED[1], "frames_00", 5), 1)[0].expression)
    assert not np.array_equal(first[0].expression, motions(Job(SHIPPED[0], "frames_01", 5), 1)[0].expression)


def test_random_motions_cover_what_serving_may_ask_for() -> None:
    rng = np.random.default_rng(0)
    drawn = [random_motion(rng) for _ in range(2000)]
    expressions = np.stack([one.expression for one in drawn])
    assert expressions.dtype == np.float32 and expressions.min() >= 0 and expressions.max() < 2
    jaw = expressions[:, EXPRESSION_INDEX["jawOpen"]]
    shut = expressions[:, EXPRESSION_INDEX["mouthClose"]]
    blink = expressions[:, EXPRESSION_INDEX["eyeBlinkLeft"]]
    assert jaw.max() > 0.9 and ((shut > 0.5) & (jaw < 0.2)).mean() > 0.03
    assert 0.05 < (blink == 1).mean() < 0.12 and 0.08 < ((blink > 0.1) & (blink < 1)).mean() < 0.2
    yaw = np.degrees([one.pose.yaw for one in drawn])
    assert 20 < np.abs(yaw).max() <= 22 and (np.abs(yaw) < 3.3).mean() > 0.25
    surprised = (expressions[:, EXPRESSION_INDEX["browInnerUp"]] > 0.3) & (jaw > 0.2)
    assert surprised.mean() > 0.05, "emotions show while the mouth talks"
    assert np.abs(np.degrees([one.gaze for one in drawn])).max() <= 15


def test_lids_follow_the_gaze_unless_shut() -> None:
    down = motion(lips_of("neutral"), gaze=(LOOK_DOWN_RANGE, 0.0)).expression
    up = motion(lips_of("neutral"), gaze=(-LOOK_UP_RANGE, 0.0)).expression
    shut = motion(lips_of("neutral"), blink=(1.0, 0.0), gaze=(LOOK_DOWN_RANGE, 0.0)).expression
    assert down[EXPRESSION_INDEX["eyeLookDownLeft"]] == 1 and down[EXPRESSION_INDEX["eyeLookUpLeft"]] == 0
    assert up[EXPRESSION_INDEX["eyeLookUpRight"]] == 1 and up[EXPRESSION_INDEX["eyeLookDownRight"]] == 0
    assert shut[EXPRESSION_INDEX["eyeLookDownLeft"]] == 0 and shut[EXPRESSION_INDEX["eyeLookDownRight"]] == 1


def test_fixed_motions_begin_at_rest() -> None:
    assert len(states()) == 17 and not states()["neutral"].expression.any()
    talk = sequence()
    assert len(talk) == 24 and not talk[0].expression.any()
    change = np.abs(np.diff(np.stack([one.expression for one in talk]), axis=0)).max()
    assert 0.1 < change < 0.7


def test_pressed_lips_stay_together_in_every_emotion() -> None:
    pressed, free = (motion(lips_of(name), emotion={"surprised": 0.5, "afraid": 0.5}) for name in ("P", "neutral"))
    jaw, brow = EXPRESSION_INDEX["jawOpen"], EXPRESSION_INDEX["browInnerUp"]
    assert pressed.expression[jaw] == 0 < free.expression[jaw]
    assert pressed.expression[brow] == free.expression[brow] > 0.5


def test_the_schedule_starts_with_who_ships_and_writes_nothing_twice() -> None:
    jobs = schedule(crowd=5, shipped=60, each=10)
    files = Counter((job.identity.id, job.kind) for job in jobs)
    assert max(files.values()) == 1
    frames = Counter[str]()
    for job in jobs:
        if job.kind.startswith("frames"):
            frames[job.identity.id] += job.count
    assert {frames[identity.id] for identity in SHIPPED} == {60}
    assert {frames[f"p{number:04d}"] for number in range(5)} == {10}
    assert not any(frames[identity.id] for identity in HELD_OUT), "nothing to be tempted by"
    first = [job.identity.id for job in jobs[: jobs.index(Job(HELD_OUT[0], "source", 1))]]
    assert set(first) == {identity.id for identity in SHIPPED}
    assert {kind for name, kind in files if name == "h0"} == {"source", "states", "sequence"}


def test_the_cast_has_distinct_names_and_everyone_who_ships_is_described() -> None:
    everyone = (*SHIPPED, *HELD_OUT)
    assert len({identity.id for identity in everyone}) == len(everyone) == 11
    assert all(identity.name and identity.description for identity in SHIPPED)


def test_a_passer_by_is_who_the_number_says_and_all_are_different() -> None:
    crowd = [passer_by(number) for number in range(300)]
    assert crowd[7] == passer_by(7) and len({one.id for one in crowd}) == 300
    for name in ("skin", "hair", "garment", "iris", "brows", "lashes"):
        assert len({getattr(one, name) for one in crowd}) >= 4
    ages = np.array([one.age for one in crowd])
    assert ages.min() < 0.42 and ages.max() > 0.75
    assert 0.4 < np.mean([one.gender > 0.5 for one in crowd]) < 0.6
    assert np.min([np.mean([np.argmax(one.race) == race for one in crowd]) for race in range(3)]) > 0.2
    tones = np.array([skin_tone(lightness) for lightness in np.linspace(0, 1, 9)])
    assert (np.diff(tones, axis=0) > 0).all() and (np.diff(tones, axis=1) < 0).all()


@pytest.mark.parametrize("age", [0.2, 0.5, 0.9])
def test_macro_weights_share_out_one_person(age: float) -> None:
    person = Identity("x", 0.3, age, (2.0, 1.0, 1.0), skin="", hair="", garment="", weight=0.7, muscle=0.2)
    weights = macro_weights(person)
    races = sum(weight for name, weight in weights.items() if "universal" not in name)
    builds = sum(weight for name, weight in weights.items() if "universal" in name)
    assert races == pytest.approx(1) and builds == pytest.approx(1)
    caucasian = sum(weight for name, weight in weights.items() if "caucasian" in name)
    assert caucasian == pytest.approx(0.5)


def test_sliders_are_drawn_from_the_seed_and_left_resembles_right() -> None:
    sliders = random_sliders(7, 0.25)
    assert sliders == random_sliders(7, 0.25) != random_sliders(8, 0.25)
    left = np.array([value for name, value in sliders.items() if "/l-" in name])
    right = np.array([value for name, value in sliders.items() if "/r-" in name])
    assert 0 < np.abs(left - right).max() < 0.4
    assert np.corrcoef(left, right)[0, 1] > 0.5
