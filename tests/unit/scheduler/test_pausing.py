"""Jobs that may be interrupted: stories on a few hours."""

from dataclasses import replace
from datetime import timedelta
from itertools import combinations

import numpy as np
import pytest

from tests.timetables.problems import Site, Task, problem, timetable
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Milestone, Pausing, Plan, Why
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.draw import profile
from tidewatt.scheduler.planning.instants import moment
from tidewatt.scheduler.planning.pausing.bound import cheapest
from tidewatt.scheduler.planning.pausing.evaluation import cost_of, faults_of, progress_by
from tidewatt.scheduler.planning.pausing.planned import stints_plan
from tidewatt.scheduler.planning.pausing.programme import best_stints
from tidewatt.scheduler.planning.pausing.regions import compared
from tidewatt.scheduler.planning.pausing.work import Track, Work
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.timetable.interruption import with_pauses
from tidewatt.scheduler.planning.timetable.validator import faults
from tidewatt.scheduler.region import Pool, Region

T0_MS = 1_772_323_200_000  # 2026-03-01 00:00 UTC
HOUR_MS = 3_600_000
HOUR = timedelta(hours=1)
DAY = (100.0, 500.0, 500.0, 100.0, 100.0, 500.0)


def track(*cost: float, region: str = "here", **terms: float) -> Track:
    return Track(region, "gpu", np.array(cost), np.ones(len(cost), np.bool_), **terms)  # type: ignore[arg-type]


def work(*tracks: Track, hours: float = 3.0, pausing: Pausing | None = None, home: str = "here") -> Work:
    slots = len(tracks[0].cost)
    edges = T0_MS + HOUR_MS * np.arange(slots + 1, dtype=np.int64)
    ends = int(edges[-1])
    return Work(edges, tracks, int(hours * HOUR_MS), 1.0, T0_MS, ends, pausing or Pausing(), home)


def hours_of(found: Work, **terms: object) -> list[tuple[int, float, float]]:
    """Track, start and end in hours of the best stints."""
    stints = best_stints(replace(found, pausing=replace(found.pausing, **terms)))  # type: ignore[arg-type]
    assert stints is not None
    return [(at, (start - T0_MS) / HOUR_MS, (end - T0_MS) / HOUR_MS) for at, start, end in stints.parts]


def test_job_pauses_through_dirty_hours() -> None:
    assert hours_of(work(track(*DAY))) == [(0, 0, 1), (0, 3, 5)]


def test_restart_that_costs_more_than_it_saves_is_not_made() -> None:
    assert hours_of(work(track(*DAY)), restart_wh=500.0) == [(0, 0, 1), (0, 3, 5)]  # 50 g against 400
    assert hours_of(work(track(*DAY)), restart_wh=4_100.0) == [(0, 2, 5)]  # 410 g


def test_restart_occupies_the_hours_before_progress() -> None:
    found = work(track(*DAY), hours=2.0)
    assert hours_of(found, restart=0.5 * HOUR) == [(0, 3, 5)]
    split = work(track(100, 900, 900, 100, 100, 100, 900), hours=3.5)
    assert hours_of(split, restart=0.5 * HOUR) == [(0, 0, 1), (0, 3, 6)]


def test_checkpoint_is_made_before_a_pause_and_not_at_the_end() -> None:
    found = work(track(100, 100, 900, 100, 100, 900), hours=3.5)
    assert hours_of(found, checkpoint=0.5 * HOUR) == [(0, 0, 2), (0, 3, 5)]


def test_suspended_draw_makes_long_pauses_dear() -> None:
    assert hours_of(work(track(*DAY)), suspended_w=900.0) == [(0, 2, 5)]


def test_no_more_pauses_than_allowed() -> None:
    found = work(track(100, 900, 100, 900, 100, 150), hours=3.0)
    assert len(hours_of(found)) == 3
    assert len(hours_of(found, max_pauses=1)) == 2
    assert len(hours_of(found, max_pauses=0)) == 1


def test_stints_are_at_least_as_long_as_asked() -> None:
    found = work(track(100, 900, 120, 100, 130, 900), hours=3.0)
    assert hours_of(found, min_stint=2 * HOUR) == [(0, 2, 5)]


def test_milestone_makes_half_of_it_early() -> None:
    found = work(track(500, 500, 500, 100, 100, 100), hours=2.0)
    early = Milestone(0.5, moment(T0_MS + 2 * HOUR_MS))
    assert hours_of(found) == [(0, 3, 5)]
    parts = best_stints(replace(found, pausing=Pausing(milestones=(early,))))
    assert parts is not None
    assert progress_by(found, parts.parts, T0_MS + 2 * HOUR_MS) == HOUR_MS


def test_only_the_dearest_slot_is_used_in_part() -> None:
    assert hours_of(work(track(100, 300, 120, 900, 110, 900), hours=2.5))[0] == (0, 0, 1)
    assert sum(end - start for _, start, end in hours_of(work(track(*DAY), hours=2.5))) == 2.5


def test_hours_that_are_not_free_or_not_known_are_left_out() -> None:
    closed = track(100, 100, 100, 100, 100, 100)
    closed = replace(closed, free=np.array([True, False, True, True, True, True]))
    unknown = track(100, 100, np.inf, 900, 900, 900)
    assert hours_of(work(closed, hours=5.0)) == [(0, 0, 1), (0, 2, 6)]
    assert hours_of(work(unknown, hours=4.0)) == [(0, 0, 2), (0, 3, 5)]


def test_job_that_fits_nowhere_has_no_stints() -> None:
    assert best_stints(work(track(*DAY), hours=7.0)) is None
    assert cheapest(work(track(*DAY), hours=7.0)) == np.inf


