"""`simulate`: from files to a table, a picture, JSON and CSV."""

import csv
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.simulated import CLEAN_DAYS, DIRTY_DAYS
from tests.unit.scheduler.test_store import attempt, job
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.paths import paths
from tidewatt.scheduler.store import Store

Tidewatt = Callable[..., Any]
EXAMPLES = Path(__file__).parents[4] / "configs" / "examples"
BOTH = ("--zone", "DE", "--zone", "GB", "--gpus", "2", "--grid", "grid.csv", "--jobs", "jobs.csv")


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    lines = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary"]
    for zone, day in (("DE", DIRTY_DAYS), ("GB", CLEAN_DAYS)):
        lines += [
            f"{zone},2026-03-{date:02}T{hour:02}:00:00Z,3600,{day[hour]},average,lifecycle,production"
            for date in range(1, 16)
            for hour in range(24)
        ]
    (tmp_path / "grid.csv").write_text("\n".join(lines) + "\n")
    jobs = ["id,submitted,duration_s,slack_h,power_w,home"]
    jobs += [f"{number},2026-03-10T{7 + number:02}:00:00Z,7200,20,1000,DE" for number in range(1, 7)]
    (tmp_path / "jobs.csv").write_text("\n".join(jobs) + "\n")


def test_policies_are_compared_in_a_table(tidewatt: Tidewatt) -> None:
    said = tidewatt("simulate", *BOTH)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0].startswith(
        "6 jobs, 2026-03-10 08:00 to 2026-03-10 13:00 UTC, in 2 regions with 4 GPUs: of jobs.csv"
    )
    named = [line.split("  ")[0] for line in lines[3:10]]
    assert named == [
        *("immediate", "threshold", "own window", "suspend-resume"),
        *("ours, in one piece", "ours", "oracle"),
    ]
    assert "Avoidably missed deadlines are those that immediate execution would have met." in said.out


def test_ours_saves_on_a_grid_that_repeats_itself_and_misses_nothing(tidewatt: Tidewatt) -> None:
    said = tidewatt("simulate", *BOTH, "--policy", "ours", "--json", "--csv", "runs.csv")
    immediate, ours = said.json["policies"]
    assert immediate["emissions_g"] == {"average": pytest.approx(6 * 800)}
    assert ours["saved"]["average"] == pytest.approx(0.75, abs=0.05)
    assert ours["missed"] == ours["missed_avoidably"] == 0
    with Path("runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    grams = sum(float(row["average_g"]) for row in rows if row["policy"] == "ours")
    assert grams == pytest.approx(ours["emissions_g"]["average"], abs=0.01)


def test_made_up_jobs_are_the_same_for_a_seed(tidewatt: Tidewatt) -> None:
    made = ("simulate", "--generate", "20", "--days", "1", "--seed", "3", "--use", "40%", "--spread")
    place = ("--zone", "DE", "--zone", "GB", "--gpus", "2", "--grid", "grid.csv", "--json")
    only = ("--policy", "own window", "--policy", "threshold")
    once, again = (tidewatt(*made, *place, *only).json for _ in range(2))
    assert once == again
    assert once["jobs"] == 20
    assert once["policies"][0]["gpu_use"] == pytest.approx(0.4, abs=0.15)


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="the extra `pictures` is not installed")
def test_the_picture_is_drawn(tidewatt: Tidewatt) -> None:
    said = tidewatt("simulate", *BOTH, "--policy", "ours", "--picture", "drawn.svg")
    assert said.code == 0, said.err
    drawn = Path("drawn.svg").read_text()
    assert drawn.startswith("<?xml")
    assert len(drawn) > 10_000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--jobs", "missing.csv"), "missing.csv: there is no such file"),
        (("--jobs", "grid.csv"), "column 'zone' is not known"),
        ((), "give either --jobs FILE"),
        (("--jobs", "jobs.csv", "--generate", "3"), "give either --jobs FILE"),
        (("--jobs", "jobs.csv", "--use", "half"), "--use 'half'"),
        (("--jobs", "jobs.csv", "--policy", "best"), "there is no policy 'best'"),
        (("--jobs", "jobs.csv", "--arrival-column", "a_h"), "give both --arrival-column"),
        (("--jobs", "jobs.csv", "--start", "2026-03-15T22:00Z"), "the grid is known until 2026-03-16"),
        (("--jobs", "jobs.csv", "--picture", "drawn.pdf"), "pictures are .svg or .png"),
        (("--jobs", "jobs.csv", "--start", "2026-03-20T22:00Z"), "with --start TIME"),
        (
            ("--jobs", "jobs.csv", "--policy", "best"),
            "threshold; own window; suspend-resume; ours, in one piece;",
        ),
        (("--generate", "99999999999"), "make up 100,000 jobs at most"),
        (("--jobs", "store"), "no job was ever submitted here"),
    ],
)
def test_bad_input_ends_with_a_sentence_and_code_2(
    tidewatt: Tidewatt, arguments: tuple[str, ...], sentence: str
) -> None:
    said = tidewatt("simulate", "--zone", "DE", "--grid", "grid.csv", *arguments)
    assert said.code == 2
    assert sentence in said.err


