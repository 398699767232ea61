"""Jobs of simulations: from files, from foreign traces, and made up."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from tests.simulated import HOUR_MS, START, at, job, region
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.simulation.generated import Recipe, generated, mistaken, slackened, spread
from tidewatt.scheduler.simulation.submitted import compressed, ordered, pausable, shifted
from tidewatt.scheduler.simulation.trace import Plain, of_file, of_plain

REGIONS = (region("DE", 4, home=True), region("GB", 4))
DAY = timedelta(days=1)


def test_a_jobs_file_says_all_that_a_job_asks_for(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text(
        "id,submitted,duration_s,slack_h,gpus,power_w,home,after,priority,pausable,restart_s\n"
        "4,2026-03-11T00:00:00Z,3600,12,2,700,GB,,1,yes,60\n"
        "5,2026-03-11T01:00:00Z,7200,,1,,,4,,,\n"
    )
    first, second = of_file(tmp_path / "jobs.csv", REGIONS, START, DAY)
    assert (first.id, first.work_ms, first.ask.need.gpus, first.ask.power_w) == (4, HOUR_MS, 2, 700)
    assert (first.ask.home, first.ask.priority, first.ask.finish_by) == ("GB", 1, at(13))
    assert first.ask.pausing is not None
    assert first.ask.pausing.restart == timedelta(minutes=1)
    assert (second.ask.home, second.ask.after, second.ask.pausing) == ("DE", (4,), None)
    assert second.ask.finish_by == at(1 + 2 + 24)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("id,duration_s\n1,-5\n", "line 2, column duration_s"),
        ("id,duration_s,home\n1,60,FR\n", "line 2, column home: 'FR' is none of the regions DE, GB"),
        ("id,duration_s,colour\n1,60,red\n", "column 'colour' is not known"),
        ("", "is empty"),
    ],
)
def test_a_wrong_jobs_file_is_refused_with_row_and_column(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text(text)
    with pytest.raises(BadInput, match=re.escape(sentence)):
        of_file(tmp_path / "jobs.csv", REGIONS, START, DAY)


def test_a_foreign_trace_needs_no_more_than_arrivals_and_durations(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("who,arrival_h,duration_min,gpus\na,2.5,30,0.5\nb,1.0,90,3\n")
    plain = Plain("arrival_h", "duration_min", "gpus")
    first, second = of_plain(tmp_path / "trace.csv", plain, REGIONS, START, DAY)
    assert (first.ask.submitted, first.work_ms, first.ask.need.gpus) == (START, 1.5 * HOUR_MS, 3)
    assert (second.ask.submitted, second.work_ms, second.ask.need.gpus) == (at(1.5), HOUR_MS / 2, 1)
    assert second.ask.finish_by == at(1.5 + 0.5 + 24)


@pytest.mark.parametrize(
    ("plain", "sentence"),
    [
        (Plain("arrival_h", "length"), "column length is missing"),
        (Plain("who", "duration_min"), "line 2, column who: 'a' is not a number"),
        (Plain("arrival_h", "gpus"), "does not say its unit"),
    ],
)
def test_a_wrong_foreign_trace_is_refused(plain: Plain, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("who,arrival_h,duration_min,gpus\na,2.5,30,1\n")
    with pytest.raises(BadInput, match=sentence):
        of_plain(tmp_path / "trace.csv", plain, REGIONS, START, DAY)


def test_compressed_arrivals_use_the_share_of_gpus_that_was_asked_for_in_the_same_order() -> None:
    jobs = ordered(job(number, 1 + number % 4, comes=number**1.5) for number in range(1, 80))
    made = compressed(jobs, gpus=8, use=0.5)
    span = made[-1].submitted_ms - made[0].submitted_ms
    assert sum(each.work_ms for each in made) / (8 * span) == pytest.approx(0.5)
    assert [each.id for each in made] == [each.id for each in jobs]
    for before, after in zip(jobs, made, strict=True):
        assert before.due_ms is not None
        assert after.due_ms == after.submitted_ms + before.due_ms - before.submitted_ms


@pytest.mark.parametrize("use", [0.0, 1.0, 7.0])
def test_an_impossible_use_is_refused(use: float) -> None:
    with pytest.raises(BadInput, match="between 0 and 1"):
        compressed([job(1, 1), job(2, 1, comes=1)], 4, use)


def test_made_up_jobs_are_those_of_their_seed() -> None:
    recipe = Recipe(200, days=3)
    once, again, other = (generated(recipe, REGIONS, START, DAY, seed) for seed in (1, 1, 2))
    assert once == again
    assert once != other
    assert len(once) == 200
    assert all(at(0) <= each.ask.submitted <= at(72) for each in once)


def test_made_up_jobs_come_more_often_by_day_and_are_short_mostly_and_long_sometimes() -> None:
    made = generated(Recipe(3000, days=7), REGIONS, START, DAY, seed=3)
    by_day = sum(9 <= each.ask.submitted.hour < 18 for each in made)
    hours = sorted(each.work_ms / HOUR_MS for each in made)
    assert by_day / len(made) == pytest.approx(9 * 2.5 / (9 * 2.5 + 15), abs=0.05)
    assert hours[1500] == pytest.approx(1.0, rel=0.15)
    assert hours[-1] > 20


def test_estimates_err_while_jobs_take_as_long_as_they_do_and_deadlines_are_kept_with_the_longer_guess() -> (
    None
):
    jobs = generated(Recipe(500), REGIONS, START, DAY, seed=5)
    made = mistaken(jobs, 0.3, seed=5)
    assert [each.work_ms for each in made] == [each.work_ms for each in jobs]
    longer = [
        each.ask.guard_duration >= timedelta(milliseconds=each.work_ms)
        for each in made
        if each.ask.guard_duration is not None
    ]
    assert sum(longer) / len(made) == pytest.approx(0.95, abs=0.03)


def test_slacks_homes_and_pauses_can_be_drawn() -> None:
    jobs = generated(Recipe(600), REGIONS, START, DAY, seed=6)
    slack_h = sorted(
        (each.due_ms or 0) - each.submitted_ms - each.work_ms for each in slackened(jobs, DAY, 0.5, seed=6)
    )
    assert slack_h[300] / HOUR_MS == pytest.approx(24, rel=0.1)
    homes = [each.ask.home for each in spread(jobs, REGIONS, seed=6)]
    assert homes.count("GB") == pytest.approx(300, abs=50)
    cheap = pausable(jobs, timedelta(minutes=5))[0].ask.pausing
    assert cheap is not None
    assert cheap.checkpoint + cheap.restart == timedelta(minutes=5)


def test_jobs_can_be_moved_in_time_with_their_deadlines() -> None:
    moved = shifted([job(1, 2)], 24 * HOUR_MS)[0]
    assert (moved.ask.submitted, moved.ask.finish_by) == (at(24), at(24 + 26))
