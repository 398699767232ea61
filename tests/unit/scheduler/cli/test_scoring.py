"""`sci`, `budget` and `report --hours` as a person types them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from tests.exports.made import job
from tests.unit.scheduler.cli.fake_daemon import FakeDaemon
from tests.unit.scheduler.cli.fake_daemon import job as waiting
from tidewatt.scheduler.account_tables import BudgetTable
from tidewatt.scheduler.accounting.budget import Charge, standing
from tidewatt.scheduler.accounting.inventory import Amount, Hours, Spot, views

Tidewatt = Callable[..., Any]
HOUR = Spot(1_772_359_200_000, "DE", "=vision", "local", "Main Street 1", "", False, 1_200_000, "assumed")
KWH_UJ = 3_600_000_000_000


def receipts(fake: FakeDaemon, *jobs: Any) -> None:
    fake.answers["receipts"] = {"receipts": [each.model_dump(mode="json") for each in jobs], "before": None}


def budget(**charges: Any) -> dict[str, Any]:
    table = BudgetTable.model_validate({"project": "vision", "kg": 5.0, "when": "hold"})
    common: dict[str, Any] = {"user": "ada", "project": "vision", "month": "2026-11", "settled": True}
    jobs = [Charge(**common, emitted_ug={"average": ug}) for ug in charges.get("used_ug", ())]
    jobs += [Charge(**common) for _ in range(charges.get("unknown", 0))]
    return standing(table, "2026-11", jobs).view().model_dump(mode="json")


def test_score_of_a_job_is_one_question_and_readable(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    fake_daemon.arrays["7"] = job(7)
    said = tidewatt("sci", "7")
    assert said.code == 0
    assert said.out.startswith("Software Carbon Intensity of job 7\n  average  ")
    assert tidewatt("sci", "7", "--json").json["of"] == "job 7"


def test_score_of_an_experiment_takes_its_runs_alone(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    sweep = {"experiment": "sweep"}
    receipts(fake_daemon, job(1, labels=sweep), job(2, labels=sweep, state="failed"), job(3))
    told = tidewatt("sci", "--experiment", "sweep", "--json").json
    assert {fate: part["jobs"] for fate, part in told["parts"].items()} == {"kept": 1, "failed": 1}
    assert tidewatt("sci", "--experiment", "other").code == 2


def test_units_are_stated_in_powers_of_ten(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    fake_daemon.arrays["7"] = job(7)
    told = tidewatt("sci", "7", "--unit", "tokens=1.5e9", "--inferences", "1_000", "--json").json
    assert (told["unit"], told["units"], told["inferences"]) == ("token", 1_500_000_000, 1000)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("sci",), "name what to score: a job, --project NAME or --experiment NAME, one of them"),
        (("sci", "7", "--project", "vision"), "name what to score"),
        (("sci", "7", "--since", "3d"), "--since is for projects and experiments"),
        (("sci", "7", "--per", "banana"), "there is no unit 'banana': choose one of job, epoch"),
        (("sci", "7", "--unit", "tokens"), "--unit tokens says no number"),
        (("sci", "7", "--unit", "tokens=many"), "--unit tokens must be a whole number above zero"),
        (("sci", "7", "--unit", "tokens=0.5"), "--unit tokens must be a whole number above zero"),
        (("sci", "7", "--inferences", "1e99"), "--inferences must be a whole number above zero"),
        (("sci", "7", "--unit", "tokens=5", "--per", "step"), "name different units: keep one"),
        (("sci", "7", "--kept", "8"), "job 8 is not among those that ran here"),
        (("sci", "1"), "none of these jobs ran and has an account"),
    ],
)
def test_wrong_question_is_answered_in_one_sentence(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon, arguments: tuple[str, ...], sentence: str
) -> None:
    fake_daemon.arrays |= {"7": job(7), "1": waiting(1)}
    said = tidewatt(*arguments)
    assert (said.code, said.out) == (2, "")
    assert sentence in said.err


def test_budgets_show_what_is_left_and_what_is_not_known(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    fake_daemon.answers["budgets"] = {"budgets": [budget(used_ug=(6_000_000_000,), unknown=2)]}
    lines = tidewatt("budget").out.splitlines()
    assert lines[0].split() == ["BUDGET", "MONTH", "LIMIT", "USED", "EXPECTED", "LEFT", "SIGNAL", "THEN"]
    assert "project vision  2026-11  5.00 kg  6.00 kg       0 g  -1.00 kg  average  hold" in lines[1]
    assert lines[2:] == [
        "project vision is over its budget",
        "project vision: not known, so in none of these amounts: 2 jobs",
    ]
    assert tidewatt("budget", "--json").json["budgets"][0]["left"] == -1


def test_without_budgets_it_is_said_how_to_have_one(tidewatt: Tidewatt, fake_daemon: FakeDaemon) -> None:
    fake_daemon.answers["budgets"] = {"budgets": []}
    assert "no budget is configured: add [[budget]] tables" in tidewatt("budget").out


def test_hours_are_written_for_spreadsheets_and_what_is_in_none_is_told(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon, tmp_path: Path
) -> None:
    amounts = {HOUR: Amount(KWH_UJ, 1_200_000 * KWH_UJ // 1_000_000, 480_000_000, 0, {"grid.csv": None})}
    found = Hours(hours=views(amounts), jobs=3, unmetered_jobs=1, jobs_without_hours=1, kwh_without_hours=2.5)
    fake_daemon.answers["hours"] = found.model_dump(mode="json")
    said = tidewatt("report", "--hours", "hours.csv")
    assert said.code == 0
    assert (tmp_path / "hours.csv").read_text().splitlines()[1] == (
        "2026-03-01T10:00:00Z,DE,'=vision,local,Main Street 1,,2,assumed: own hardware,1,1.2,1.2,assumed,400,"
        "480,grid.csv,"
    )
    assert "not metered, so in no hour: 1 job" in said.err
    assert "kept no hours, so in none: 1 job with 2.500 kWh" in said.err
    assert tidewatt("report", "--hours", "hours.parquet").code == 0
    [row] = pyarrow.parquet.read_table(tmp_path / "hours.parquet").to_pylist()
    assert (row["project"], row["location_based_g"], row["market_based_g"]) == ("=vision", 480.0, None)
