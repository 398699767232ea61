"""A queue from files as arrays: who may run where, at what cost, with what free."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps, instant
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.plan import Window
from tidewatt.scheduler.planning.intensity import CostCurve, curve_of
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.timetable.problem import NOWHERE
from tidewatt.scheduler.queue_files import read_jobs
from tidewatt.scheduler.queue_problem import QueueProblem, problem_of
from tidewatt.scheduler.region import Pool, Region

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
HOUR_MS = 3_600_000
AVERAGE = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
DIRECT = Kind(Signal.AVERAGE, Basis.DIRECT, Boundary.PRODUCTION)


def curve(values: list[float], kind: Kind = AVERAGE, step_min: int = 60) -> CostCurve | None:
    step_ms = step_min * 60_000
    start = NOW_MS + step_ms * np.arange(len(values), dtype=np.int64)
    segment = Segment(NOW, instant(NOW_MS + len(values) * step_ms), Rung.LIVE, "test", NOW)
    return curve_of(Outlook("DE", kind, Steps(start, start + step_ms, np.array(values, float)), (segment,)))


SITE = Region(
    "site",
    pools=(Pool("nvidia a100", 16, 8), Pool("nvidia h100", 8, 4, speed=2.0, power=1.5)),
    cpus=32,
    pue=1.5,
    home=True,
    power_limit_kw=10,
    closed=(Window(NOW + timedelta(minutes=90), NOW + timedelta(hours=3)),),
)
CLOUD = Region("cloud", pools=(Pool("a100", 4),), cpus=0)


def made(folder: Path, jobs: str, **curves: CostCurve | None) -> QueueProblem:
    path = folder / "jobs.csv"
    path.write_text(jobs)
    known = {"site": curve([100.0] * 24), "cloud": curve([200.0] * 24)} | curves
    return problem_of(read_jobs(path, NOW), [SITE, CLOUD], known, {}, NOW, Policy())


def test_kind_size_and_wish_say_where_a_job_may_run(tmp_path: Path) -> None:
    found = made(
        tmp_path,
        "duration_s,slack_h,gpus,gpu_kind,regions,exclude_regions\n"
        "3600,2,4,,,\n3600,2,8,,,\n3600,2,1,h100:speed=3;a100,,\n3600,2,1,,cloud,\n3600,2,1,,,cloud\n3600,2,0,,,\n",
    ).problem
    assert found.places.names == (
        ("site", "nvidia a100"), ("site", "nvidia h100"), ("site", ""), ("cloud", "a100"),
    )  # fmt: skip
    allowed = found.menus.allowed[found.jobs.menu]
    assert allowed.tolist() == [
        [True, True, False, True],  # four fit on any node
        [True, False, False, False],  # eight on a node of the site's A100 alone
        [True, True, False, True],
        [False, False, False, True],
        [True, True, False, False],
        [False, False, True, False],
    ]
    speed, power = found.menus.speed[found.jobs.menu], found.menus.power[found.jobs.menu]
    assert (speed[0].tolist(), power[0].tolist()) == ([1, 2, 1, 1], [1, 1.5, 1, 1])  # the pool's own
    assert (speed[2].tolist(), power[2].tolist()) == ([1, 3, 1, 1], [1, 1, 1, 1])  # the job's word
    assert found.jobs.home.tolist() == [0, 0, 0, 0, 0, 2]
    assert found.jobs.units.tolist() == [4, 8, 1, 1, 1, 1]


def test_job_that_home_could_never_hold_has_no_home(tmp_path: Path) -> None:
    found = made(tmp_path, "duration_s,slack_h,gpus,home\n3600,2,8,cloud\n").problem
    assert found.jobs.home.tolist() == [NOWHERE]


def test_cost_has_the_pue_and_closed_hours_have_nothing_free(tmp_path: Path) -> None:
    found = made(tmp_path, "duration_s,slack_h\n3600,3\n")
    places = found.problem.places
    hours = (places.edges_ms - NOW_MS) / HOUR_MS
    touched = (hours[:-1] < 3) & (hours[1:] > 1.5)
    assert (places.units[0] == np.where(touched, 0, 16)).all()
    assert (places.units[-1] == 4).all()
    assert places.cost[0].tolist() == pytest.approx([150.0] * len(places.cost[0]))
    assert (places.site.tolist(), places.site_kw[:, 0].tolist()) == ([1, 1, 0], [np.inf, 10.0])
    assert places.node_units.tolist() == [8, 4, 0]


def test_only_one_kind_of_series_is_compared(tmp_path: Path) -> None:
    found = made(tmp_path, "duration_s,slack_h\n3600,2\n", cloud=curve([1.0] * 24, DIRECT))
    assert found.problem.menus.allowed.tolist() == [[True, True, False]]
    dark = made(tmp_path, "duration_s,slack_h\n3600,2\n", cloud=None)
    assert dark.problem.menus.allowed.tolist() == [[True, True, False]]
    assert np.isinf(dark.problem.places.cost[2]).all()


def test_slots_are_fine_for_short_jobs_and_no_finer_than_is_worth_it(tmp_path: Path) -> None:
    few = made(tmp_path, "duration_s,slack_h\n1800,4\n")
    assert few.slot_ms == 5 * 60_000
    long = made(tmp_path, "duration_s,slack_h\n36000,4\n")
    assert long.slot_ms == HOUR_MS
    quarters = made(tmp_path, "duration_s,slack_h\n36000,4\n", cloud=curve([1.0] * 96, step_min=15))
    assert quarters.slot_ms == 15 * 60_000
    many = made(tmp_path, "duration_s,slack_h\n" + "1800,200\n" * 6000, site=curve([100.0] * 240))
    assert many.slot_ms == HOUR_MS


def test_slots_are_no_longer_than_the_grids_steps_however_far_the_last_deadline_is(tmp_path: Path) -> None:
    jobs = "duration_s,slack_h\n36000,4\n36000,8000\n"
    hours = made(tmp_path, jobs, site=curve([100.0, 600.0] * 4100))
    assert hours.slot_ms <= HOUR_MS
    cost = hours.problem.places.cost[0]
    assert set(cost[np.isfinite(cost)].round(6).tolist()) == {
        150.0,
        900.0,
    }  # unmixed
    minutes = made(tmp_path, "duration_s,slack_h\n36000,4\n", cloud=curve([1.0] * 2400, step_min=1))
    assert minutes.slot_ms == 60_000
    odd = made(tmp_path, "duration_s,slack_h\n3000,4\n", cloud=curve([1.0] * 96, step_min=15))
    assert odd.slot_ms in (5 * 60_000, 15 * 60_000)  # ten minutes would lie across two steps


def test_planned_time_ends_where_nothing_is_known_any_more(tmp_path: Path) -> None:
    problem = made(tmp_path, "duration_s,slack_h\n3600,4\n3600,2000\n").problem
    assert problem.jobs.due_ms.tolist() == [NOW_MS + 5 * HOUR_MS, NOW_MS + 24 * HOUR_MS]
    assert problem.places.edges_ms[-1] <= NOW_MS + 25 * HOUR_MS


@pytest.mark.parametrize(
    ("jobs", "sentence"),
    [
        ("duration_s,slack_h,gpu_kind\n60,1,h200\n", "column gpu_kind: no region has a GPU of kind 'h200'"),
        (
            "duration_s,finish_by\n9000,2026-03-01T01:00Z\n",
            "column finish_by: alone and at once it would end",
        ),
    ],
)
def test_job_that_could_never_run_is_a_mistake(tmp_path: Path, jobs: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=f"line 2, {sentence}"):
        made(tmp_path, jobs)


def test_arrays_share_a_limit(tmp_path: Path) -> None:
    jobs = made(
        tmp_path,
        "duration_s,slack_h,array,array_limit\n60,1,a,2\n60,1,a,2\n60,1,b,\n60,1,,\n60,1,c,1\n",
    ).problem.jobs
    assert (jobs.group.tolist(), jobs.group_limit.tolist()) == ([0, 0, -1, -1, 1], [2, 1])


def test_regions_without_anything_to_run_on_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("duration_s,slack_h\n60,1\n")
    with pytest.raises(BadInput, match="no region has a GPU or core for any job"):
        problem_of(read_jobs(path, NOW), [Region("bare", home=True)], {}, {}, NOW, Policy())
