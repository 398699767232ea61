"""`backtest`: what forecasts of a recorded past are worth, as people and programs read it."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from math import cos, pi, sin
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidewatt.forecasting.archive import Archive
from tidewatt.forecasting.feeds.feed import Fetched, Observed
from tidewatt.forecasting.feeds.great_britain import KIND
from tidewatt.forecasting.series import milliseconds, stepped
from tidewatt.scheduler.paths import paths

Tidewatt = Callable[..., Any]

HOUR = timedelta(hours=1)

COLUMNS = "zone,start,step_s,gco2_per_kwh,signal,basis,boundary"
MONDAY = datetime(2024, 3, 4, tzinfo=UTC)
QUICK = ("--no-models", "--every", "24h")


def value(hour: int, level: float = 300) -> float:
    """A daily shape, cleanest at noon, on a level that wanders."""
    return level * (1 + 0.3 * cos(2 * pi * hour / 24) + 0.2 * sin(hour / 37))


def observed(days: int, zone: str = "DE", level: float = 300) -> Iterator[str]:
    for hour in range(days * 24):
        start = MONDAY + timedelta(hours=hour)
        yield f"{zone},{start.isoformat()},3600,{value(hour, level):.3f},average,lifecycle,production"


def predicted(days: range, *, hours: int = 96, error: float = 0.0) -> Iterator[str]:
    for day in days:
        issued = MONDAY + timedelta(days=day)
        for ahead in range(hours):
            start = issued + timedelta(hours=ahead)
            expected = value(day * 24 + ahead) + error
            yield (
                f"DE,{start.isoformat()},3600,{expected:.3f},average,lifecycle,production,{issued.isoformat()}"
            )


def write(path: Path, rows: Iterator[str], more: str = "") -> str:
    path.write_text("\n".join([COLUMNS + more, *rows]) + "\n")
    return path.name


@pytest.fixture
def grid(tmp_path: Path) -> str:
    """Thirty days of one zone."""
    return write(tmp_path / "de.csv", observed(30))


def test_a_backtest_shows_errors_captured_saving_and_what_is_possible(tidewatt: Tidewatt, grid: str) -> None:
    said = tidewatt("backtest", "--grid", grid, *QUICK)
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "DE Germany: average lifecycle CO2eq, production, file de.csv"
    assert "18 forecasts of 96 h from 2024-03-13 to 2024-03-30, every 24 h" in lines[1]
    assert "DAY 4  BY DAY" in said.out
    assert any("█ " in line and line.startswith("profile") for line in lines)
    assert "24 H OF SLACK, IN ONE PIECE" in said.out
    assert "48 H OF SLACK, MAY PAUSE" in said.out
    assert sum(line.startswith("a perfect forecast saves") for line in lines) == 4
    names = ("yesterday", "last week", "7-day same-hour mean", "profile")
    assert all(name in said.out for name in names)
    assert all(len(line) <= 100 for line in lines[2:])


def test_jobs_that_forecasts_do_not_reach_over_are_left_out(tidewatt: Tidewatt, grid: str) -> None:
    short = tidewatt("backtest", "--grid", grid, *QUICK, "--hours", "48").out
    assert "24 H OF SLACK, MAY PAUSE" in short
    assert "48 H OF SLACK" not in short
    shortest = tidewatt("backtest", "--grid", grid, *QUICK, "--hours", "24").out
    assert "forecasts of 24 h hold no job with its slack (--hours 25 is the least)" in shortest


def test_a_program_reads_the_same_as_json(tidewatt: Tidewatt, grid: str) -> None:
    view = tidewatt("backtest", "--grid", grid, *QUICK, "--json").json
    trial = view["trials"][0]
    assert (trial["zone"], trial["issues"], view["hours"], view["every_h"]) == ("DE", 18, 96, 24)
    for contender in trial["contenders"]:
        assert len(contender["by_day"]) == 4
        assert len(contender["captured"]) == 20
        for work in contender["captured"]:
            assert work["submissions"] > 0
            assert work["captured"] is None or work["captured"] <= 1
            assert work["saved"] <= work["possible"]


def test_a_recorded_forecast_competes_under_its_own_name(
    tidewatt: Tidewatt, grid: str, tmp_path: Path
) -> None:
    other = write(tmp_path / "theirs.csv", predicted(range(10, 20)), ",issued_at")
    view = tidewatt("backtest", "--grid", grid, "--against", other, *QUICK, "--json").json
    trial = view["trials"][0]
    assert trial["issues"] == 10  # the days on which it was there
    best = trial["contenders"][0]
    assert best["name"] == "forecast of file theirs.csv"
    assert best["mape_percent"] == pytest.approx(0, abs=1e-3)
    assert best["mean_captured"] == pytest.approx(1, abs=1e-3)


def test_a_forecast_that_ends_early_is_judged_as_far_as_it_goes(
    tidewatt: Tidewatt, grid: str, tmp_path: Path
) -> None:
    other = write(tmp_path / "short.csv", predicted(range(10, 20), hours=24, error=30), ",issued_at")
    view = tidewatt("backtest", "--grid", grid, "--against", other, *QUICK, "--json").json
    short = next(each for each in view["trials"][0]["contenders"] if "short.csv" in each["name"])
    assert [day["steps"] for day in short["by_day"]] == [240, 0, 0, 0]
    assert short["mae_g"] == pytest.approx(30, abs=0.01)
    assert len(short["captured"]) == 20  # plans go on with the same-hour mean


def test_several_zones_are_summed_up_by_medians(tidewatt: Tidewatt, tmp_path: Path) -> None:
    rows = [*observed(20), *observed(20, "FR", 30), *observed(20, "PL", 700)]
    grid = write(tmp_path / "three.csv", iter(rows))
    out = tidewatt("backtest", "--grid", grid, *QUICK).out
    assert out.startswith("3 zones: average lifecycle CO2eq, production; figures are medians over zones")
    assert "1 of 3 zones are below 50 g/kWh on average: judged by grams, not by percentages" in out
    assert [line.split()[0] for line in out.splitlines()[4:7]] == ["DE", "FR", "PL"]
    other = write(tmp_path / "theirs.csv", predicted(range(8, 12)), ",issued_at")
    both = tidewatt("backtest", "--grid", grid, "--against", other, *QUICK, "--json").json
    assert [trial["zone"] for trial in both["trials"]] == ["DE"]
    named = tidewatt("backtest", "--grid", grid, "--zone", "DEU", "--zone", "PL", *QUICK, "--json").json
    assert [trial["zone"] for trial in named["trials"]] == ["DE", "PL"]


def test_a_picture_is_drawn_where_one_is_asked_for(tidewatt: Tidewatt, grid: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `pictures` is not installed")
    said = tidewatt("backtest", "--grid", grid, *QUICK, "--picture", "de.svg")
    assert "drawn in de.svg" in said.err
    drawn = (tmp_path / "de.svg").read_text()
    assert drawn.startswith("<?xml")
    assert tidewatt("backtest", "--grid", grid, *QUICK, "--picture", "again.svg").code == 0
    assert (tmp_path / "again.svg").read_text() == drawn


def test_own_models_are_trained_on_the_past_and_compete(tidewatt: Tidewatt, grid: str) -> None:
    options = ("--from", "2024-03-25", "--to", "2024-03-29", "--every", "24h", "--json")
    view = tidewatt("backtest", "--grid", grid, *options).json
    contenders = {each["name"]: each for each in view["trials"][0]["contenders"]}
    for name in ("gradient boosting", "own, as chosen"):
        assert contenders[name]["steps"] == 4 * 96
        assert contenders[name]["mape_percent"] < 30


def test_the_profile_is_said_to_know_the_years_that_it_was_made_from(
    tidewatt: Tidewatt, tmp_path: Path
) -> None:
    rows = (row.replace("2024-", "2022-") for row in observed(20))
    out = tidewatt("backtest", "--grid", write(tmp_path / "old.csv", rows), *QUICK).out
    assert "it was made from 2019-2022, so that it has seen what it is judged by" in out


def test_what_the_daemon_has_gathered_is_judged(tidewatt: Tidewatt, tmp_path: Path) -> None:
    hours = [MONDAY + hour * HOUR for hour in range(40 * 24)]
    start_ms = np.array([milliseconds(hour) for hour in hours])
    values = np.array([value(hour) for hour in range(len(hours))])
    gathered = Observed(str(KIND), stepped(start_ms, start_ms + 3_600_000, values))
    with Archive(paths(os.environ).archive) as archive:
        archive.add("GB Carbon Intensity", "GB", Fetched((gathered,)), hours[-1] + 2 * HOUR)
    (tmp_path / "gb.toml").write_text('zone = "GB"\n[[source]]\ntype = "great_britain"\n')
    said = tidewatt("backtest", "--config", "gb.toml", *QUICK)
    assert said.out.splitlines()[0] == f"GB United Kingdom: {KIND}, GB Carbon Intensity"
    assert "profile" not in said.out  # it is of another basis
    refused = tidewatt("backtest", "--config", "gb.toml", "--zone", "DE")
    assert "no average intensity of DE has been gathered from GB Carbon Intensity" in refused.err
    assert (
        "known are: GB Carbon Intensity" in tidewatt("backtest", "--config", "gb.toml", "--source", "x").err
    )


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "no zone is configured"),
        (("--zone", "DE"), "no source is configured"),
        (("--zone", "Atlantis", "--grid", "de.csv"), "Atlantis"),
        (("--zone", "PL", "--grid", "de.csv"), "no average intensity of PL"),
        (("--grid", "de.csv", "--signal", "marginal"), "no marginal intensity of DE"),
        (("--grid", "nowhere.csv"), "nowhere.csv cannot be read: No such file"),
        (("--grid", "de.csv", "--from", "2024-02-01"), "observations from 2024-03-04 00:00Z"),
        (("--grid", "de.csv", "--from", "2024-02-30"), "no date of the calendar"),
        (("--grid", "de.csv", "--source", "x"), "exclude each other"),
        (("--grid", "de.csv", "--every", "5h"), "every 1, 2, 3, 4, 6, 8, 12 or 24 h"),
        (("--grid", "de.csv", "--every", "90m"), "no full number of hours"),
        (("--grid", "de.csv", "--hours", "0"), "up to 336 h"),
        (("--grid", "de.csv", "--against", "de.csv"), "has no forecasts of DE"),
        (("--grid", "de.csv", "--picture", "de.gif"), ".svg or .png"),
        (("--grid", "de.csv", "--picture", "nowhere/de.png"), "does not exist"),
    ],
)
def test_what_cannot_be_judged_is_one_sentence(
    tidewatt: Tidewatt, grid: str, arguments: tuple[str, ...], word: str
) -> None:
    said = tidewatt("backtest", *arguments)
    assert (said.code, said.err.count("\n"), said.out) == (2, 1, "")
    assert word in said.err


def test_a_past_that_is_too_short_is_told_how_many_days_it_needs(tidewatt: Tidewatt, tmp_path: Path) -> None:
    grid = write(tmp_path / "new.csv", observed(9))
    said = tidewatt("backtest", "--grid", grid)
    assert said.code == 2
    assert "DE has 9.0 days of observations, a backtest of 96 h ahead needs 12" in said.err