def test_faster_place_needs_less_time() -> None:
    assert hours_of(work(track(*DAY), track(*DAY, region="there", speed=3.0), home="there")) == [(1, 0, 1)]


def test_moving_and_staying_are_told_apart() -> None:
    here = track(100, 100, 900, 900, 900, 900)
    there = track(900, 900, 900, 100, 100, 900, region="there", arrive_g=30.0, arrive_ms=HOUR_MS)
    static, dynamic = compared(work(here, there, hours=4.0))
    assert static is not None
    assert dynamic is not None
    assert static.cost_g == pytest.approx(2000.0)
    assert dynamic.cost_g == pytest.approx(430.0)
    assert [at for at, *_ in dynamic.parts] == [0, 1]


def test_data_have_to_arrive_before_the_next_stint() -> None:
    here = track(100, 900, 900, 900)
    there = track(900, 100, 100, 900, region="there", arrive_ms=HOUR_MS)
    found = work(here, there, hours=2.0, pausing=Pausing(moves=True))
    stints = best_stints(found)
    assert stints is not None
    assert faults_of(found, stints.parts) == []
    assert faults_of(found, ((0, T0_MS, T0_MS + HOUR_MS), (1, T0_MS + HOUR_MS, T0_MS + 2 * HOUR_MS)))


def test_what_breaks_the_terms_is_told() -> None:
    found = work(track(*DAY), pausing=Pausing(restart=HOUR, max_pauses=0))
    broken = ((0, T0_MS - HOUR_MS, T0_MS + HOUR_MS), (0, T0_MS + 3 * HOUR_MS, T0_MS + 4 * HOUR_MS))
    said = " ".join(faults_of(found, broken))
    for words in ("too early", "not free", "less than 1", "1 pauses, of 0", "of work are done"):
        assert words in said
    assert cost_of(found, ((0, T0_MS, T0_MS + HOUR_MS),)) == pytest.approx(100.0)


def test_timetable_gives_pauses_to_those_that_may_pause() -> None:
    tasks = [Task(hours=3, due=6, pausing=Pausing()), Task(hours=1, due=6)]
    queue = problem([Site(DAY)], tasks)
    made = timetable([(0, 2), (0, 5)])
    better = with_pauses(queue, made)
    assert faults(queue, better) == []
    assert len(better.stints[0]) == 2
    assert better.start_ms[1] == made.start_ms[1]
    assert not with_pauses(queue, timetable([(0, 2), (0, 0)])).stints  # the clean first hour is taken


def test_timetable_places_by_pausing_what_has_no_room_in_one_piece() -> None:
    tasks = [Task(hours=4, due=6, pausing=Pausing()), Task(hours=2, due=6)]
    queue = problem([Site(DAY)], tasks)
    found = with_pauses(queue, timetable([None, (0, 2)]))
    assert faults(queue, found) == []
    assert found.place[0] == 0
    assert len(found.stints[0]) == 2


def situation(values: tuple[float, ...] = DAY) -> Situation:
    starts = T0_MS + HOUR_MS * np.arange(len(values), dtype=np.int64)
    now = moment(T0_MS)
    segment = Segment(now, now + len(values) * HOUR, Rung.LIVE, "made up")
    kind = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
    outlook = Outlook("DE", kind, Steps(starts, starts + HOUR_MS, np.array(values)), (segment,))
    regions = [Region("local", pools=(Pool("gpu", 1),), cpus=8, home=True)]
    return Situation(regions, {"local": outlook}, (), now, Policy(margin=timedelta(0)))


def asked(pausing: Pausing | None, hours: float = 3.0) -> Ask:
    now = moment(T0_MS)
    job = Ask(1, now, Need(gpus=1), hours * HOUR, "yours", 1000.0, "given", finish_by=now + 6 * HOUR)
    return replace(job, pausing=pausing)


def test_plan_has_stints_where_pausing_saves() -> None:
    seen, job = situation(), asked(Pausing(restart=0.25 * HOUR))
    plan = stints_plan(job, Board(seen).options(job), seen.now, seen.policy)
    assert isinstance(plan, Plan)
    assert len(plan.stints) == 2
    assert plan.why is Why.CLEANEST
    assert "less than in one piece" in plan.reason
    assert plan.window.start == plan.stints[0].window.start
    assert plan.window.end == plan.stints[-1].window.end <= seen.now + 6 * HOUR
    assert plan.expected_g is not None
    one = stints_plan(asked(None), Board(seen).options(asked(None)), seen.now, seen.policy)
    assert isinstance(one, Plan)
    assert one.expected_g is not None
    assert plan.expected_g < one.expected_g
    assert not one.stints


@pytest.mark.parametrize("watts", [(900.0, 300.0, 300.0), (300.0, 300.0, 900.0), (0.0, 900.0, 600.0)])
def test_a_pausing_job_runs_its_hungry_part_in_the_cleaner_hours(watts: tuple[float, ...]) -> None:
    hours = (150.0, 200.0, 500.0, 120.0, 400.0, 100.0)
    seen = situation(hours)
    mean_w, steps = profile([(index / 3, each) for index, each in enumerate(watts)])
    job = replace(asked(Pausing()), duration=3 * HOUR, power_w=mean_w, power_steps=steps)
    plan = stints_plan(job, Board(seen).options(job), seen.now, seen.policy)
    assert isinstance(plan, Plan)
    costs = [sum(w * g for w, g in zip(watts, some, strict=True)) for some in combinations(hours, 3)]
    assert plan.expected_g == pytest.approx(min(costs) / 1000)


def test_plan_stays_in_one_piece_where_pausing_saves_nothing() -> None:
    seen, job = situation((100.0,) * 6), asked(Pausing())
    plan = stints_plan(job, Board(seen).options(job), seen.now, seen.policy)
    assert isinstance(plan, Plan)
    assert not plan.stints
