"""The scheduler on a virtual clock: see `tests.simulation`."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from engines.cost import BUCKETS, CostCurve
from engines.media import FRAME_TICKS, STEP, AudioChunk
from engines.scheduler import MOST_WAITING, PATIENCE, Outcome, Scheduler, Seat, Step
from engines.workers import perform_each
from tests.simulation import House, SilentPipeline

HEAVY = CostCurve(BUCKETS, (0.0042, 0.0060, 0.0098, 0.0172, 0.0325, 0.0630))
LIGHT = CostCurve(BUCKETS, (0.0030, 0.0035, 0.0045, 0.0065, 0.0105, 0.0190))
ALONE = CostCurve((1,), (0.009,))
HOUSES = [(HEAVY, 1), (LIGHT, 1), (ALONE, 1), (ALONE, 2), (CostCurve((1,), (0.019,)), 2)]
SECONDS = 4.0


def spread(house: House, count: int) -> list[float]:
    return list(house.rng.uniform(0, STEP, count))


def at_once(house: House, count: int) -> list[float]:
    return [0.0] * count


def just_after_the_others(house: House, count: int) -> list[float]:
    return [0.0 if index < count // 3 else 0.0005 for index in range(count)]


PHASES = [spread, at_once, just_after_the_others]


@pytest.mark.parametrize(("curve", "workers"), HOUSES)
@pytest.mark.parametrize("phases", PHASES)
@pytest.mark.parametrize("seed", range(3))
def test_in_a_full_house_every_picture_is_in_time(
    curve: CostCurve, workers: int, phases: Callable[[House, int], list[float]], seed: int
) -> None:
    house = House(curve, workers, seed, factors=(0.6, 1.25))
    for phase in phases(house, curve.capacity(STEP, workers)):
        house.call(phase, SECONDS)
    house.run(SECONDS + 1)
    for caller in house.callers:
        assert caller.asked >= 99 and caller.in_time >= caller.asked - 1  # it may leave before its last
        assert caller.pictures == [index * FRAME_TICKS for index in range(len(caller.pictures))]


@pytest.mark.parametrize(("curve", "workers"), HOUSES)
@pytest.mark.parametrize("seed", range(4))
def test_coming_going_and_interrupting_disturb_nobody(curve: CostCurve, workers: int, seed: int) -> None:
    """Voices come up to 5 ms late, one caller takes the place of another, and everybody interrupts now and then."""
    slack, jitter = STEP, 0.005
    house = House(curve, workers, seed, factors=(0.6, 1.25), slack=slack)
    for _ in range(curve.capacity(slack - jitter, workers)):
        begin = float(house.rng.uniform(0, STEP))
        while begin < SECONDS:
            end = begin + float(house.rng.exponential(1.5))
            caller = house.call(begin, end, jitter)
            for when in house.rng.uniform(begin, end, 3):
                house.at(float(when), caller.interrupt)
            begin = end + 2 * STEP
    house.run(SECONDS + 20)
    assert len(house.callers) > 2
    for caller in house.callers:
        begun = 1 + 3  # those in the making when it left or interrupted are dropped
        assert caller.in_time == len(caller.pictures) >= caller.asked - begun
        assert np.all(np.diff(caller.pipeline.heard) == FRAME_TICKS // 2)


@pytest.mark.parametrize(("curve", "workers"), HOUSES)
@pytest.mark.parametrize("excess", [1.5, 2.2, 4.0])
@pytest.mark.parametrize("seed", range(2))
def test_in_a_house_too_full_all_miss_alike_and_none_freezes(
    curve: CostCurve, workers: int, excess: float, seed: int
) -> None:
    house = House(curve, workers, seed, factors=(0.6, 1.25))
    for phase in spread(house, round(curve.capacity(STEP, workers) * excess)):
        house.call(phase, 3 * SECONDS)
    house.run(3 * SECONDS)
    shares = np.array([len(caller.pictures) / caller.asked for caller in house.callers])
    assert shares.min() > 0.75 * shares.mean()
    turn = curve.response(len(house.callers), workers) * 1.25
    for caller in house.callers:
        assert caller.standstill < max(turn, PATIENCE) + 2 * STEP
        assert caller.in_time > 0.15 * caller.asked
        heard = len(caller.pipeline.heard) // 2
        assert caller.asked - 2 - turn / STEP <= heard <= caller.asked, "every voice is heard, drawn or not"
        assert np.all(np.diff(caller.pipeline.heard) == FRAME_TICKS // 2)


def test_nobody_freezes_where_no_picture_can_be_in_time() -> None:
    house = House(CostCurve((1,), (0.07,)), 1, seed=0)
    for phase in spread(house, 3):
        house.call(phase, SECONDS)
    house.run(SECONDS)
    counts = [len(caller.pictures) for caller in house.callers]
    assert min(counts) >= SECONDS / 0.07 / 3 - 2 and max(caller.standstill for caller in house.callers) < 0.3


@pytest.mark.parametrize(("curve", "workers"), HOUSES)
def test_costs_that_nobody_measured_are_learned(curve: CostCurve, workers: int) -> None:
    shares = []
    for expected in (curve, CostCurve.unknown(curve.buckets)):
        house = House(curve, workers, seed=0, factors=(0.6, 1.25))
        house.scheduler.expect(expected)
        for phase in spread(house, 2 * curve.capacity(STEP, workers) + 1):
            house.call(phase, 2 * SECONDS)
        house.run(2 * SECONDS)
        shares.append(np.mean([caller.in_time / caller.asked for caller in house.callers]))
    assert shares[1] > 0.9 * shares[0]


def test_batches_fill_up_with_the_house() -> None:
    sizes = []
    for count in (2, 30, 60):
        house = House(LIGHT, 1, seed=1)
        for phase in spread(house, count):
            house.call(phase, SECONDS)
        house.run(SECONDS)
        assert max(house.batches) <= LIGHT.largest
        sizes.append(np.mean(house.batches))
    assert sizes[0] < 1.2 < 2 < sizes[1] < 15 < sizes[2]


# Turn by turn


def step(index: int, deadline: float, epoch: int = 0) -> Step:
    first, second = (
        AudioChunk(np.full(320, 7, np.int16), (2 * index + half) * FRAME_TICKS // 2, epoch) for half in (0, 1)
    )
    return Step((first, second), deadline)


def seated(scheduler: Scheduler, count: int, draws: bool = True) -> tuple[list[Seat], list[list[Outcome]]]:
    delivered: list[list[Outcome]] = [[] for _ in range(count)]
    return [scheduler.join(SilentPipeline(), each.append, draws=draws) for each in delivered], delivered


def work(scheduler: Scheduler, now: float, seconds: float = 0.0) -> list[Seat]:
    turns = scheduler.take(now)
    scheduler.finish(turns, perform_each(turns), seconds, now + seconds)
    return [turn.seat for turn in turns]


def test_the_earliest_deadline_goes_first() -> None:
    scheduler = Scheduler(ALONE)
    seats, _ = seated(scheduler, 3)
    for seat, deadline in zip(seats, (0.3, 0.1, 0.2), strict=True):
        seat.push(step(0, deadline))
    order = [work(scheduler, 0.0) for _ in range(4)]
    assert order == [[seats[1]], [seats[2]], [seats[0]], []]


def test_a_batch_is_no_larger_than_those_in_it_have_time_for() -> None:
    scheduler = Scheduler(CostCurve((1, 4), (0.01, 0.03)))
    seats, _ = seated(scheduler, 3)
    for seat in seats:
        seat.push(step(0, 0.02))
    assert len(work(scheduler, 0.0)) == 1
    for seat in seats:
        seat.push(step(1, 0.07))
    assert len(work(scheduler, 0.03)) == 3


def test_a_picture_that_would_be_late_waits_for_those_that_can_be_in_time_but_not_for_long() -> None:
    scheduler = Scheduler(ALONE)
    (late, other), _ = seated(scheduler, 2)
    for index in range(10):
        now = index * STEP
        late.push(step(index, now + 0.005))
        other.push(step(index, now + STEP))
        if work(scheduler, now) == [late]:
            break
    assert 4 <= index <= 6 and late.undrawn == index


def test_a_worker_that_lags_hears_all_and_draws_the_newest() -> None:
    scheduler = Scheduler(ALONE)
    (seat,), (delivered,) = seated(scheduler, 1)
    for index in range(3):
        seat.push(step(index, 1.0))
    work(scheduler, 0.0)
    (outcome,) = delivered
    assert [moved.media_time for moved in outcome.motions] == [0, FRAME_TICKS, 2 * FRAME_TICKS]
    assert outcome.frame is not None and outcome.frame.media_time == 2 * FRAME_TICKS
    assert seat.undrawn == 2


def test_who_wants_no_pictures_gets_motions() -> None:
    drawn: list[tuple[int, int]] = []
    scheduler = Scheduler(ALONE, lambda size, late: drawn.append((size, late)))
    (seat,), (delivered,) = seated(scheduler, 1, draws=False)
    seat.push(step(0, 1.0))
    work(scheduler, 0.0)
    assert len(delivered[0].motions) == 1 and delivered[0].frame is None and drawn == []


def test_workers_that_are_stuck_do_not_pile_voices_up() -> None:
    scheduler = Scheduler(ALONE)
    (seat,), (delivered,) = seated(scheduler, 1)
    for index in range(100):
        seat.push(step(index, 1.0))
    work(scheduler, 0.0)
    assert len(delivered[0].motions) == MOST_WAITING and seat.undrawn == 99


def test_an_interruption_drops_what_is_being_made_and_hushes_what_waits() -> None:
    scheduler = Scheduler(ALONE)
    (seat,), (delivered,) = seated(scheduler, 1)
    seat.push(step(0, 1.0))
    turns = scheduler.take(0.0)
    seat.push(step(1, 1.0))
    seat.interrupt(1)
    scheduler.finish(turns, perform_each(turns), 0.0, 0.0)
    assert delivered[0].motions == () and delivered[0].frame is None
    (turn,) = scheduler.take(0.0)
    assert all(chunk.epoch == 1 and not chunk.pcm.any() for each in turn.steps for chunk in each.chunks)
    scheduler.finish([turn], perform_each([turn]), 0.0, 0.0)
    frame = delivered[1].frame
    assert frame is not None and (frame.epoch, frame.media_time) == (1, FRAME_TICKS)


def test_who_has_left_gets_nothing_and_keeps_nobody_waiting() -> None:
    scheduler = Scheduler(ALONE)
    (gone, stays), delivered = seated(scheduler, 2)
    gone.push(step(0, 1.0))
    turns = scheduler.take(0.0)
    gone.leave()
    stays.push(step(0, 1.0))
    assert work(scheduler, 0.0) == [stays]
    outcomes = perform_each(turns)
    assert not closed(gone), "a worker is at it"
    scheduler.finish(turns, outcomes, 0.0, 0.0)
    assert [len(each) for each in delivered] == [0, 1]
    assert closed(gone) and not closed(stays)
    stays.leave()
    stays.leave()
    assert closed(stays)


def closed(seat: Seat) -> bool:
    return bool(getattr(seat.pipeline, "closed", False))


def test_changes_come_before_the_frame_and_without_one_at_once() -> None:
    scheduler = Scheduler(ALONE)
    (seat, other), delivered = seated(scheduler, 2)
    heard: list[int] = []
    other.push(step(0, 0.01))
    seat.change(lambda pipeline: heard.append(len(pipeline.heard)))
    assert work(scheduler, 0.0) == [seat] and heard == [0]
    seat.push(step(0, 1.0))
    seat.change(lambda pipeline: heard.append(len(pipeline.heard)))
    seat.change(lambda pipeline: pipeline.heard[99])
    work(scheduler, 0.0)
    work(scheduler, 0.0)
    first, second = delivered[0]
    assert heard == [0, 0] and first.errors == (None,)
    assert second.errors[0] is None and isinstance(second.errors[1], IndexError) and second.frame is not None


def test_batches_and_late_pictures_are_told() -> None:
    told: list[tuple[int, int]] = []
    scheduler = Scheduler(LIGHT, lambda size, late: told.append((size, late)))
    seats, _ = seated(scheduler, 3)
    for seat, deadline in zip(seats, (0.05, 0.1, 0.2), strict=True):
        seat.push(step(0, deadline))
    work(scheduler, 0.0, seconds=0.15)
    assert told == [(3, 2)]


def test_pictures_of_one_seat_come_in_order() -> None:
    house = House(ALONE, 4, seed=3, factors=(0.1, 4.0))
    callers = [house.call(0.01 * index, SECONDS) for index in range(3)]
    house.run(SECONDS)
    for caller in callers:
        assert all(before < after for before, after in pairwise(caller.pictures))
