"""What was submitted is replayed under another configuration, and what would be otherwise is told."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.trying import past
from tidewatt.backends.host import Host
from tidewatt.scheduler.cli.trying import lines
from tidewatt.scheduler.config import load
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.settings_record import record
from tidewatt.scheduler.try_schema import TryReply
from tidewatt.scheduler.trying.__main__ import tried

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
HOST = Host((), 8, 16_000, "a CPU", 65.0, "assumed", "")
JOBS = 8
AT_HOME = """
[[policy]]
name = "speech stays"
projects = ["speech"]
regions = ["north"]
verdict = "forbid"
because = "their data"
[[policy]]
name = "vision is in a hurry"
projects = ["vision"]
shift = false
because = "a deadline of the lab"
"""
CLOSED = """
[[policy]]
name = "closed"
projects = ["speech"]
verdict = "forbid"
because = "paid by others"
"""
FROZEN = """
[[freeze]]
what = "starts"
hours = "00:00-10:00"
time_zone = "UTC"
because = "the nightly backup"
"""
DEAR_NIGHTS = """
[[price]]
zone = "DE"
currency = "EUR"
file = "prices.csv"
[[price]]
zone = "FR"
currency = "EUR"
price_per_kwh = 0.30
time_zone = "UTC"
bands = [{ hours = "22:00-06:00", price_per_kwh = 0.90 }]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("past")
    past.folder(made, NOW, JOBS)
    (made / "config.toml").write_text(past.REGIONS)
    return made


def replayed(home: Path, text: str, **request: Any) -> TryReply:
    settings = load(home / "config.toml", {}, {}).settings
    asked = {"text": text, "name": "new.toml", "since_s": 10 * 86_400} | request
    return tried(
        {
            "request": asked,
            "in_force": record(settings),
            "host": asdict(HOST),
            "home": str(home),
            "now_ms": round(NOW.timestamp() * 1000),
        }
    )


def test_same_configuration_changes_nothing(home: Path) -> None:
    found = replayed(home, past.REGIONS)
    assert (found.jobs, found.differs, found.changes) == (JOBS, (), ())
    assert found.saved_g == {"average": 0.0}
    assert found.in_force == found.tried
    assert found.in_force.mean_wait_h > 1  # they came at noon and wait for the night
    assert found.saved_cost is None  # nobody states a price


def test_what_rules_cost_is_told_by_signal_person_and_job(home: Path) -> None:
    found = replayed(home, past.REGIONS + AT_HOME)
    assert found.differs == ("policy",)
    assert found.saved_g["average"] < 0
    assert found.in_force.emissions_g["average"] - found.tried.emissions_g["average"] == pytest.approx(
        found.saved_g["average"]
    )
    assert (found.elsewhere, found.sooner, found.later) == (JOBS, JOBS // 2, 0)
    waits = {each.name: (each.before_h, each.after_h) for each in found.by_user}
    assert waits["ada"][1] == 0
    assert waits["ben"][0] == waits["ben"][1] > 1
    assert len(found.changes) == JOBS
    assert sum(each.saved_g["average"] for each in found.changes) == pytest.approx(found.saved_g["average"])
    text = "\n".join(lines(found.model_dump(mode="json")))
    assert "more" in text
    assert "What a replay cannot know" in text


def test_prices_are_weighed_against_grams_in_the_past_too(home: Path) -> None:
    hours = (datetime(2026, 11, 10, tzinfo=UTC) + number * past.HOUR for number in range(11 * 24))
    rows = [f"DE,{hour.isoformat()},3600,0.10,EUR" for hour in hours]
    files = {"prices.csv": "\n".join(["zone,start,step_s,price_per_kwh,currency", *rows])}
    weighing = f"g_per_price = 10000\n{past.REGIONS}{DEAR_NIGHTS}"
    found = replayed(home, weighing, files=files)
    assert {"price", "g_per_price"} <= set(found.differs)
    assert found.in_force.cost is None  # the one in force states none
    assert found.tried.cost is not None
    assert found.currency == "EUR"
    assert {each.region_after for each in found.changes} == {"home"}  # where it is cheap, though less clean
    with pytest.raises(BadInput, match=r"prices\.csv were not sent along"):
        replayed(home, weighing)


def test_nothing_would_have_started_in_a_freeze(home: Path) -> None:
    found = replayed(home, past.REGIONS + FROZEN)
    assert {each.start_after.hour for each in found.changes if each.start_after} <= set(range(10, 24))
    assert found.saved_g["average"] < 0  # the cleanest hours are those of the night


def test_freeze_comes_before_deadlines_in_the_past_too(home: Path) -> None:
    once = 'what = "starts"\nstart = 2026-11-10T00:00:00Z\nend = 2026-11-20T00:00:00Z\nbecause = "an audit"\n'
    found = replayed(home, f"{past.REGIONS}[[freeze]]\n{once}")
    assert min(each.start_after for each in found.changes if each.start_after) >= datetime(
        2026, 11, 20, tzinfo=UTC
    )
    assert found.late_only_tried == JOBS - 2  # those of the last day are in time


def test_jobs_that_rules_refuse_are_told_with_the_rule_and_left_out_of_the_sums(home: Path) -> None:
    found = replayed(home, past.REGIONS + CLOSED)
    assert (found.refused_only_tried, found.tried.refused, found.in_force.refused) == (4, 4, 0)
    refused = [each for each in found.changes if each.refused]
    assert len(refused) == 4
    assert "forbidden by closed (new.toml:" in refused[0].refused
    assert found.saved_g["average"] == pytest.approx(0)  # what both take runs as before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zone = 'nowhere at all'\n", "new.toml:1"),
        (past.REGIONS + "min_savin = 0.1\n", "new.toml:"),
        ("=", "new.toml is not TOML"),
    ],
)
def test_mistake_in_the_file_is_told_with_its_line(home: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput) as found:
        replayed(home, text)
    assert said in str(found.value)
    assert "/tmp/" not in str(found.value)


def test_history_without_jobs_is_told(home: Path) -> None:
    with pytest.raises(BadInput, match="no job can be replayed: look back further with --since"):
        replayed(home, past.REGIONS, since_s=3600)


def test_grid_of_which_nothing_was_observed_is_told(home: Path) -> None:
    with pytest.raises(BadInput, match="is not known of each region, so nothing can be replayed"):
        replayed(home, 'zone = "JP-TK"\n')
