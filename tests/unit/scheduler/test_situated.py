"""A situation's queue in slots, and a timetable of it as plans."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Booking, Pausing, Plan, Window
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.timetable import slots
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Timetable
from tidewatt.scheduler.planning.timetable.situated import Situated, situated
from tidewatt.scheduler.region import Pool, Region

T0 = datetime(2026, 3, 1, 0, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
POLICY = Policy(min_wait=timedelta(0), margin=timedelta(0))
HERE = Region("local", pools=(Pool("A100", 2),), cpus=16)
THERE = Region("north", pools=(Pool("H100 80GB", 4, speed=2.0, power=1.5),), cpus=64, pue=1.5)


@pytest.fixture(autouse=True)
def slots_of_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the steps of the grid, so that the numbers here can be reckoned by hand."""
    monkeypatch.setattr(slots, "FINE_ENOUGH", 6)


def outlook(values: Sequence[float]) -> Outlook:
    first = floor_ms(T0.replace(minute=0))
    starts = first + 3_600_000 * np.arange(len(values), dtype=np.int64)
    segment = Segment(T0, T0 + len(values) * HOUR, Rung.LIVE, "file x.csv")
    return Outlook("DE", KIND, Steps(starts, starts + 3_600_000, np.array(values, float)), (segment,))


def ask(job_id: int, **changes: object) -> Ask:
    usual = Ask(job_id, T0, Need(gpus=1), 6 * HOUR, "yours", 500.0, "given", finish_by=T0 + 20 * HOUR)
    return replace(usual, **changes)  # type: ignore[arg-type]


def built(
    asks: Sequence[Ask], bookings: Sequence[Booking] = (), regions: Sequence[Region] = (HERE,)
) -> Situated:
    grids = {region.name: outlook([300.0, 200.0, 100.0] + [400.0] * 40) for region in regions}
    made = situated(Situation(regions, grids, bookings, T0, POLICY, asks))
    assert made is not None
    return made


def test_the_first_slot_lasts_from_now_to_the_next_border_and_the_others_are_equal() -> None:
    places = built([ask(1)]).problem.places
    assert places.edges_ms[0] == floor_ms(T0)
    assert places.edges_ms[1] == floor_ms(T0.replace(hour=1, minute=0))
    assert set(np.diff(places.edges_ms[1:]).tolist()) == {3_600_000}
    assert places.cost[0, :4].tolist() == [300, 200, 100, 400]


def test_a_booking_takes_the_whole_of_each_slot_it_touches_but_only_its_share_from_what_could_be_used() -> (
    None
):
    booking = Booking("local", "A100", Window(T0, T0.replace(hour=1, minute=15)), 1, 1)
    made = built([ask(1)], [booking])
    assert made.problem.places.units[0, :3].tolist() == [1, 1, 2]
    assert made.relaxed.places.units[0, :3].tolist() == pytest.approx([1, 1.75, 2])


def test_what_is_about_to_be_launched_is_booked_and_not_planned_again() -> None:
    first = ask(1)
    plan = next(iter(plans(built([first]), start_h=0).values()))
    due = replace(plan, window=Window(T0, T0 + 6 * HOUR))
    grids = {"local": outlook([300.0] * 40)}
    made = situated(Situation((HERE,), grids, (), T0, POLICY, (first, ask(2)), {1: due}))
    assert made is not None
    assert [each.job_id for each in made.asks] == [2]
    assert made.problem.places.units[0, :8].tolist() == [1, 1, 1, 1, 1, 1, 1, 2]


def test_a_queue_whose_deadlines_have_all_passed_still_has_slots() -> None:
    made = built([ask(1, finish_by=T0 - HOUR)])
    assert len(made.problem.places.edges_ms) >= 2
    assert made.problem.jobs.due_ms[0] < floor_ms(T0)


