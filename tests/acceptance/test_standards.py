"""Budgets, scores and hours through the real daemon: what is asked at submit, and what is told afterwards."""

import csv
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

FACTOR = 600  # replayed seconds in a real one
START = datetime(2026, 3, 10, 9, tzinfo=UTC)
BUSY = "import time; end = time.monotonic() + 2\nwhile time.monotonic() < end: sum(range(10000))"
CONFIG = """
zone = "DE"
signal = "average"
meter_interval_s = 0.5
[[source]]
type = "file"
path = "grid.csv"
[[region]]
name = "local"
cpus = 1
pue = 1.2
pue_class = "measured"
pue_source = "building meter, 2025"
site = "Main Street 1"
cloud = ""
[[budget]]
project = "vision"
kg = 1000
[[budget]]
project = "tight"
kg = 1e-6
when = "ask"
"""


def test_a_job_is_asked_for_consent_run_scored_and_booked_by_the_hour(house: Any) -> None:
    hours = (START + timedelta(hours=place - 24) for place in range(24 * 5))
    lines = [f"DE,{hour.isoformat()},3600,400,average,lifecycle,production" for hour in hours]
    header = "zone,start,step_s,gco2_per_kwh,signal,basis,boundary"
    (house.folder / "grid.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    house.up("--replay-from", START.isoformat(), "--replay-factor", str(FACTOR), "--hindsight", config=CONFIG)
    command = ("--duration", "30m", "--", "python", "-c", BUSY)

    refused = house.tidewatt("submit", "--project", "tight", *command)
    assert refused.returncode == 1
    assert "it would exceed the March 2026 budget of project tight, 1.00 mg (average) by" in refused.stderr
    assert "submit it with --over-budget if it has to be" in refused.stderr
    agreed = house.ask("submit", "--project", "tight", "--over-budget", "--hold", *command)
    assert agreed["job"]["state"] == "held"

    number = house.ask("submit", "--project", "vision", "--label", "experiment=sweep", *command)["job"]["id"]
    job = house.until(lambda: _settled(house.job(number)), 120)
    account, [ledger] = job["settlement"], job["settlement"]["ledgers"]
    assert account["pue_source"] == "measured: building meter, 2025"

    [vision, tight] = house.ask("budget")["budgets"]
    assert vision["used"] == pytest.approx(ledger["g"] / 1000, rel=1e-6)
    assert (vision["settled_jobs"], tight["held_jobs"]) == (1, 1)

    score = house.ask("sci", "--experiment", "sweep", "--unit", "tokens=1e6", "--inferences", "1000")
    [average] = score["signals"]
    total_g = ledger["g"] + account["embodied"]["central_g"]
    assert average["per_unit"]["central_g"] == pytest.approx(total_g / 1e6)
    assert average["per_inference"]["central_g"] == pytest.approx(total_g / 1000)
    assert average["gco2_per_kwh"] == pytest.approx(400, rel=0.01)  # whole micrograms of very few

    done = house.tidewatt("report", "--hours", "hours.csv")
    assert done.returncode == 0, done.stderr
    with (house.work / "hours.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["project"] == "vision"]
    assert sum(float(row["it_kwh"]) for row in rows) == pytest.approx(account["energy_j"] / 3.6e6)
    assert sum(float(row["location_based_g"]) for row in rows) == pytest.approx(ledger["g"])
    assert {(row["zone"], row["site"], row["scope"], row["market_based_g"]) for row in rows} == {
        ("DE", "Main Street 1", "2", "")
    }


def _settled(job: Any) -> Any:
    settlement = job["settlement"]
    return job if settlement and settlement["state"] in {"provisional", "final"} else None
