"""The plan of a queue from files: checked, and replaced by a simpler one where it does not stand up."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps, instant
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.planning.intensity import curve_of
from tidewatt.scheduler.planning.policy import Link, Policy
from tidewatt.scheduler.planning.timetable import solve as planner
from tidewatt.scheduler.planning.timetable.validator import faults
from tidewatt.scheduler.queue_answer import AT_ONCE, POLISHED, WHOLE, QueueAnswer, answer
from tidewatt.scheduler.queue_files import read_jobs
from tidewatt.scheduler.queue_problem import QueueProblem, problem_of
from tidewatt.scheduler.queue_view import BEYOND, queue_view
from tidewatt.scheduler.region import Pool, Region

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
HOUR_MS = 3_600_000
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
HOME, ABROAD = [500, 500, 100, 100, 500, 500], [300] * 6


def outlook(values: Sequence[float]) -> Outlook:
    start = NOW_MS + HOUR_MS * np.arange(len(values), dtype=np.int64)
    segment = Segment(NOW, instant(NOW_MS + len(values) * HOUR_MS), Rung.LIVE, "test", NOW)
    return Outlook("DE", KIND, Steps(start, start + HOUR_MS, np.array(values, float)), (segment,))


def made(folder: Path, jobs: str, policy: Policy | None = None, gpus: int = 1) -> QueueProblem:
    path = folder / "jobs.csv"
    path.write_text(jobs)
    regions = [
        Region("home", pools=(Pool("a100", gpus),), home=True, price_per_kwh=1.0),
        Region("abroad", pools=(Pool("a100", gpus),), price_per_kwh=3.0),
    ]
    curves = {"home": curve_of(outlook(HOME)), "abroad": curve_of(outlook(ABROAD))}
    return problem_of(read_jobs(path, NOW), regions, curves, {}, NOW, policy or Policy())


def valid(found: QueueAnswer) -> bool:
    return not faults(found.made.problem, found.timetable, found.certificate)


QUEUE = "id,duration_s,slack_h,power_w\n" + "".join(f"{n},3600,4,1000\n" for n in range(1, 7))


def test_answer_stands_up_to_the_independent_check(tmp_path: Path) -> None:
    found = answer(made(tmp_path, QUEUE))
    assert (found.planner, found.troubles, valid(found)) == (WHOLE, (), True)
    # two clean hours at home and four jobs abroad or in dirty hours: 2 x 100 + 4 x 300
    assert float(found.expected_g.sum()) == pytest.approx(1400)


def test_time_that_is_given_is_used_to_polish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = planner.solve

    def careless(problem: Any, **options: Any) -> planner.Solution:
        """A valid plan that is far from the best: all in turn at home."""
        good = first(problem, **options)
        start = NOW_MS + HOUR_MS * np.arange(5)
        timetable = replace(good.timetable, place=np.array([0] * 5 + [1]), start_ms=np.append(start, NOW_MS))
        cost = (3 * 500 + 2 * 100) + 300
        return replace(good, timetable=timetable, certificate=replace(good.certificate, cost_g=float(cost)))

    monkeypatch.setattr(planner, "solve", careless)
    assert float(answer(made(tmp_path, QUEUE)).expected_g.sum()) == pytest.approx(2000)
    found = answer(made(tmp_path, QUEUE), seconds=5)
    assert (found.planner, valid(found)) == (POLISHED, True)
    assert float(found.expected_g.sum()) == pytest.approx(1400)


@pytest.mark.parametrize("how", ["raises", "overlaps", "is late", "lies"])
def test_planner_that_fails_is_replaced_by_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    first = planner.solve

    def broken(problem: Any, **options: Any) -> planner.Solution:
        good = first(problem, **options)
        table = good.timetable
        match how:
            case "raises":
                raise ZeroDivisionError("prices")
            case "overlaps":
                return replace(good, timetable=replace(table, start_ms=np.full_like(table.start_ms, NOW_MS)))
            case "is late":
                return replace(good, timetable=replace(table, start_ms=table.start_ms + 9 * HOUR_MS))
            case _:
                return replace(good, certificate=replace(good.certificate, bound_g=1e9))

    monkeypatch.setattr(planner, "solve", broken)
    found = answer(made(tmp_path, QUEUE), levers=True)
    assert (found.planner, found.certificate, found.levers) == (AT_ONCE, None, ())
    assert found.troubles
    assert valid(found)
    # the first five hours at home have room for five jobs in time; the sixth is told to have no place
    assert int(found.placed.sum()) == 5


def test_queue_that_cannot_even_be_served_in_turn_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tidewatt.scheduler.planning.timetable import validator

    monkeypatch.setattr(validator, "faults", lambda *_: ["nothing is right"])
    with pytest.raises(SchedulerError, match="no valid plan was found: nothing is right"):
        answer(made(tmp_path, QUEUE))


def test_money_delay_and_data_weigh_but_are_not_emitted(tmp_path: Path) -> None:
    one = "id,duration_s,slack_h,power_w,data_gb,regions\n1,3600,4,1000,100,abroad\n"
    policy = Policy(g_per_price=1000, link=Link(gbit_per_s=1, kwh_per_gb=0.01, price_per_gb=0.5))
    found = answer(made(tmp_path, one, policy))
    mean = (sum(HOME[:6]) + sum(ABROAD[:6])) / 12
    # 1 kWh at 300 g and 1 kWh of transfer at the mean of all; money only decides
    assert float(found.expected_g[0]) == pytest.approx(300 + mean, rel=0.05)
    assert found.certificate is not None
    assert found.certificate.cost_g > 3000 + 50_000
    assert int(found.timetable.start_ms[0]) >= NOW_MS + 800_000  # 100 GB at 1 Gbit/s


def test_price_turns_a_cleaner_region_down(tmp_path: Path) -> None:
    one = "id,duration_s,slack_h,power_w\n1,3600,0,1000\n"
    cleanest = answer(made(tmp_path, one))
    cheapest = answer(made(tmp_path, one, Policy(g_per_price=200)))
    names = cleanest.made.problem.places.names
    assert names[cleanest.timetable.place[0]] == ("abroad", "a100")  # 300 g instead of 500
    assert names[cheapest.timetable.place[0]] == ("home", "a100")  # 500 + 200 instead of 300 + 600


def test_job_that_may_be_interrupted_leaves_the_dirty_hours_out(tmp_path: Path) -> None:
    header = "id,duration_s,slack_h,power_w,regions,pausable,restart_s\n"
    made_of = {"home": curve_of(outlook([100, 500, 500, 100, 500, 500]))}
    (tmp_path / "jobs.csv").write_text(header + "1,6000,3,1000,home,true,600\n2,3600,3,1000,home,,\n")
    region = Region("home", pools=(Pool("a100", 2),), home=True)
    table = read_jobs(tmp_path / "jobs.csv", NOW)
    found = answer(problem_of(table, [region], made_of, {}, NOW, Policy()))
    assert valid(found)
    stints = found.timetable.stints[0]
    assert [place for place, _, _ in stints] == [0, 0]
    # 100 minutes of work and 10 of restart in the two clean hours, which the pause lies between
    assert found.expected_g.tolist() == pytest.approx([100 + 100 * 50 / 60, 100], rel=1e-6)
    row = queue_view(found, NOW, "average", {})["jobs"][0]
    first, last = row["stints"]
    assert first["end"] <= "2026-03-01T01:00:00Z"
    assert last["start"] >= "2026-03-01T03:00:00Z"
    assert (row["start"], row["end"]) == (first["start"], last["end"])


def test_job_that_could_only_run_when_nothing_is_known_is_named_so(tmp_path: Path) -> None:
    jobs = (
        "id,release,duration_s,slack_h,power_w\n1,2026-03-01T00:00Z,3600,4000,1000\n"
        "2,2026-03-02T06:00Z,3600,4000,1000\n3,2026-03-01T05:30Z,3600,4,1000\n"
    )
    found = answer(made(tmp_path, jobs))  # six hours are known
    assert valid(found)
    view = queue_view(found, NOW, "average", {})
    assert [(job["id"], job["expected_g"]) for job in view["jobs"]] == [(1, 100)]
    assert [(job["id"], job["reason"]) for job in view["unplaced"]] == [(2, BEYOND), (3, BEYOND)]
    assert view["unplaced"][1]["finish_by"] == "2026-03-01T10:30:00Z"  # its own deadline