def test_jobs_that_were_done_here_run_again_as_long_as_they_ran(tidewatt: Tidewatt) -> None:
    """One took half an hour longer than estimated, one was cancelled, one ran before times were kept."""
    place = paths(os.environ)
    place.make()
    store = Store(place.database)
    came = round(datetime(2026, 3, 10, 7, tzinfo=UTC).timestamp() * 1000)
    start = came + 60_000
    with store.transaction() as transaction:
        for state in (JobState.DONE, JobState.CANCELLED, JobState.DONE):
            done = job(submitted_ms=came, duration_ms=3_600_000, power_mw=1_000_000, state=state)
            number = transaction.add_job(done)
            began = attempt(number)
            if number == 1:
                began = replace(began, started_ms=start, ended_ms=start + 5_400_000)
            transaction.add_attempt(began)
    store.close()
    said = tidewatt("simulate", "--zone", "DE", "--grid", "grid.csv", "--jobs", "store", "--json")
    assert said.code == 0, said.err
    assert said.json["jobs"] == 1
    assert said.json["policies"][0]["energy_kwh"] == pytest.approx(1.5)
    assert said.json["policies"][5]["saved"]["average"] >= 0.5  # the overrun may leave the clean hours


def test_a_grid_without_the_zone_is_refused(tidewatt: Tidewatt) -> None:
    said = tidewatt("simulate", "--zone", "FR", "--grid", "grid.csv", "--generate", "3")
    assert said.code == 2
    assert "no average intensity of FR was observed" in said.err


def test_shipped_queue_runs_in_a_zone_named_after_who_tells_of_it(tidewatt: Tidewatt) -> None:
    """Its homes are regions of another configuration, and only the marginal signal was observed there."""
    jobs, grid = (str(EXAMPLES / name) for name in ("queue.csv", "grid_california_2days.csv"))
    where = ("--zone", "WT:SGIP_CAISO_PGE", "--gpus", "2", "--start", "2019-09-20T16:45-07:00")
    said = tidewatt("simulate", "--jobs", jobs, "--grid", grid, *where, "--policy", "own window", "--json")
    assert said.code == 0, said.err
    assert said.json["decided_by"] == "marginal"
    assert list(said.json["regions"]) == ["WT-SGIP_CAISO_PGE"]
    assert said.json["policies"][0]["gpu_use"] == pytest.approx(0.77, abs=0.01)  # all jobs come at once


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="the extra `pictures` is not installed")
def test_picture_names_each_curve_and_no_axis_of_zeros_is_magnified(tidewatt: Tidewatt) -> None:
    said = tidewatt(
        "simulate", *BOTH, "--policy", "ours, in one piece", "--policy", "ours", "--picture", "d.svg"
    )
    assert said.code == 0, said.err
    drawn = Path("d.svg").read_text()
    assert drawn.count("<!-- ours, in one piece -->") == 2  # of its bars and of its curve
    assert "1e" not in [part.split("<!-- ")[-1][:2] for part in drawn.split(" -->")]
