"""Every format of a report, from a real daemon over a replayed day, with a hostile project among the jobs."""

import csv
import http.client
import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.exports.metric_rules import mistakes

START = datetime(2026, 3, 1, 6, tzinfo=UTC)
CONFIG = """
zone = "DE"
signal = "average"
meter_interval_s = 1.0
final_after = "30d"
[[source]]
type = "file"
path = "grid.csv"
[[region]]
name = "local"
cpus = 2
pue = 1.2
pue_source = "site meter, 2025"
"""
HOSTILE = '<script>alert("1")</script>'
BUSY = "import time; end = time.monotonic() + 0.5\nwhile time.monotonic() < end: sum(range(10000))"


@pytest.fixture
def settled(house: Any) -> Any:
    """A house in which three jobs have run, one of them failed, and have been settled."""
    write_grid(house.folder / "grid.csv")
    house.up("--replay-from", START.isoformat(), "--replay-factor", "3600", "--hindsight", config=CONFIG)
    sweep = ("--label", "experiment=sweep", "--duration", "30m")
    jobs = [
        house.ask("submit", "--project", "nlp", *sweep, "--", "python", "-c", BUSY),
        house.ask("submit", "--project", HOSTILE, *sweep, "--", "python", "-c", BUSY),
        house.ask("submit", "--project", "nlp", "--duration", "10m", "--", "false"),
    ]
    for each in jobs:
        house.until(lambda number=each["job"]["id"]: account(house, number))
    return house


def write_grid(path: Path) -> None:
    """Two days by the hour: clean at noon by the average signal, the other way round by the marginal one."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["zone", "start", "step_s", "gco2_per_kwh", "signal", "basis", "boundary"])
        for hour in range(-24, 24 * 20):
            at = START + timedelta(hours=hour)
            noon = 10 <= at.hour < 16
            rows.writerow(
                ["DE", at.isoformat(), 3600, 200 if noon else 450, "average", "lifecycle", "production"]
            )
            rows.writerow(
                ["DE", at.isoformat(), 3600, 600 if noon else 500, "marginal", "direct", "production"]
            )


def account(house: Any, number: int) -> Any:
    settlement = house.client().job(number)["settlement"]
    return settlement if settlement and settlement["state"] in {"provisional", "final"} else None


def test_report_is_written_in_every_format_and_read_back(settled: Any) -> None:
    house = settled
    files = (
        "--html",
        "r.html",
        "--badge",
        "b.svg",
        "--codecarbon",
        "emissions.csv",
        "--parquet",
        "r.parquet",
        "--hours",
        "hours.csv",
        "--bundle",
        "bundle.zip",
        "--paper",
        "paper.tex",
    )
    done = house.tidewatt("report", *files)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    total = house.client().report(None, "none")["total"]
    average = next(each for each in total["signals"] if each["signal"] == "average")
    page = (house.work / "r.html").read_text()
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert "site meter, 2025" in page
    assert "Germany (DE), average. Line: carbon intensity; bars: energy used." in page
    assert page.count('class="grid-line"') == 1
    assert "<title>training CO₂: " in (house.work / "b.svg").read_text()
    rows = list(csv.DictReader((house.work / "emissions.csv").read_text().splitlines()))
    assert sum(float(row["emissions"]) for row in rows) == pytest.approx(average["emissions_g"] / 1000)
    assert {row["pue"] for row in rows} == {"1.2"}
    table = pd.read_parquet(house.work / "r.parquet")
    assert table["facility_kwh"].sum() == pytest.approx(total["facility_kwh"])
    assert sorted(table["state"]) == ["done", "done", "failed"]
    assert r"\begin{tabular}" in (house.work / "paper.tex").read_text()
    hours = pd.read_csv(house.work / "hours.csv")
    assert hours["facility_kwh"].sum() == pytest.approx(total["facility_kwh"])
    assert house.tidewatt("verify", "bundle.zip").returncode == 0
    compared = house.ask("compare", "emissions.csv", "--utc")["pairs"]
    assert [pair["matched_by"] for pair in compared] == ["run id"] * 3
    check_answers(house, total, average)


def check_answers(house: Any, total: Any, average: Any) -> None:
    """What goes to stdout: model card, statement, metrics; and what is refused."""
    card = house.tidewatt(
        "report", "--hugging-face", "experiment:sweep", "--training-type", "fine-tuning"
    ).stdout
    assert card.startswith("co2_eq_emissions:\n  emissions: ")
    assert "2 runs" in card
    paper = house.tidewatt("report", "--paper", "--project", "nlp").stdout
    assert "2 training runs, 1 of them failed or cancelled" in paper
    metrics = house.tidewatt("report", "--metrics", "--since", "30d").stdout
    assert mistakes(metrics) == []
    assert f'tidewatt_report_jobs{{state="provisional"}} {total["provisional"]}' in metrics
    form, text = fetched(house, "/api/v1/metrics?since_s=864000", "application/openmetrics-text")
    assert form.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")
    assert len(list(house.client().receipts(project="nlp"))) == 2
    for refused in (
        ("--html", "none/x.html"),
        ("--html", "r.html", "--json"),
        ("paper.tex",),
        ("--baseline", "x"),
    ):
        done = house.tidewatt("report", *refused)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), refused
    assert average["jobs"] == 3


def fetched(house: Any, path: str, accept: str) -> tuple[str, str]:
    """What the daemon answers to somebody who accepts that."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(30)
    connection.sock.connect(str(house.client().path))
    connection.request("GET", path, headers={"Accept": accept})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200, json.dumps(text)
    return answer.headers["Content-Type"], text
