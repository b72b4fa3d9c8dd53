import time
from collections.abc import Sequence

from engines.cost import CostCurve
from engines.scheduler import Outcome, Turn
from engines.workers import perform_each
from realtime.calibration import Costs, measure
from tests.caller import serve
from tests.fakes import FakeAvatar, FakeEngine

SLACK = 0.04


def test_faces_drawn_one_by_one_share_the_cores_with_their_encoding() -> None:
    curve = CostCurve((1,), (0.010,))
    assert Costs(curve, 0.0, 0.0, 0.0).capacity(SLACK, workers=2, cores=2) == 6
    assert Costs(curve, 0.005, 0.0, 0.0).capacity(SLACK, workers=2, cores=2) == 4
    assert Costs(curve, 0.100, 0.0, 0.0).capacity(SLACK, workers=2, cores=2) == 1


def test_faces_drawn_in_batches_are_as_many_as_the_encoders_carry() -> None:
    curve = CostCurve((1, 32), (0.001, 0.002))
    assert Costs(curve, 0.004, 0.0, 0.0).capacity(SLACK, workers=1, cores=4) == 32
    assert Costs(curve, 0.004, 0.0, 0.0).capacity(SLACK, workers=1, cores=1) == 8
    assert Costs(curve, 0.500, 0.0, 0.0).capacity(SLACK, workers=1, cores=1) == 1


def test_a_whole_photo_takes_the_places_of_as_many_as_it_costs() -> None:
    alone = CostCurve((1,), (0.010,))
    assert Costs(alone, 0.005, 0.0, 0.0).photo_places(SLACK, workers=2, cores=2) == 1
    assert Costs(alone, 0.005, 0.010, 0.0).photo_places(SLACK, workers=2, cores=2) == 2, "4 calls, or 2 with photos"
    assert Costs(alone, 0.005, 0.100, 0.0).photo_places(SLACK, workers=2, cores=2) == 4, "the whole house"
    batches = CostCurve((1, 32), (0.001, 0.012))
    assert Costs(batches, 0.001, 0.003, 0.0).photo_places(SLACK, workers=1, cores=16) == 1, "the GPU is what is short"
    assert Costs(batches, 0.004, 0.012, 0.0).photo_places(SLACK, workers=1, cores=2) == 4


def test_a_clip_takes_the_places_of_as_many_as_it_costs() -> None:
    alone, batches = CostCurve((1,), (0.010,)), CostCurve((1, 32), (0.001, 0.012))
    assert Costs(alone, 0.005, 0.0, moving=0.011).clip_places() == 1
    assert Costs(alone, 0.005, 0.0, moving=0.024).clip_places() == 2
    assert Costs(batches, 0.005, 0.0, moving=0.037).clip_places() == 3, "encoded beside the GPU"
    assert Costs(alone, 0.005, 0.0, moving=0.002).clip_places() == 1


def test_what_is_measured_is_what_drawing_takes() -> None:
    costs = measure(FakeEngine(cost=0.01), FakeAvatar("ada"), perform_each, (1,), workers=2)
    assert 0.01 <= costs.curve.cost(1) < 0.05, "two workers at the same time, not one after the other"
    assert 0 < costs.encode < 0.1 and costs.photo > costs.encode
    assert 1.5 < costs.moving / costs.curve.cost(1) < 2.5, "clips take the fake twice the time"


def test_every_bucket_is_measured_full() -> None:
    sizes: list[int] = []

    def perform(turns: Sequence[Turn]) -> list[Outcome]:
        sizes.append(len(turns))
        time.sleep(0.002 * len(turns))
        return perform_each(turns)

    costs = measure(FakeEngine(), FakeAvatar("ada"), perform, (1, 2, 8), workers=1)
    assert set(sizes) == {1, 2, 8}
    assert costs.curve.cost(8) >= 0.016 > costs.curve.cost(1)


async def test_a_server_without_a_limit_takes_as_many_calls_as_it_measures() -> None:
    async with serve(FakeEngine(cost=0.03), max_sessions=0) as (_, client):
        slow = (await client.get("/healthz")).json()["capacity"]
        assert f"visavis_capacity {slow}.0" in (await client.get("/metrics")).text
    async with serve(FakeEngine(), max_sessions=0) as (_, client):
        assert 1 <= slow <= 2 <= (await client.get("/healthz")).json()["capacity"]