def test_jobs_without_a_deadline_are_not_shifted_and_not_in_it() -> None:
    made = built([ask(1), ask(2, finish_by=None), ask(3, at_once=True)])
    assert [each.job_id for each in made.asks] == [1]
    assert (
        situated(Situation((HERE,), {"local": outlook([1.0] * 9)}, (), T0, POLICY, (ask(2, finish_by=None),)))
        is None
    )


def test_a_job_goes_only_where_it_may_and_where_its_kind_of_gpu_is() -> None:
    asks = [
        ask(1),
        ask(2, regions=("north",)),
        ask(3, need=Need(gpus=1, gpu_kind="a100")),
        ask(4, need=Need(cpus=2)),
    ]
    made = built(asks, regions=(HERE, THERE))
    names = made.problem.places.names
    suits = made.problem.menus.allowed[made.problem.jobs.menu]
    rows = [[names[at] for at in np.flatnonzero(row)] for row in suits]
    assert rows == [
        [("local", "A100"), ("north", "H100 80GB")],
        [("north", "H100 80GB")],
        [("local", "A100")],
        [("local", ""), ("north", "")],
    ]


def test_a_plan_tells_the_grams_of_its_window_and_of_starting_at_once() -> None:
    [plan] = plans(built([ask(1, duration=HOUR)]), start_h=40 / 60 + 1).values()
    assert plan.window == Window(T0.replace(hour=2, minute=0), T0.replace(hour=3, minute=0))
    assert plan.expected_g == pytest.approx(0.5 * 100)
    assert plan.immediate_g == pytest.approx(0.5 * (300 * 40 + 200 * 20) / 60)
    assert plan.immediate_start == T0
    assert plan.reason.startswith("waits 1h40m for cleaner electricity")


def test_a_faster_kind_of_gpu_takes_less_time_and_its_own_draw() -> None:
    made = built([ask(1)], regions=(HERE, THERE))
    at = made.problem.places.names.index(("north", "H100 80GB"))
    table = Timetable(np.array([at]), np.array([floor_ms(T0)]))
    [plan] = made.plans(table, table).values()
    assert plan.window.end - plan.window.start == 3 * HOUR
    hours = 300 * 40 / 60 + 200 + 100 + 400 * 20 / 60
    assert plan.expected_g == pytest.approx(0.5 * 1.5 * 1.5 * hours)


def test_plans_and_timetables_are_the_same_thing() -> None:
    made = built([ask(1), ask(2)])
    table = Timetable(np.array([0, NOWHERE]), np.array([floor_ms(T0 + 2 * HOUR), 0]))
    back = made.timetable(made.plans(table, table))
    assert back.place.tolist() == [0, NOWHERE]
    assert back.start_ms[0] == table.start_ms[0]


def test_a_job_with_pauses_has_its_stints_in_plan_and_timetable_alike() -> None:
    pausing = Pausing(restart=timedelta(minutes=30))
    made = built([ask(1, duration=2 * HOUR, pausing=pausing)])
    two, three = floor_ms(T0.replace(hour=2, minute=0)), floor_ms(T0.replace(hour=3, minute=0))
    stints = ((0, two, three), (0, three + 3_600_000, three + 9_000_000))
    at_once = Timetable(np.array([0]), np.array([floor_ms(T0)]))
    table = Timetable(np.array([0]), np.array([two]), {0: stints})
    [plan] = made.plans(table, at_once).values()
    assert [each.window.end - each.window.start for each in plan.stints] == [HOUR, 1.5 * HOUR]
    assert plan.window == Window(plan.stints[0].window.start, plan.stints[1].window.end)
    assert plan.expected_g == pytest.approx(0.5 * (100 + 1.5 * 400))
    assert made.timetable({1: plan}).stints == {0: stints}


def plans(made: Situated, start_h: float) -> dict[int, Plan]:
    n = len(made.asks)
    start = np.full(n, floor_ms(T0 + start_h * HOUR))
    return made.plans(
        Timetable(np.zeros(n, int), start), Timetable(np.zeros(n, int), np.full(n, floor_ms(T0)))
    )
