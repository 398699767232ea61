"""For all prices and intensities: no other start is better, and no run is in dear hours without need."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.timetables.situations import EXACT, HOUR, T0, ask, situation
from tidewatt.scheduler.plan import Plan, Why, Window
from tidewatt.scheduler.planning import ladder
from tidewatt.scheduler.planning.barring import dear, first_start, frozen
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.choice import choice_at
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.search import best_start
from tidewatt.scheduler.region import Freeze, Pool, PriceStep, Region

HOURS = 14
T0_MS, HOUR_MS = floor_ms(T0), 3_600_000
money = st.integers(-20, 60).map(lambda cents: cents / 100)
grids = st.lists(st.integers(1, 600).map(float), min_size=48, max_size=48)
tariffs = st.lists(money, min_size=HOURS, max_size=HOURS)
lengths = st.sampled_from([0.5, 1.0, 1.25, 2.0, 3.5])


def steps(prices: list[float]) -> tuple[PriceStep, ...]:
    edges = [T0_MS + number * HOUR_MS for number in range(len(prices) + 1)]
    return tuple(PriceStep(a, b, each) for (a, b), each in zip(pairwise(edges), prices, strict=True))


def region(prices: list[float], **more: object) -> Region:
    plain = Region("local", pools=(Pool("A100", 1),), cpus=16, home=True, prices=steps(prices))
    return replace(plain, **more)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(grids, tariffs, lengths, st.sampled_from([50.0, 500.0, 5000.0]))
def test_no_start_on_any_minute_weighs_less_than_the_chosen_one(
    grid: list[float], prices: list[float], hours: float, weight: float
) -> None:
    policy = replace(EXACT, g_per_price=weight, min_saving=0.0)
    around = situation([ask(1, finish_h=10, hours=hours)], grid, (region(prices),), policy=policy)
    [option] = Board(around).options(around.asks[0])
    found = best_start([option])
    assert found is not None
    assert found.cost is not None

    def weighed(start_ms: int) -> float:
        made = choice_at(option, start_ms)
        assert made.cost is not None
        return made.cost + made.extra

    last = T0_MS + round((10 - hours) * HOUR_MS)
    least = min(weighed(start) for start in range(T0_MS, last + 1, 300_000))
    assert weighed(found.start_ms) <= least + 1e-6 * max(abs(least), 1)


@settings(max_examples=60, deadline=None)
@given(tariffs, lengths, st.integers(4, 14), money)
def test_run_lies_below_the_ceiling_unless_the_deadline_would_be_missed(
    prices: list[float], hours: float, finish_h: int, most: float
) -> None:
    here = region(prices, max_price_per_kwh=most)
    wanted = ask(1, finish_h=finish_h, hours=hours)
    around = situation([wanted], (300.0,) * 48, (here,))
    plan = ladder.plan(around).plans[1]
    assert isinstance(plan, Plan)
    assert plan.why is not Why.LATE
    assert plan.window.end <= T0 + finish_h * HOUR
    start, end = floor_ms(plan.window.start), floor_ms(plan.window.end)
    if any(a < end and start < b for a, b in dear(wanted, here)):
        last = T0_MS + round((finish_h - hours) * HOUR_MS)
        cheap = first_start(wanted, here, T0_MS, end - start)
        assert cheap is None or cheap > last


@settings(max_examples=60, deadline=None)
@given(lengths, st.integers(0, 8), st.integers(1, 6))
def test_nothing_starts_in_a_freeze(hours: float, begin: int, length: int) -> None:
    window = Window(T0 + begin * HOUR, T0 + (begin + length) * HOUR)
    here = region([0.1] * HOURS, freezes=(Freeze(window, False, "x"),))
    grid = [float(300 - 10 * abs(hour - begin - 1)) for hour in range(48)]
    around = situation([ask(1, finish_h=30, hours=hours)], grid, (here,))
    plan = ladder.plan(around).plans[1]
    assert isinstance(plan, Plan)
    assert not any(a <= floor_ms(plan.window.start) < b for a, b in frozen(around.asks[0], here))
