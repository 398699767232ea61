"""Carbon against delay and cost of one job."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.planning.frontier import Frontier, Point, frontier
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.region import Region

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
MARGINAL = Kind(Signal.MARGINAL, Basis.DIRECT, Boundary.CONSUMPTION)
HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000


def outlook(*values: float) -> Outlook:
    start = int(NOW.timestamp() * 1000) + HOUR_MS * np.arange(len(values), dtype=np.int64)
    steps = Steps(start, start + HOUR_MS, np.array(values, float))
    return Outlook("DE", KIND, steps, (Segment(NOW, NOW + len(values) * HOUR, Rung.LIVE, "test", NOW),))


def job(hours: float = 1, finish_by_h: float | None = 6) -> Ask:
    finish_by = None if finish_by_h is None else NOW + finish_by_h * HOUR
    length = timedelta(hours=hours)
    return Ask(1, NOW, Need(cpus=1), length, "yours", 1000.0, "given", finish_by=finish_by, home="home")


HOME, ABROAD = outlook(500, 400, 380, 200, 450, 500), outlook(300, 600, 600, 600, 600, 600)


def weighed(ask: Ask, policy: Policy | None = None, prices: tuple[float, float] = (0.0, 0.0)) -> Frontier:
    """Home gets cleaner by the hour, abroad is clean for an hour and then dirty."""
    found = frontier(ask, situation(policy, prices, HOME, ABROAD))
    assert isinstance(found, Frontier)
    return found


def situation(
    policy: Policy | None, prices: tuple[float, float], home: Outlook, abroad: Outlook
) -> Situation:
    regions = [
        Region("home", cpus=4, home=True, price_per_kwh=prices[0]),
        Region("abroad", cpus=4, price_per_kwh=prices[1]),
    ]
    policy = policy or Policy(margin=timedelta(0), min_wait=timedelta(0))
    return Situation(regions, {"home": home, "abroad": abroad}, (), NOW, policy)


def told(points: tuple[Point, ...]) -> list[tuple[str, float, float]]:
    return [(point.region, point.later_ms / HOUR_MS, round(point.expected_g, 6)) for point in points]


def test_only_starts_that_nothing_beats_are_left() -> None:
    found = weighed(job())
    assert told(found.points) == [("abroad", 0, 300), ("home", 3, 200)]
    assert found.immediate_g == 500
    assert found.chosen is not None
    assert told((found.chosen,)) == [("home", 3, 200)]


def test_point_says_up_to_which_worth_of_an_hour_it_is_chosen() -> None:
    found = weighed(job())
    assert [point.worth_g_per_h for point in found.points] == [np.inf, pytest.approx(100 / 3)]
    patient = weighed(job(), Policy(margin=timedelta(0), g_per_hour=30))
    hasty = weighed(job(), Policy(margin=timedelta(0), g_per_hour=40))
    assert patient.chosen is not None
    assert hasty.chosen is not None
    assert told((patient.chosen,)) == [("home", 3, 200)]
    assert told((hasty.chosen,)) == [("abroad", 0, 300)]


def test_cheaper_start_stays_beside_a_cleaner_one() -> None:
    found = weighed(job(), prices=(0.1, 0.5))
    # at once at home is dirtier than abroad, but cheaper; so is each cleaner hour at home
    assert told(found.points) == [
        ("abroad", 0, 300),
        ("home", 0, 500),
        ("home", 1, 400),
        ("home", 2, 380),
        ("home", 3, 200),
    ]
    assert [point.price for point in found.points] == [0.5, 0.1, 0.1, 0.1, 0.1]
    # for the cleanest of all no hour is waited by way of those between
    assert [point.worth_g_per_h is not None for point in found.points] == [True, False, False, False, True]


def test_window_may_end_at_the_edge_of_a_step() -> None:
    found = weighed(replace(job(hours=1.5), regions=("home",)))
    # 1.5 h that end with hour 3: half of 380 and all of 200
    assert told(found.points)[-1] == ("home", 2.5, 390)


def test_job_without_a_deadline_is_looked_at_for_two_days() -> None:
    found = weighed(job(finish_by_h=None))
    assert told(found.points) == [("abroad", 0, 300), ("home", 3, 200)]
    assert found.chosen is not None
    assert found.chosen.later_ms == 0  # as it would be planned: at once


def test_job_that_fits_nowhere_has_no_frontier() -> None:
    made = situation(None, (0, 0), outlook(1), outlook(1))
    assert isinstance(frontier(replace(job(), need=Need(cpus=99)), made), Infeasible)


def test_nothing_known_leaves_nothing_to_weigh() -> None:
    made = situation(None, (0, 0), outlook(1), outlook(1))
    found = frontier(job(), replace(made, outlooks={}))
    assert isinstance(found, Frontier)
    assert (found.points, found.chosen) == ((), None)


def test_frontier_never_rises_and_holds_the_cleanest_start() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        home, abroad = (outlook(*rng.uniform(50, 600, 30)) for _ in range(2))
        found = frontier(job(hours=3.3, finish_by_h=30), situation(None, (0, 0), home, abroad))
        assert isinstance(found, Frontier)
        grams = [point.expected_g for point in found.points]
        later = [point.later_ms for point in found.points]
        assert grams == sorted(grams, reverse=True)
        assert later == sorted(set(later))
        assert found.chosen is not None
        assert grams[-1] == pytest.approx(min(grams[-1], found.chosen.expected_g))
        weights = [point.worth_g_per_h for point in found.points if point.worth_g_per_h is not None]
        assert weights == sorted(weights, reverse=True)


def test_starts_that_the_other_signal_turns_down_are_not_offered() -> None:
    marginal = outlook(400, 390, 900, 900, 300, 300)
    other = replace(marginal, kind=MARGINAL)
    made = situation(Policy(signal="both", margin=timedelta(0)), (0, 0), HOME, ABROAD)
    found = frontier(replace(job(), regions=("home",)), replace(made, beside={"home": other}))
    assert isinstance(found, Frontier)
    # hours 2 and 3 are cleaner by the average and dirtier at the margin
    assert told(found.points) == [("home", 0, 500), ("home", 1, 400)]
    assert found.chosen is not None
    assert told((found.chosen,)) in ([("home", 1, 400)], [("home", 4, 450)])


def test_regions_of_another_kind_of_series_are_not_offered() -> None:
    direct = replace(ABROAD, kind=Kind(Signal.AVERAGE, Basis.DIRECT, Boundary.PRODUCTION))
    found = frontier(job(), situation(None, (0, 0), HOME, direct))
    assert isinstance(found, Frontier)
    assert {point.region for point in found.points} == {"home"}
