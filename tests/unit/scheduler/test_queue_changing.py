"""Jobs of a file whose draw changes: read, placed by their shape before others, and left out of proofs."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps, instant
from tidewatt.scheduler.cli.queue_text import queue_lines
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.planning.intensity import curve_of
from tidewatt.scheduler.planning.policy import Link, Policy
from tidewatt.scheduler.planning.timetable.problem import NOWHERE
from tidewatt.scheduler.planning.timetable.validator import faults
from tidewatt.scheduler.queue_answer import WHOLE, QueueAnswer, answer
from tidewatt.scheduler.queue_changing import at_peak
from tidewatt.scheduler.queue_files import read_jobs
from tidewatt.scheduler.queue_problem import problem_of
from tidewatt.scheduler.queue_view import NO_ROOM, queue_view
from tidewatt.scheduler.region import Pool, Region
from tidewatt.scheduler.simulation.trace import of_file

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
HOUR_MS = 3_600_000
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
HOME = [300.0, 300, 300, 300, 300, 100, 300, 300, 300, 300, 300, 300]


def outlook(values: Sequence[float]) -> Outlook:
    start = NOW_MS + HOUR_MS * np.arange(len(values), dtype=np.int64)
    segment = Segment(NOW, instant(NOW_MS + len(values) * HOUR_MS), Rung.LIVE, "test", NOW)
    return Outlook("DE", KIND, Steps(start, start + HOUR_MS, np.array(values, float)), (segment,))


def planned(folder: Path, jobs: str, policy: Policy | None = None, limit_kw: float = 0.0) -> QueueAnswer:
    path = folder / "jobs.csv"
    path.write_text(jobs)
    regions = [
        Region(
            "home", pools=(Pool("a100", 1), Pool("h100", 1, 0, 2.0, 1.5)), home=True, power_limit_kw=limit_kw
        ),
        Region("abroad", pools=(Pool("a100", 1),)),
    ]
    curves = {"home": curve_of(outlook(HOME)), "abroad": curve_of(outlook([400.0] * 12))}
    found = answer(problem_of(read_jobs(path, NOW), regions, curves, {}, NOW, policy or Policy()))
    assert not faults(at_peak(found.made.problem, found.made.table, found.made.policy), found.timetable)
    return found


STEPS = "id,duration_s,slack_h,gpu_kind,power_steps,power_w,regions\n"


def test_the_hungry_part_lies_in_the_clean_hour_and_the_grams_are_of_the_shape(tmp_path: Path) -> None:
    found = planned(tmp_path, STEPS + "7,14400,8,a100,0:1600;25%:800,,home\n8,3600,11,a100,,1000,home\n")
    assert (found.planner, found.troubles) == (WHOLE, ())
    starts = (found.timetable.start_ms - NOW_MS) / HOUR_MS
    assert starts[0] == 5
    assert found.expected_g.tolist() == pytest.approx([1.6 * 100 + 3 * 0.8 * 300, 300])
    assert found.immediate_g.tolist() == pytest.approx([1200, 300])
    view = queue_view(found, NOW, "average", {})
    assert view["totals"]["energy_kwh"] == pytest.approx(5)
    assert view["totals"]["assumed_power"] == 0
    assert view["totals"]["changing_power"] == 1
    assert view["jobs"][0]["expected_g"] == pytest.approx(880)


def test_the_certificate_is_of_the_others_wherever_such_jobs_are(tmp_path: Path) -> None:
    found = planned(tmp_path, STEPS + "7,14400,8,a100,0:1600;25%:800,,home\n8,3600,11,a100,,1000,home\n")
    assert found.certificate is not None
    assert found.certificate.jobs == 1
    assert found.certificate.cost_g == pytest.approx(300)
    assert found.certificate.bound_g <= 100 * (1 + 1e-9)  # with the clean hour to itself
    assert found.levers == ()
    said = "\n".join(queue_lines(found, queue_view(found, NOW, "average", {}), NOW, 80))
    assert "of the other jobs: 1 job of changing power left out" in said


def test_on_the_faster_kind_the_steps_are_shorter_and_its_power_counts(tmp_path: Path) -> None:
    found = planned(tmp_path, STEPS + "1,28800,4,h100,0:1600;25%:800,,home\n")
    assert found.timetable.start_ms[0] == NOW_MS + 5 * HOUR_MS
    assert found.expected_g[0] == pytest.approx(1.5 * (1.6 * 100 + 3 * 0.8 * 300))


def test_a_limit_of_power_counts_the_highest_step(tmp_path: Path) -> None:
    two = "1,14400,8,a100,0:1600;25%:800,,home\n2,3600,11,h100,,1000,home\n"
    free, limited = (planned(tmp_path, STEPS + two, limit_kw=kw) for kw in (0.0, 2.0))
    assert free.timetable.start_ms[1] == NOW_MS + 5 * HOUR_MS
    start, end = limited.timetable.start_ms[1], limited.timetable.start_ms[1] + HOUR_MS / 2
    assert end <= NOW_MS + 5 * HOUR_MS or start >= NOW_MS + 9 * HOUR_MS


def test_what_moving_its_data_takes_is_counted(tmp_path: Path) -> None:
    header = "id,duration_s,slack_h,gpu_kind,power_steps,data_gb,regions\n"
    policy = Policy(link=Link(gbit_per_s=1000.0, kwh_per_gb=0.01))
    found = planned(tmp_path, header + "1,3600,0.5,a100,0:1600;50%:400,10.0001,abroad\n", policy)
    mean = float(found.made.grams.mean())  # of all places and slots: one number for every way
    assert found.expected_g[0] == pytest.approx(400 + 0.100001 * mean)


def test_one_without_room_has_no_place_and_the_answer_says_so(tmp_path: Path) -> None:
    row = "{},3600,0,a100,0:1600;50%:400,,abroad\n"
    found = planned(tmp_path, STEPS + row.format(1) + row.format(2))
    assert sorted((found.timetable.place == NOWHERE).tolist()) == [False, True]
    assert [each["reason"] for each in queue_view(found, NOW, "average", {})["unplaced"]] == [NO_ROOM]


def test_a_file_of_such_jobs_alone_has_no_certificate(tmp_path: Path) -> None:
    found = planned(tmp_path, STEPS + "1,3600,4,a100,0:600;50%:400,,home\n")
    assert found.certificate is None
    assert queue_view(found, NOW, "average", {})["certificate"] is None


def test_one_step_is_a_constant_draw(tmp_path: Path) -> None:
    found = planned(tmp_path, STEPS + "1,3600,11,a100,0:700,,home\n")
    assert not found.made.table.power_steps
    assert found.expected_g[0] == pytest.approx(70)
    assert found.certificate is not None


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1,3600,4,0:700;50%,,,,", "'50%' is no step of power .there is no colon.: write watts from shares"),
        ("1,3600,4,0:700;half:300,,,,", "'half:300' is no step of power: write"),
        ("1,3600,4,10%:700;50%:300,,,,", "ascend from 0 to below 1, not 0.1, 0.5: write"),
        ("1,3600,4,0:700;50%:-1,,,,", "at least 0, not 700, -1"),
        ("1,3600,4,0:0;50%:0,,,,", "all steps of power are 0"),
        ("1,3600,4,0:700;50%:300,500,,,", "power_w is given too: keep one of them"),
        ("1,3600,4,0:700;50%:300,,true,,", "a pausable job draws one power here"),
        ("1,3600,4,0:700;50%:300,,,2,", "leave after out, or give power_w"),
        ("1,3600,4,0:700;50%:300,,,,1", "leave array_limit out, or give power_w"),
    ],
)
def test_steps_that_are_wrong_or_do_not_go_with_the_rest_are_refused(
    tmp_path: Path, row: str, words: str
) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text(
        f"id,duration_s,slack_h,power_steps,power_w,pausable,after,array_limit\n{row}\n2,3600,4,,,,,\n"
    )
    with pytest.raises(BadInput, match=words) as refused:
        read_jobs(path, NOW)
    assert "line 2, column power_steps" in str(refused.value)


def test_one_that_another_waits_for_is_refused_and_so_is_a_simulation_of_it(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("duration_s,slack_h,power_steps,after\n3600,4,0:700;50%:300,\n3600,9,,1\n")
    with pytest.raises(BadInput, match="but one comes after job 1: give power_w"):
        read_jobs(path, NOW)
    path.write_text("duration_s,slack_h,power_steps\n3600,4,0:700;50%:300\n")
    with pytest.raises(BadInput, match="simulated jobs draw one power"):
        of_file(path, (Region("home", home=True),), NOW, timedelta(hours=4))
